//! SIGHUP: what has changed comes into force where that can be while the node runs, and is named where it cannot.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use ssync_runtime::{Change, Config, LogFilter, notify};
use tokio::{sync::Semaphore, time::timeout};

use super::{Node, settings};

/// How long a look at files may take: they may lie where a disk or a network hangs, and a signal that ends the daemon waits.
const LOOK_WAIT_MAX: Duration = Duration::from_secs(5);

/// Reads the configuration again.
pub(crate) type Read = Arc<dyn Fn() -> anyhow::Result<Config> + Send + Sync>;

/// A look at files that may hang: one at a time, and nobody waits for it longer than that.
pub(super) struct Looking {
    one: Arc<Semaphore>,
    wait_max: Duration,
}

impl Default for Looking {
    fn default() -> Self {
        Self { one: Arc::new(Semaphore::new(1)), wait_max: LOOK_WAIT_MAX }
    }
}

impl Looking {
    async fn look<T: Send + 'static>(&self, look: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
        let place = Arc::clone(&self.one).try_acquire_owned().context("the look before this one hangs")?;
        let looked = tokio::task::spawn_blocking(move || {
            let found = look();
            drop(place);
            found
        });
        let in_time = timeout(self.wait_max, looked).await;
        Ok(in_time.with_context(|| format!("it takes longer than {:?}", self.wait_max))??)
    }
}

/// Files that a reload looks at again, whatever the configuration says: rings, certificates. Who reads them keeps what it
/// has where they are bad, and says so.
pub(super) struct Followed {
    what: &'static str,
    look: Arc<dyn Fn() + Send + Sync>,
    looking: Looking,
}

impl Followed {
    /// `look` may block.
    pub(super) fn new(what: &'static str, look: impl Fn() + Send + Sync + 'static) -> Self {
        Self { what, look: Arc::new(look), looking: Looking::default() }
    }

    async fn look_again(&self) {
        let look = Arc::clone(&self.look);
        match self.looking.look(move || look()).await {
            Ok(()) => tracing::info!("reload: looked again at {}", self.what),
            Err(error) => {
                tracing::error!(
                    "reload: {} could not be looked at; what is known stays: {error:#}",
                    self.what
                );
            }
        }
    }
}

impl Node {
    /// Follows the configuration that was `read`, and looks again at the other files.
    pub(super) async fn reload(&mut self, read: Read, log: &LogFilter) {
        notify::reloading();
        match self.reading.look(move || read()).await.flatten() {
            Ok(read) => self.follow(&read, log),
            Err(error) => {
                tracing::error!("reload: the configuration cannot be used, and stays as it was: {error:#}");
            }
        }
        for followed in &self.followed {
            followed.look_again().await;
        }
        notify::ready(self.state());
    }

    fn follow(&mut self, read: &Config, log: &LogFilter) {
        let changes = self.config.changes(read);
        // First, so that what follows is logged as asked.
        if let Err(error) = log.follow(read.node.log_level) {
            tracing::error!(%error, "reload: the log's level stays");
        }
        for change in &changes {
            match change.live {
                Some(when) => tracing::info!("reload: in force {when}: {change}"),
                None => tracing::warn!("reload: only a restart changes this: {change}"),
            }
        }
        if changes.is_empty() {
            tracing::info!("reload: no option has changed");
        }
        self.config.ssync.drain_notice = read.ssync.drain_notice;
        // Also where nothing has changed: what an operator has set meanwhile ends with a reload.
        self.tell_replicator(read);
        if let Some(receiver) = &self.receiver {
            receiver.follow(settings::session_limits(read));
        }
        self.show(&changes);
    }

    fn tell_replicator(&self, read: &Config) {
        let Some(replicator) = &self.replicator else { return };
        match settings::replicator(read) {
            Ok(options) => replicator.follow(&options),
            Err(error) => tracing::error!("reload: the replicator stays as it was: {error:#}"),
        }
    }

    /// The rows of what is in force now.
    fn show(&mut self, changes: &[Change]) {
        for change in changes.iter().filter(|change| change.live.is_some()) {
            change.apply(&mut self.config.rows);
        }
        self.rows.send_replace(self.config.rows.clone().into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_look_that_hangs_keeps_nobody_and_is_not_begun_twice() {
        let looking = Looking { wait_max: Duration::from_millis(50), ..Looking::default() };
        assert_eq!(looking.look(|| 7).await.unwrap(), 7);
        let (go_on, hangs) = mpsc::channel::<()>();
        assert!(looking.look(move || hangs.recv()).await.is_err());
        assert!(looking.look(|| 7).await.unwrap_err().to_string().contains("hangs"));
        drop(go_on);
        while looking.look(|| 7).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
