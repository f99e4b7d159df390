//! How many questions may be under way that wait for a disk: a flood of them, or a folder that hangs, must not take the
//! threads that everything else needs.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Most at once.
const UNDER_WAY_MAX: usize = 4;
/// How long one may wait for its turn, and for its answer each: swift-recon waits five seconds for both.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(2);

/// Lets some in at a time.
#[derive(Debug)]
pub(super) struct Gate {
    permits: Arc<Semaphore>,
    wait: Duration,
}

/// Too many are under way, or this one takes too long.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Shut {
    #[error("{UNDER_WAY_MAX} questions like this one are under way; ask again later")]
    Full,
    #[error("no answer in {0:?}; does a disk below recon_cache_path, swift_dir or devices hang?")]
    Slow(Duration),
    #[error("the answer broke off: {0}")]
    Broken(String),
}

impl Gate {
    pub(super) fn new(wait: Duration) -> Self {
        Self { permits: Arc::new(Semaphore::new(UNDER_WAY_MAX)), wait }
    }

    /// Leave to ask, which ends with the permit.
    pub(super) async fn enter(&self) -> Result<OwnedSemaphorePermit, Shut> {
        match timeout(self.wait, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Shut::Full),
        }
    }

    /// Does what blocks, in a thread of its own. Work that hangs keeps its place though nobody waits for it any more.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Shut> {
        let permit = self.enter().await?;
        let work = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        match timeout(self.wait, work).await {
            Ok(done) => done.map_err(|error| Shut::Broken(error.to_string())),
            Err(_) => Err(Shut::Slow(self.wait)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn work_that_hangs_takes_four_threads_and_no_more() {
        let wait = Duration::from_millis(50);
        let gate = Gate::new(wait);
        let (begun, starts) = mpsc::channel();
        let mut holds = Vec::new();
        for n in 0..UNDER_WAY_MAX + 2 {
            let (hold, held) = mpsc::channel::<()>();
            holds.push(hold);
            let begun = begun.clone();
            let answer = gate.blocking(move || {
                let _ = begun.send(n);
                let _ = held.recv();
            });
            let expected = if n < UNDER_WAY_MAX { Shut::Slow(wait) } else { Shut::Full };
            assert_eq!(answer.await, Err(expected), "{n}");
        }
        drop(holds);
        let patient = Gate { wait: Duration::from_secs(5), permits: Arc::clone(&gate.permits) };
        assert_eq!(patient.blocking(|| 7).await, Ok(7));
        assert_eq!(starts.try_iter().count(), UNDER_WAY_MAX);
    }
}
