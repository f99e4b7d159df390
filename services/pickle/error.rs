//! Why a pickle was refused.

/// Why a pickle was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// It would cost more than it may.
    #[error("pickle has more than {max} {what}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        max: usize,
    },
    /// It ends within a value.
    #[error("pickle ends within a value, at byte {at}")]
    Truncated {
        /// Where the next part should begin.
        at: usize,
    },
    /// It uses an instruction that no pickle of Swift's needs.
    #[error("pickle has instruction 0x{opcode:02x} at byte {at}, which is not accepted")]
    Opcode {
        /// The instruction.
        opcode: u8,
        /// Where it is.
        at: usize,
    },
    /// It names code that no pickle of Swift's needs.
    #[error("pickle names the global {name}, which is forbidden")]
    Global {
        /// Module and name, cut short.
        name: String,
    },
    /// An instruction does not fit what is before it.
    #[error("pickle is malformed at byte {at}: {problem}")]
    Malformed {
        /// Where the instruction begins.
        at: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Its instructions are in order, but what they make is no plain value.
    #[error("pickle is malformed: {problem}")]
    Value {
        /// What is wrong with it.
        problem: &'static str,
    },
}
