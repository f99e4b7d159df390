//! Where work that blocks is run, so that it holds up nobody: on threads made for it. In a simulation there is one thread, and it
//! runs after a while.

use ssync_types::DeviceName;
use tokio::task::{JoinHandle, spawn_blocking};

/// Runs work that may block, but not for a disk. It goes on to its end even when nobody waits for it.
pub(crate) fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    #[cfg(feature = "simulation")]
    if ssync_diskfile::simulation::is_single() {
        return tokio::spawn(async move { work() });
    }
    spawn_blocking(work)
}

/// The same, for work on a disk.
#[cfg_attr(not(feature = "simulation"), expect(unused_variables, reason = "devices hang by themselves"))]
pub(crate) fn blocking_on<T: Send + 'static>(
    device: &DeviceName,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    #[cfg(feature = "simulation")]
    if ssync_diskfile::simulation::is_single() {
        return single(device.clone(), work);
    }
    spawn_blocking(work)
}

#[cfg(feature = "simulation")]
fn single<T: Send + 'static>(device: DeviceName, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    use ssync_diskfile::simulation;
    use tokio::time::{Duration, sleep};
    /// How often work on a device that hangs looks whether it still does.
    const LOOK_EVERY: Duration = Duration::from_secs(1);
    tokio::spawn(async move {
        sleep(simulation::work_takes()).await;
        while simulation::hangs(&device) {
            sleep(LOOK_EVERY).await;
        }
        work()
    })
}
