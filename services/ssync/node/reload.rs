//! SIGHUP: what has changed comes into force where that can be while the node runs, and is named where it cannot.

use std::sync::Arc;

use ssync_runtime::{Change, Config, LogFilter, notify};

use super::{Node, settings};

/// Files that a reload looks at again, whatever the configuration says: rings, certificates. Who reads them keeps what it
/// has where they are bad, and says so.
pub(super) struct Followed {
    what: &'static str,
    look: Arc<dyn Fn() + Send + Sync>,
}

impl Followed {
    /// `look` may block.
    pub(super) fn new(what: &'static str, look: impl Fn() + Send + Sync + 'static) -> Self {
        Self { what, look: Arc::new(look) }
    }

    async fn look_again(&self) {
        let look = Arc::clone(&self.look);
        match tokio::task::spawn_blocking(move || look()).await {
            Ok(()) => tracing::info!("reload: looked again at {}", self.what),
            Err(error) => {
                tracing::error!(%error, "reload: {} could not be looked at; what is known stays", self.what);
            }
        }
    }
}

impl Node {
    /// Follows the configuration that was `read`, and looks again at the other files.
    pub(super) async fn reload(&mut self, read: anyhow::Result<Config>, log: &LogFilter) {
        notify::reloading();
        match read {
            Ok(read) => self.follow(&read, log),
            Err(error) => {
                tracing::error!("reload: the configuration cannot be used, and stays as it was: {error:#}");
            }
        }
        for followed in &self.followed {
            followed.look_again().await;
        }
        notify::ready("serving");
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
        if changes.iter().any(|change| change.live.is_some()) {
            self.tell_replicator(read);
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
            let shown = |row: &&mut ssync_runtime::Row| {
                (row.section, row.name) == (change.before.section, change.before.name)
            };
            if let Some(row) = self.config.rows.iter_mut().find(shown) {
                *row = change.now.clone();
            }
        }
        self.rows.send_replace(self.config.rows.clone().into());
    }
}
