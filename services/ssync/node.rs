//! One node in this process: the parts of it that were asked for, joined and listening.

mod addresses;
mod plan;
mod readiness;
mod reload;
mod rings;
mod settings;
mod tls;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use ssync_background::Background;
use ssync_diskfile::Devices;
use ssync_receiver::Receiver;
use ssync_replicator::{Nodes, Replicator, ReplicatorConfig};
use ssync_ring::{LocalAddresses, SwiftConf};
use ssync_runtime::{
    Asked, Config, Drain, Drained, Health, Inherited, LogFilter, Metrics, Row, Shutdown, Signals, Watchdog,
};
use ssync_store::RemoteSettings;
use ssync_tls::Tls;
use tokio::{runtime::Handle, sync::watch};
use tokio_util::sync::CancellationToken;

pub(crate) use addresses::{Address, addresses};
use plan::Plan;
pub(crate) use reload::Read;
use reload::{Followed, Looking};
pub(crate) use tls::tls;

/// Whether a daemon could use the configuration.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    plan::check(config)
}

/// Names by which the health service answers, beside the whole server.
const SERVICES: [&str; 3] =
    ["ssync.v1.ReplicationService", "ssync.v1.ObjectService", "ssync.v1.DeviceService"];

/// Time that questions to the admin service get to end, after everything else has.
const ADMIN_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// This node's disks, for who reads beside a receiver that runs elsewhere.
pub(crate) fn local_devices(config: &Config, swift: &SwiftConf) -> Devices {
    plan::devices(settings::disk(&config.node, config), swift)
}

/// Which devices of the rings are this node's.
pub(crate) fn own_addresses(config: &Config) -> std::io::Result<LocalAddresses> {
    let node = &config.replicator_node;
    let ip = settings::ring_ip(node, config).unwrap_or(node.bind_ip);
    let port = (node.servers_per_port == 0).then(|| settings::ring_port(node, config));
    LocalAddresses::new(Some(&ip.to_string()), port)
}

/// Other nodes, whatever they speak, for who asks them without a daemon; without a configuration by the defaults.
pub(crate) fn other_nodes(config: Option<&Config>, tls: Option<&Tls>) -> anyhow::Result<Nodes> {
    Ok(match config {
        Some(config) => {
            let remote = settings::remote(&config.replicator_node, config, tls);
            Nodes::new(&settings::replicator(config)?, remote)
        }
        None => Nodes::new(&ReplicatorConfig::default(), RemoteSettings::default()),
    })
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
}

/// What a process gives to the node that runs in it.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// Its instruments.
    pub metrics: Metrics,
    /// What is logged, where the admin service may change it.
    pub log_filter: Option<LogFilter>,
    /// Sockets that listen already.
    pub inherited: Inherited,
}

impl Surroundings {
    /// Where there is nothing but instruments.
    fn of(metrics: &Metrics) -> Self {
        Self { metrics: metrics.clone(), log_filter: None, inherited: Inherited::default() }
    }
}

/// How a node came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It was told to go.
    Told(Drained),
    /// It could not go on.
    Fault,
}

/// A running node.
pub(crate) struct Node {
    config: Config,
    drain: Drain,
    /// Of the admin address, which tells of the drain until that is over.
    admin: Drain,
    /// It cannot go on.
    fault: CancellationToken,
    health: Health,
    receiver: Option<Arc<Receiver>>,
    replicator: Option<Arc<Replicator>>,
    background: Background,
    /// What a reload looks at again, beside the configuration.
    followed: Vec<Followed>,
    /// How the configuration is read again.
    reading: Looking,
    /// What the admin address shows of the configuration.
    rows: watch::Sender<Arc<[Row]>>,
}

impl Node {
    /// Reads rings and policies, opens the disks, binds every address, and serves.
    pub(crate) async fn start(config: Config, parts: Parts, metrics: &Metrics) -> anyhow::Result<Self> {
        let node = Self::start_in(Surroundings::of(metrics), config, parts, std::future::pending()).await?;
        node.context("it was told to go")
    }

    /// The same, with what the process gives it; none if it is `told` to go before anything is served.
    pub(crate) async fn start_in(
        surroundings: Surroundings,
        config: Config,
        parts: Parts,
        told: impl Future<Output = ()>,
    ) -> anyhow::Result<Option<Self>> {
        let listening = async {
            let mut plan = Plan::make(surroundings, config, parts).await?;
            plan.listen().await?;
            anyhow::Ok(plan)
        };
        let plan = tokio::select! {
            plan = listening => plan?,
            () = told => return Ok(None),
        };
        plan.tell_readiness().await?;
        let followed = plan.followed();
        let Plan { config, drain, admin, fault, health, receiver, replicator, background, rows, .. } = plan;
        let reading = Looking::default();
        Ok(Some(Self {
            config,
            drain,
            admin,
            fault,
            health,
            receiver,
            replicator,
            background,
            followed,
            reading,
            rows,
        }))
    }

    /// Beats for the service manager while both runtimes get on, where it wants that.
    pub(crate) fn watchdog(&self) -> std::io::Result<Option<Watchdog>> {
        Watchdog::start(vec![Handle::current(), self.background.handle()])
    }

    /// Whether it has the rings of all its policies, and whatever else its work needs.
    pub(crate) fn is_ready(&self) -> bool {
        self.health.is_ready()
    }

    /// The same for who looks at the service manager's list.
    pub(crate) fn state(&self) -> &'static str {
        if self.is_ready() { "serving" } else { "not ready; the log says what is missing" }
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

    /// Serves until it is told to go, then drains. `read` reads the configuration again, for a reload.
    pub(crate) async fn until_told(mut self, mut signals: Signals, log: &LogFilter, read: Read) -> End {
        loop {
            let fault = self.fault.clone();
            let asked = tokio::select! {
                asked = signals.next() => asked,
                () = fault.cancelled() => {
                    let shutdown = Shutdown { notice: Duration::ZERO, ..self.shutdown() };
                    self.go_down(shutdown, "a fault", signals).await;
                    return End::Fault;
                }
                () = self.drain.draining() => Asked::Stop("a request"),
            };
            match asked {
                Asked::Reload => self.reload(Arc::clone(&read), log).await,
                Asked::Stop(cause) => {
                    let shutdown = self.shutdown();
                    return End::Told(self.go_down(shutdown, cause, signals).await);
                }
                Asked::Leave => return End::Told(self.leave(signals).await),
            }
        }
    }

    /// Finishes what is under way, however long that takes: another serves already.
    async fn leave(self, signals: Signals) -> Drained {
        // Who has taken over answers there too.
        self.admin.begin();
        let deadline = self.config.server.stale_worker_timeout;
        if let Some(receiver) = &self.receiver {
            receiver.drain_within(deadline);
        }
        let limit = "stale_worker_timeout";
        let shutdown = Shutdown { notice: Duration::ZERO, deadline, limit, ..self.shutdown() };
        self.go_down(shutdown, "another has taken over", signals).await
    }

    async fn go_down(self, shutdown: Shutdown, cause: &str, signals: Signals) -> Drained {
        let drained = shutdown.run_with(cause, signals).await;
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
            limit: "drain_timeout",
            patience: self.config.ssync.drain_timeout,
        }
    }

    async fn close_admin(&self) {
        self.admin.begin();
        self.admin.finish(ADMIN_CLOSE_TIMEOUT).await;
    }
}

#[cfg(test)]
mod tests;
