//! Whether a thread stands behind others of its process (`ssync-background` starts such threads): nobody who serves a client
//! should wait for one while there are not processors enough.

use rustix::process::{getpid, getpriority_process};

/// Whether this thread does. Asked of the system once: a thread is made so before it has work.
pub(crate) fn gives_way() -> bool {
    thread_local! {
        static GIVES_WAY: bool = {
            let (own, process) = (getpriority_process(None), getpriority_process(Some(getpid())));
            own.is_ok_and(|own| process.is_ok_and(|process| own > process))
        };
    }
    GIVES_WAY.with(|gives_way| *gives_way)
}
