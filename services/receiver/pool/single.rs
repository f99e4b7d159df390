//! A simulated device's threads: tasks of the one thread that everything runs on.

use std::sync::Arc;

use ssync_diskfile::simulation;
use tokio::time::{Duration, sleep};

use super::{Job, Lane, Shared, held};

/// How often work on a device that hangs looks whether it still does.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Begins a task in place of a thread, in a simulation.
pub(super) fn start(shared: &Arc<Shared>, lane: Lane) -> bool {
    let single = simulation::is_single();
    if single {
        tokio::spawn(serve(Arc::clone(shared), lane));
    }
    single
}

async fn serve(shared: Arc<Shared>, lane: Lane) {
    while let Some((number, job)) = take(&shared, lane) {
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
fn take(shared: &Shared, lane: Lane) -> Option<(u64, Job)> {
    let unused = {
        let mut state = shared.lock();
        if let Some(begun) = state.begin(lane) {
            return Some(begun);
        }
        state.crews.of(lane).shrink();
        // Nobody is there to let go of it later.
        let is_idle = state.pulse.is_idle();
        state.open.take_if(|_| is_idle)
    };
    drop(unused);
    None
}
