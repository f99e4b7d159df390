//! One of the node's slots for replication.

use std::sync::{Mutex, PoisonError};

use crate::permits::Permit;

/// A slot, which a session has until it ends, or until its device is found to hang and others want it.
#[derive(Debug)]
pub(crate) struct Slot(Mutex<Option<Permit>>);

impl Slot {
    pub(crate) fn new(permit: Permit) -> Self {
        Self(Mutex::new(Some(permit)))
    }

    /// False when there is none any more.
    pub(crate) fn give_back(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }
}
