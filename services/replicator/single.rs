//! Jobs outside of a pass: what there would be to do, and one of them done now and watched.

use std::sync::Arc;

use ssync_statsd::Statsd;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Replicator,
    collect::{Collected, Upkeep, collect},
    config::Overrides,
    job::{Context, Job, JobEnd},
    pauses::Pauses,
    progress::{Meter, Progress},
    replicator::handoff_delete,
    source::Pulse,
    stats::{Abort, PassStats},
};

impl Replicator {
    /// The jobs that a pass with these overrides would have. Nothing is changed, on disk or in this node's counters.
    pub(crate) async fn jobs(&self, overrides: &Overrides) -> Collected {
        let policies = self.policies().await;
        collect(&self.config(), policies, &self.devices, overrides, &Self::aside(), Upkeep::LookOnly).await
    }

    /// Counters that are not the passes', and that nobody else is told of.
    fn aside() -> Meter {
        Meter::new(Statsd::disabled())
    }

    /// Prepares to do one job now, beside any pass, until `drain`.
    pub(crate) async fn single(&self, job: Job, drain: CancellationToken) -> Single {
        let policies = self.policies().await;
        let meter = Self::aside();
        meter.begin();
        meter.count(|stats| stats.partitions = 1);
        let config = self.config();
        let context = self.context(&config, meter, handoff_delete(&config, &policies), drain);
        // Who orders a push wants it, whatever is paused.
        let context = Context { pauses: Pauses::default(), ..context };
        Single { job, context: Arc::new(context) }
    }
}

/// A job that is done by itself.
pub(crate) struct Single {
    job: Job,
    context: Arc<Context>,
}

impl Single {
    /// What its job gets done, from session to session.
    pub(crate) fn pulse(&self) -> Pulse {
        self.job.local.pulse().clone()
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.context.meter.watch()
    }

    /// Does it, and comes back to busy peers as a pass does. One that hangs is given up.
    pub(crate) async fn run(self) -> PassStats {
        let Self { mut job, context } = self;
        let begin = Instant::now();
        loop {
            let pulse = job.local.pulse().clone();
            pulse.beat();
            let end = tokio::select! {
                biased;
                end = job.run(&context) => end,
                () = stuck(&context, || pulse.silence()) => {
                    tracing::error!("nothing has happened in {} for long; it is given up", job.at(&job.device));
                    context.meter.of(&job.device).count(|stats| {
                        stats.failure += 1;
                        stats.device_failed(&job.device);
                    });
                    JobEnd::Done
                }
            };
            match end {
                JobEnd::ComeBack(delay) if !context.drain.is_cancelled() => {
                    context.drain.run_until_cancelled(sleep(delay)).await;
                }
                JobEnd::ComeBack(_) | JobEnd::Done => break,
            }
        }
        context.meter.job_done();
        let drained = context.drain.is_cancelled();
        context.meter.count(|stats| {
            stats.aborted = drained.then_some(Abort::Draining);
            stats.elapsed = begin.elapsed();
        });
        context.meter.end()
    }
}

/// Ends when nothing has been heard for too long.
async fn stuck(context: &Context, silence: impl Fn() -> std::time::Duration) {
    loop {
        let left = context.stuck_after().saturating_sub(silence());
        if left.is_zero() {
            return;
        }
        tokio::select! {
            biased;
            () = sleep(left) => {}
            // From now on, less is enough.
            () = context.drain.cancelled(), if !context.drain.is_cancelled() => {}
        }
    }
}
