//! Who is asked: a running replicator of this node, or one that is started for the question.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use futures_util::stream::BoxStream;
use ssync_api::{
    admin::{GetReplicatorStatusRequest, replicator_service_client::ReplicatorServiceClient},
    status::from_status,
};
use ssync_replicator::Replicator;
use ssync_runtime::{BindAddress, Config, LogLevel, Telemetry};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use crate::{
    cli::RunningArgs,
    commands::daemon,
    node::{Node, Parts},
};

/// How long a replicator may take to be found.
const FIND_WAIT_MAX: Duration = Duration::from_secs(3);

/// Who is asked does not answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotThere(pub String);

/// A running replicator.
pub(crate) struct Running {
    pub(crate) client: ReplicatorServiceClient<Channel>,
    pub(crate) address: BindAddress,
}

/// Answers of either.
pub(crate) type Answers<T> = BoxStream<'static, anyhow::Result<T>>;

/// What a refusal says.
pub(crate) fn refused(status: &Status) -> anyhow::Error {
    anyhow::anyhow!("{}", from_status(status))
}

impl Running {
    /// The one at the address that was given, or at those of the configuration; `None` when none of those has one.
    pub(crate) async fn find(args: &RunningArgs) -> anyhow::Result<Option<Self>> {
        if let Some(address) = &args.admin {
            let unreachable = |error| NotThere(format!("{address} cannot be reached: {error:#}"));
            let found = Self::at(address.clone()).await.map_err(unreachable)?;
            let none = || NotThere(format!("no replicator runs in the process at {address}"));
            return Ok(Some(found.ok_or_else(none)?));
        }
        for address in addresses(&daemon::config(&args.daemon)?) {
            if let Ok(Some(found)) = Self::at(address).await {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// `None` where the service is not served.
    async fn at(address: BindAddress) -> anyhow::Result<Option<Self>> {
        let channel = endpoint(&address)?.connect().await?;
        let mut client = ReplicatorServiceClient::new(channel);
        let look = client.get_replicator_status(GetReplicatorStatusRequest {});
        match tokio::time::timeout(FIND_WAIT_MAX, look).await.context("it does not answer")? {
            Ok(_) => Ok(Some(Self { client, address })),
            Err(status) if status.code() == Code::Unimplemented => Ok(None),
            Err(status) => Err(refused(&status)),
        }
    }
}

/// Where a replicator of this node may be asked.
pub(crate) fn addresses(config: &Config) -> Vec<BindAddress> {
    let options = &config.ssync;
    let admins = [&options.admin_bind, &options.replicator_admin_bind];
    admins.into_iter().filter_map(|address| reachable(address.as_ref())).collect()
}

/// The way to a daemon's admin service.
pub(crate) fn endpoint(address: &BindAddress) -> anyhow::Result<Endpoint> {
    let uri = match address {
        BindAddress::Tcp(at) => format!("http://{at}"),
        BindAddress::Unix(path) => format!("unix://{}", path.display()),
    };
    Ok(Endpoint::from_shared(uri)?.connect_timeout(FIND_WAIT_MAX))
}

/// Where an address that a daemon listens at is reached from this node: one that is everywhere, by loopback.
pub(crate) fn reachable(address: Option<&BindAddress>) -> Option<BindAddress> {
    match address? {
        BindAddress::Tcp(at) if at.ip().is_unspecified() => {
            let ip = if at.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
            Some(BindAddress::Tcp(SocketAddr::new(ip, at.port())))
        }
        other => Some(other.clone()),
    }
}

/// A replicator in this process, which makes no passes.
pub(crate) struct Alone {
    pub(crate) node: Node,
    telemetry: Telemetry,
}

impl Alone {
    /// Starts it, as `ssync replicator --once` does. The log tells what goes wrong, and the rest with `--verbose`.
    pub(crate) async fn start(args: &RunningArgs) -> anyhow::Result<Self> {
        let mut config = daemon::config(&args.daemon)?;
        config.ssync.replicator_admin_bind = None;
        if !args.daemon.verbose {
            config.node.log_level = LogLevel::Warning;
        }
        let telemetry = daemon::telemetry(&config)?;
        let node = Node::start(config, Parts::Replicator, telemetry.metrics()).await?;
        Ok(Self { node, telemetry })
    }

    pub(crate) fn replicator(&self) -> anyhow::Result<&Arc<Replicator>> {
        self.node.replicator().context("this process has no replicator")
    }

    pub(crate) async fn stop(self) {
        self.node.stop().await;
        self.telemetry.shutdown().await;
    }
}
