//! Since when the drain goes on: one moment for all deliveries.

use std::{sync::OnceLock, time::Duration};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Since when the drain goes on.
#[derive(Debug)]
pub(super) struct DrainClock {
    drain: CancellationToken,
    /// When it was noticed first.
    began: OnceLock<Instant>,
}

impl DrainClock {
    pub(super) fn new(drain: CancellationToken) -> Self {
        Self { drain, began: OnceLock::new() }
    }

    /// When it began; `None` before.
    pub(super) fn began(&self) -> Option<Instant> {
        self.drain.is_cancelled().then(|| *self.began.get_or_init(Instant::now))
    }

    /// Ends when the drain has had this grace, whoever asks, and whenever.
    pub(super) async fn over(&self, grace: Duration) {
        self.drain.cancelled().await;
        let began = *self.began.get_or_init(Instant::now);
        sleep_until(began + grace).await;
    }
}
