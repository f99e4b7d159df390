//! One node in this process: the parts of it that were asked for, joined and listening.

mod plan;
mod readiness;
mod rings;
mod settings;
mod tls;

use std::{sync::Arc, time::Duration};

use ssync_background::Background;
use ssync_diskfile::Devices;
use ssync_replicator::Replicator;
use ssync_ring::SwiftConf;
use ssync_runtime::{BindAddress, Config, Drain, Drained, Health, Metrics, Shutdown};

use plan::Plan;
pub(crate) use tls::tls;

/// Names by which the health service answers, beside the whole server.
const SERVICES: [&str; 3] =
    ["ssync.v1.ReplicationService", "ssync.v1.ObjectService", "ssync.v1.DeviceService"];

/// Time that questions to the admin service get to end, after everything else has.
const ADMIN_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// This node's disks, for who reads beside a receiver that runs elsewhere.
pub(crate) fn local_devices(config: &Config, swift: &SwiftConf) -> Devices {
    plan::devices(settings::disk(&config.node, config), swift)
}

/// Which parts of a node run in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parts {
    /// Receiver and sidecar; and the replicator, where `with_replicator` says so.
    Node {
        /// Push, too.
        with_replicator: bool,
    },
    /// The disks, by gRPC.
    Receiver,
    /// HTTP, over a receiver elsewhere.
    Sidecar,
    /// The push, over a receiver elsewhere.
    Replicator,
}

impl Parts {
    fn receiver(self) -> bool {
        matches!(self, Self::Node { .. } | Self::Receiver)
    }

    fn sidecar(self) -> bool {
        matches!(self, Self::Node { .. } | Self::Sidecar)
    }

    fn replicator(self) -> bool {
        matches!(self, Self::Node { with_replicator: true } | Self::Replicator)
    }

    /// Where its metrics, health and admin service are, and the option that says so.
    fn admin(self, config: &Config) -> (Option<&BindAddress>, &'static str) {
        match self {
            Self::Node { .. } | Self::Receiver => (config.ssync.admin_bind.as_ref(), "admin_bind"),
            Self::Sidecar => (config.ssync.sidecar_admin_bind.as_ref(), "sidecar_admin_bind"),
            Self::Replicator => (config.ssync.replicator_admin_bind.as_ref(), "replicator_admin_bind"),
        }
    }
}

/// A running node.
pub(crate) struct Node {
    config: Config,
    drain: Drain,
    /// Of the admin address, which tells of the drain until that is over.
    admin: Drain,
    health: Health,
    replicator: Option<Arc<Replicator>>,
    background: Background,
}

impl Node {
    /// Reads rings and policies, opens the disks, binds every address, and serves.
    pub(crate) async fn start(config: Config, parts: Parts, metrics: &Metrics) -> anyhow::Result<Self> {
        let plan = Plan::make(config, parts, metrics).await?;
        plan.listen().await?;
        plan.tell_readiness().await?;
        let Plan { config, drain, admin, health, replicator, background, .. } = plan;
        Ok(Self { config, drain, admin, health, replicator, background })
    }

    /// Whether it has the rings of all its policies, and whatever else its work needs.
    pub(crate) fn is_ready(&self) -> bool {
        self.health.is_ready()
    }

    /// Its replicator.
    pub(crate) fn replicator(&self) -> Option<&Arc<Replicator>> {
        self.replicator.as_ref()
    }

    /// Lets the replicator push by itself from now on.
    pub(crate) fn run_replicator(&self) {
        if let Some(replicator) = self.replicator.clone() {
            let token = self.drain.token();
            let pushes = async move { replicator.run_forever(token).await };
            self.drain.spawn_on(pushes, &self.background.handle());
        }
    }

    /// Ends when the node is told to drain.
    pub(crate) fn drain(&self) -> &Drain {
        &self.drain
    }

    /// Serves until a signal comes, then drains.
    pub(crate) async fn until_signal(self) -> std::io::Result<Drained> {
        let drained = self.shutdown().on_signal().await;
        self.close_admin().await;
        drained
    }

    /// Drains now.
    pub(crate) async fn stop(self) -> Drained {
        let drained = self.shutdown().run().await;
        self.close_admin().await;
        drained
    }

    fn shutdown(&self) -> Shutdown {
        Shutdown {
            drain: self.drain.clone(),
            health: self.health.clone(),
            notice: self.config.ssync.drain_notice,
            deadline: self.config.ssync.drain_timeout,
        }
    }

    async fn close_admin(&self) {
        self.admin.begin();
        self.admin.finish(ADMIN_CLOSE_TIMEOUT).await;
    }
}

#[cfg(test)]
mod tests;
