//! What only a thread of the device may let go of: a file's last close, and the removal of what was made for it, are disk
//! work, which blocks while the disk hangs.

use std::{cell::Cell, ptr, sync::Arc};

use super::{Job, Kind, Lane, Shared};

thread_local! {
    /// The pool that this thread belongs to.
    static SERVES: Cell<*const Shared> = const { Cell::new(ptr::null()) };
}

/// Notes that this thread belongs to a pool from now on.
pub(super) fn serves(pool: &Shared) {
    SERVES.set(pool);
}

/// The thread goes on with something else.
#[cfg(feature = "simulation")]
pub(super) fn serves_nobody() {
    SERVES.set(ptr::null());
}

/// A value that is dropped by a thread of its device, wherever its owner goes: also by a future that is cancelled, or with
/// work that is refused. It is queued for that without a place, so there must be a bound on how many there are: each belongs
/// to one body.
#[derive(Debug)]
pub(crate) struct Held<T: Send + 'static> {
    value: Option<T>,
    pool: Arc<Shared>,
}

impl<T: Send + 'static> Held<T> {
    pub(super) fn new(value: T, pool: &Arc<Shared>) -> Self {
        Self { value: Some(value), pool: Arc::clone(pool) }
    }

    /// The value; for a thread of the device.
    pub(crate) fn into_inner(mut self) -> Option<T> {
        self.value.take()
    }
}

impl<T: Send + 'static> Drop for Held<T> {
    fn drop(&mut self) {
        let Some(value) = self.value.take() else { return };
        if !ptr::eq(SERVES.get(), Arc::as_ptr(&self.pool)) {
            let work = Box::new(move |_: &dyn Fn(Kind)| drop(value));
            self.pool.queue(Lane::Request, Job { session: None, kind: Kind::Look, work });
        }
    }
}
