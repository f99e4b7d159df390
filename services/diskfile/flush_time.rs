//! How long this thread has spent on making things durable: for those who tell where time goes.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

thread_local! {
    static SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Time that the calling thread has spent since it began on flushing, and on waiting for others who flushed for it.
#[must_use]
pub fn flush_time() -> Duration {
    SPENT.get()
}

/// Counts what `work` takes.
pub(crate) fn flushing<T>(work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let done = work();
    SPENT.set(SPENT.get() + begin.elapsed());
    done
}

#[cfg(test)]
mod tests {
    use std::thread::{sleep, spawn};

    use super::*;

    #[test]
    fn counts_for_its_own_thread() {
        let before = flush_time();
        flushing(|| sleep(Duration::from_millis(2)));
        assert!(flush_time() - before >= Duration::from_millis(2));
        assert_eq!(spawn(flush_time).join().ok(), Some(Duration::ZERO));
    }
}
