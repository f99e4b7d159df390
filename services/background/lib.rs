//! Work that gives way to clients: threads of lower priority, and a runtime of them.
//!
//! A thread has the priority of the one that starts it, and only the privileged may raise one. So a thread that serves
//! clients is started by [`start_thread`], which does not care who asks.

#![forbid(unsafe_code)]

mod niceness;
mod runtime;
mod starter;
#[cfg(test)]
mod tests;

pub use niceness::{give_way, set_niceness};
pub use runtime::Background;
pub use starter::start_thread;
