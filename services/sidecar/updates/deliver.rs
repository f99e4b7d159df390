//! The delivery of updates: tried at once, finished in the background, kept where it fails (Swift: obj/server.py
//! async_update).

use std::{fmt, sync::Arc, time::Duration};

use ssync_store::{Store, StoreResult};
use ssync_types::{PendingUpdate, Reason, Refusal};
use tokio::{
    sync::Semaphore,
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Plan, Target, Update, client, redirect::redirect};

/// Swift: a shard has the row.
const MOVED_PERMANENTLY: u16 = 301;

/// How many deliveries there may be, how long one may take, and how long a client waits for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Deliveries under way. Beyond it updates are kept for the updater at once.
    pub(crate) deliveries: usize,
    /// `conn_timeout`.
    pub(crate) connect: Duration,
    /// `node_timeout`.
    pub(crate) answer: Duration,
    /// `container_update_timeout`.
    pub(crate) wait: Duration,
    /// How long a delivery may go on after the drain began.
    pub(crate) grace: Duration,
}

/// Delivers updates.
pub(crate) struct Deliveries {
    courier: Arc<Courier>,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
}

/// What one delivery needs.
struct Courier {
    store: Arc<dyn Store>,
    limits: Limits,
    drain: CancellationToken,
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliveries").field("limits", &self.courier.limits).finish_non_exhaustive()
    }
}

impl Deliveries {
    pub(crate) fn new(store: Arc<dyn Store>, limits: Limits, drain: CancellationToken) -> Self {
        Self {
            courier: Arc::new(Courier { store, limits, drain }),
            places: Arc::new(Semaphore::new(limits.deliveries)),
            tasks: TaskTracker::new(),
        }
    }

    /// Carries a plan out. When this returns, updates of the expirer's queue are delivered or kept. Those of listings have
    /// had `container_update_timeout`, and go on in the background. Fails when one can be neither delivered nor kept.
    pub(super) async fn carry_out(&self, plan: Plan) -> StoreResult<()> {
        let deadline = Instant::now() + self.courier.limits.wait;
        let queue = self.begin(plan.queue).await;
        let listing = self.begin(plan.listing).await?;
        for delivery in queue? {
            outcome(delivery).await?;
        }
        for delivery in listing {
            match timeout_at(deadline, outcome(delivery)).await {
                Ok(outcome) => outcome?,
                Err(_) => tracing::debug!("a container update goes on in the background"),
            }
        }
        Ok(())
    }

    /// Waits for what goes on in the background.
    pub(super) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Begins deliveries. What nobody is to be asked for, or nobody can be asked for now, is kept when this returns.
    async fn begin(&self, updates: Vec<Update>) -> StoreResult<Vec<JoinHandle<StoreResult<()>>>> {
        let mut begun = Vec::new();
        let mut kept = Ok(());
        for Update { target, update } in updates {
            let place = Arc::clone(&self.places).try_acquire_owned().ok();
            match target.zip(place) {
                Some((target, place)) => {
                    let courier = Arc::clone(&self.courier);
                    begun.push(self.tasks.spawn(async move {
                        let _place = place;
                        courier.deliver(&target, update).await
                    }));
                }
                // The others are tried all the same.
                None => kept = kept.and(self.courier.keep(update).await),
            }
        }
        kept.map(|()| begun)
    }
}

async fn outcome(delivery: JoinHandle<StoreResult<()>>) -> StoreResult<()> {
    let died = |_| Refusal::new(Reason::Internal, "the delivery of a container update died");
    delivery.await.map_err(died)?
}

impl Courier {
    async fn deliver(&self, target: &Target, mut update: PendingUpdate) -> StoreResult<()> {
        let Limits { connect, answer, .. } = self.limits;
        let answer = tokio::select! {
            answer = client::send(target, &update, connect, answer) => answer,
            () = self.drained() => {
                tracing::info!(host = target.host, path = %update.path, "a container update is left to the updater");
                return self.keep(update).await;
            }
        };
        let device = String::from_utf8_lossy(&target.device);
        match answer {
            Ok(answer) if answer.is_success() => return Ok(()),
            Ok(answer) if answer.status == MOVED_PERMANENTLY => match redirect(&answer) {
                Ok(shard) => update.container_path = shard.or(update.container_path),
                Err(problem) => {
                    tracing::error!(host = target.host, path = %update.path, problem, "a container update was redirected badly");
                }
            },
            Ok(answer) => tracing::error!(
                host = target.host, %device, path = %update.path, status = answer.status,
                "a container update failed and is left to the updater"
            ),
            Err(error) => tracing::error!(
                host = target.host, %device, path = %update.path, %error,
                "a container update failed and is left to the updater"
            ),
        }
        self.keep(update).await
    }

    /// Ends when the drain has had its grace.
    async fn drained(&self) {
        self.drain.cancelled().await;
        sleep(self.limits.grace).await;
    }

    async fn keep(&self, update: PendingUpdate) -> StoreResult<()> {
        let path = update.path.clone();
        self.store.queue_update(update).await.inspect_err(|refusal| {
            tracing::error!(%path, %refusal, "an update of a listing is lost: it was neither delivered nor kept");
        })
    }
}
