//! One of the node's slots for replication.

use std::sync::{Mutex, PoisonError};

use tokio::sync::OwnedSemaphorePermit;

/// A slot, which a session has until it ends, or until its device is found to hang and others want it.
#[derive(Debug)]
pub(crate) struct Slot(Mutex<Option<OwnedSemaphorePermit>>);

impl Slot {
    /// `None` where slots have no limit.
    pub(crate) fn new(permit: Option<OwnedSemaphorePermit>) -> Self {
        Self(Mutex::new(permit))
    }

    /// False when there is none any more, or never was.
    pub(crate) fn give_back(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }
}
