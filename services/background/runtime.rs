//! A runtime whose threads give way.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::{niceness::give_way, starter};

/// A runtime beside the one that serves clients. What is spawned on it, and what that spawns, gives way to them. Its tasks are
/// dropped with it.
#[derive(Debug)]
pub struct Background {
    handle: Handle,
    /// Until it is dropped.
    runtime: Option<Runtime>,
}

impl Background {
    /// Starts its threads. To be called by a thread that does not give way itself.
    pub fn start() -> io::Result<Self> {
        starter::begin()?;
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.thread_name("background").on_thread_start(give_way).enable_all().build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// By which tasks are spawned on it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // It may be dropped by a task, which must not wait.
            runtime.shutdown_background();
        }
    }
}
