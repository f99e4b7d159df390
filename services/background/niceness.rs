//! How far a thread of the background stands behind the others of its process.

use std::sync::{Once, OnceLock};

use rustix::{
    io::Errno,
    process::{getpid, getpriority_process, setpriority_process},
};

/// Added to the niceness of the process: each step is a fifth less of the processors, where there is not enough for all.
const STEP: i32 = 10;
/// The least that there is.
const NICENESS_MAX: i32 = 19;

static NICENESS: OnceLock<i32> = OnceLock::new();

/// Lets this thread stand behind those that serve clients. For ever, and so do the threads that it starts: only the
/// privileged can take it back. One that cannot be lowered works on.
pub fn give_way() {
    static TOLD: Once = Once::new();
    if let Err(error) = lower() {
        TOLD.call_once(
            || tracing::warn!(%error, "replication does not give way to clients: its priority stays"),
        );
    }
}

/// What [`give_way`] makes of a thread's niceness, whatever the process was started with. To be called before it is.
pub fn set_niceness(niceness: i32) {
    let _ = NICENESS.set(niceness);
}

fn lower() -> Result<(), Errno> {
    setpriority_process(None, niceness()?)
}

/// Of all threads that give way. Counted once: the first thread's niceness is the process's in Linux, and may give way itself.
fn niceness() -> Result<i32, Errno> {
    match NICENESS.get() {
        Some(niceness) => Ok(*niceness),
        None => {
            let lowered = lowered(getpriority_process(Some(getpid()))?);
            Ok(*NICENESS.get_or_init(|| lowered))
        }
    }
}

pub(crate) fn lowered(niceness: i32) -> i32 {
    niceness.saturating_add(STEP).min(NICENESS_MAX)
}
