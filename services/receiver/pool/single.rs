//! A simulated device's threads: tasks of the one thread that everything runs on.

use std::sync::Arc;

use ssync_diskfile::simulation;
use tokio::time::{Duration, Instant, sleep};

use super::{Job, Shared, held};

/// How often work on a device that hangs looks whether it still does.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Begins a task in place of a thread, in a simulation.
pub(super) fn start(shared: &Arc<Shared>) -> bool {
    let single = simulation::is_single();
    if single {
        tokio::spawn(serve(Arc::clone(shared)));
    }
    single
}

async fn serve(shared: Arc<Shared>) {
    while let Some((number, job)) = take(&shared) {
        sleep(simulation::work_takes()).await;
        while simulation::hangs(&shared.device) {
            sleep(LOOK_EVERY).await;
        }
        held::serves(&shared);
        shared.carry_out(number, job);
        held::serves_nobody();
    }
}

/// The next job, or the end of this task.
fn take(shared: &Shared) -> Option<(u64, Job)> {
    let mut state = shared.lock();
    let Some(job) = state.next() else {
        state.threads -= 1;
        return None;
    };
    Some((state.pulse.begin(job.kind, Instant::now()), job))
}
