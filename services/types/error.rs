//! What is wrong with a value that came from outside.

/// A value from a peer, a file or an operator that is not of its form. Names the field, says what was wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// The field, as the contract spells it, for example `offers.object_hash`.
    pub field: String,
    /// What was wrong, for people.
    pub problem: String,
}

impl Invalid {
    /// `field` is not of its form because of `problem`.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// The same problem, of a field within `outer`.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        Self { field: format!("{outer}.{}", self.field), problem: self.problem }
    }
}
