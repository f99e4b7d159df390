//! What keeps updates that were not delivered: the store, which may be away for a moment (Swift: obj/server.py
//! async_update, diskfile.py pickle_async_update).

use std::{sync::Arc, time::Duration};

use ssync_store::{Store, StoreResult};
use ssync_types::{PendingUpdate, Reason, Refusal};
use tokio::time::{Instant, sleep};

use super::drain::DrainClock;

/// The first pause before the store is asked again; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Has the store keep updates.
pub(super) struct Keeper {
    pub(super) store: Arc<dyn Store>,
    pub(super) drain: Arc<DrainClock>,
    /// How long a store that is away is asked.
    pub(super) patience: Duration,
    /// How long it is asked after the drain began.
    pub(super) grace: Duration,
}

impl Keeper {
    /// Keeps an update. The client has been told, or will be, that its change is stored: so a store that is away for a
    /// moment is asked again. Asking twice does no harm, for the second file replaces the first.
    pub(super) async fn keep(&self, update: PendingUpdate) -> StoreResult<()> {
        let asked = Instant::now();
        let mut pause = PAUSE;
        loop {
            let Err(refusal) = self.store.queue_update(update.clone()).await else { return Ok(()) };
            if !passes(&refusal) || Instant::now() + pause > self.deadline(asked) {
                tracing::error!(
                    path = %update.path, %refusal,
                    "an update of a listing is lost: it was neither delivered nor kept"
                );
                return Err(refusal);
            }
            tracing::debug!(path = %update.path, %refusal, "an update of a listing waits for the store");
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn deadline(&self, asked: Instant) -> Instant {
        let own = asked + self.patience;
        self.drain.began().map_or(own, |began| own.min(began + self.grace))
    }
}

/// Whether the store may think better of it soon.
fn passes(refusal: &Refusal) -> bool {
    matches!(
        refusal.reason,
        Reason::Unreachable | Reason::Draining | Reason::ReceiverBusy | Reason::DeviceLocked
    )
}
