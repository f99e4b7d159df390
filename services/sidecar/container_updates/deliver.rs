//! The delivery of updates: tried at once, finished in the background, kept where it fails (Swift: obj/server.py
//! async_update).

use std::{fmt, sync::Arc, time::Duration};

use ssync_store::{Store, StoreResult};
use ssync_types::{PendingUpdate, Reason, Refusal};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Plan, Target, Update, client, drain::DrainClock, keep::Keeper, places::Places, redirect::redirect,
    resolver::Resolver,
};

/// Swift: a shard has the row.
const MOVED_PERMANENTLY: u16 = 301;

/// How many deliveries there may be, how long one may take, and how long a client waits for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Deliveries under way. Beyond it updates are kept for the updater at once.
    pub(crate) deliveries: usize,
    /// Those of them that are for one server.
    pub(crate) host_deliveries: usize,
    /// `conn_timeout`.
    pub(crate) connect: Duration,
    /// `node_timeout`.
    pub(crate) answer: Duration,
    /// `container_update_timeout`.
    pub(crate) wait: Duration,
    /// How long deliveries may go on after the drain began.
    pub(crate) grace: Duration,
    /// How long a store that is away for a moment is asked to keep what was not delivered.
    pub(crate) keep: Duration,
    /// How long it is asked after the drain began.
    pub(crate) keep_grace: Duration,
}

/// Delivers updates.
pub(crate) struct Deliveries {
    courier: Arc<Courier>,
    places: Arc<Places>,
    tasks: TaskTracker,
}

/// What one delivery needs.
struct Courier {
    keeper: Keeper,
    limits: Limits,
    resolver: Resolver,
    drain: Arc<DrainClock>,
}

/// One update on its way, or being kept. It comes to its end though nobody waits for it.
type Task = JoinHandle<StoreResult<()>>;

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliveries").field("limits", &self.courier.limits).finish_non_exhaustive()
    }
}

impl Deliveries {
    pub(crate) fn new(store: Arc<dyn Store>, limits: Limits, drain: CancellationToken) -> Self {
        let drain = Arc::new(DrainClock::new(drain));
        let keeper =
            Keeper { store, drain: Arc::clone(&drain), patience: limits.keep, grace: limits.keep_grace };
        Self {
            courier: Arc::new(Courier { keeper, limits, resolver: Resolver::default(), drain }),
            places: Places::new(limits.deliveries, limits.host_deliveries),
            tasks: TaskTracker::new(),
        }
    }

    /// Carries a plan out. When this returns, updates of the expirer's queue are delivered or kept, and so are those that
    /// have no place among the deliveries. The others have had `container_update_timeout`, and go on in the background.
    /// Fails when one can be neither delivered nor kept.
    pub(super) async fn carry_out(&self, plan: Plan) -> StoreResult<()> {
        let deadline = Instant::now() + self.courier.limits.wait;
        let (queue, queue_kept) = self.begin(plan.queue);
        let (listing, listing_kept) = self.begin(plan.listing);
        let mut ended = Ok(());
        for task in queue.into_iter().chain(queue_kept).chain(listing_kept) {
            ended = ended.and(outcome(task).await);
        }
        for task in listing {
            match timeout_at(deadline, outcome(task)).await {
                Ok(outcome) => ended = ended.and(outcome),
                Err(_) => tracing::debug!("a container update goes on in the background"),
            }
        }
        ended
    }

    /// Waits for what goes on in the background.
    pub(super) async fn finish(&self) {
        // The grace begins now, though nothing is under way that would notice.
        self.courier.drain.began();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Begins deliveries; what nobody is to be asked for, or nobody can be asked for now, is begun to be kept. There it is
    /// one file, whomever it was for.
    fn begin(&self, updates: Vec<Update>) -> (Vec<Task>, Vec<Task>) {
        let mut delivered = Vec::new();
        let mut without_place = Vec::new();
        for Update { target, update } in updates {
            let place = target.as_ref().and_then(|target| self.places.take(&target.host));
            match target.zip(place) {
                Some((target, place)) => {
                    let courier = Arc::clone(&self.courier);
                    delivered.push(self.tasks.spawn(async move {
                        let _place = place;
                        courier.deliver(&target, update).await
                    }));
                }
                None if without_place.contains(&update) => {}
                None => without_place.push(update),
            }
        }
        let kept = without_place.into_iter().map(|update| {
            let courier = Arc::clone(&self.courier);
            self.tasks.spawn(async move { courier.keeper.keep(update).await })
        });
        (delivered, kept.collect())
    }
}

async fn outcome(delivery: Task) -> StoreResult<()> {
    let died = |_| Refusal::new(Reason::Internal, "the delivery of a container update died");
    delivery.await.map_err(died)?
}

impl Courier {
    async fn deliver(&self, target: &Target, mut update: PendingUpdate) -> StoreResult<()> {
        let Limits { connect, answer, grace, .. } = self.limits;
        let answer = tokio::select! {
            biased;
            // First: when the grace is over, nothing is begun.
            () = self.drain.over(grace) => {
                tracing::info!(host = target.host, path = %update.path, "a container update is left to the updater");
                return self.keeper.keep(update).await;
            }
            answer = client::send(&self.resolver, target, &update, connect, answer) => answer,
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
        self.keeper.keep(update).await
    }
}
