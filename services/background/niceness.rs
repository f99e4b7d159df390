//! How far a thread of the background stands behind the others of its process.

use std::sync::Once;

use rustix::{
    io::Errno,
    process::{getpid, getpriority_process, setpriority_process},
};

/// Added to the niceness of the process: each step is a fifth less of the processors, where there is not enough for all.
const STEP: i32 = 10;
/// The least that there is.
const NICENESS_MAX: i32 = 19;

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

fn lower() -> Result<(), Errno> {
    // Linux has a niceness for each thread: that of the process is its first thread's, which does not give way.
    let niceness = getpriority_process(Some(getpid()))?;
    setpriority_process(None, lowered(niceness))
}

pub(crate) fn lowered(niceness: i32) -> i32 {
    niceness.saturating_add(STEP).min(NICENESS_MAX)
}
