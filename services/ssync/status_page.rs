//! The status page of this process: its own admin services are asked, as anybody may ask them, and the answers drawn.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Instant, SystemTime},
};

use ssync_api::admin::{
    GetLimitsRequest, GetReplicatorStatusRequest, GetReplicatorStatusResponse, GetServerInfoRequest,
    ListDevicesRequest, ListSessionsRequest, admin_service_server::AdminService,
    replicator_service_server::ReplicatorService,
};
use ssync_page::{Elsewhere, Receives, Report, State, Who};
use ssync_receiver::AdminGrpc;
use ssync_runtime::{BindAddress, Config, Document, Health, Page};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::{node::Parts, on_demand::ReplicatorGrpc};

/// What the page is made of.
pub(crate) struct StatusPage {
    host: String,
    address: String,
    parts: Parts,
    started: Instant,
    health: Health,
    drain: CancellationToken,
    admin: Option<AdminGrpc>,
    replicator: Option<ReplicatorGrpc>,
    elsewhere: Vec<Elsewhere>,
}

impl StatusPage {
    /// Of a process that has these parts; it is asked about those whose services are there.
    pub(crate) fn new(
        config: &Config,
        parts: Parts,
        health: Health,
        drain: CancellationToken,
        admin: Option<AdminGrpc>,
        replicator: Option<ReplicatorGrpc>,
    ) -> Self {
        Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            address: address(config, parts),
            parts,
            started: Instant::now(),
            health,
            drain,
            elsewhere: elsewhere(config, admin.is_some(), replicator.is_some()),
            admin,
            replicator,
        }
    }

    /// The page, for the admin address.
    pub(crate) fn served(self) -> Page {
        let page = Arc::new(self);
        Page::new(move |refresh| {
            let page = Arc::clone(&page);
            async move {
                Document {
                    html: ssync_page::html(&page.report(refresh).await),
                    content_security_policy: ssync_page::content_security_policy(),
                }
            }
        })
    }

    async fn report(&self, refresh: Option<u32>) -> Report {
        let replicates = match &self.replicator {
            Some(replicator) => Some(replicates(replicator).await),
            None => None,
        };
        let receives = match &self.admin {
            Some(admin) => Some(receives(admin).await.with_those_of_the_rings(replicates.as_ref())),
            None => None,
        };
        Report {
            who: self.who(),
            at: SystemTime::now(),
            state: self.state(receives.as_ref()),
            receives,
            replicates,
            elsewhere: self.elsewhere.clone(),
            refresh,
        }
    }

    fn who(&self) -> Who {
        Who {
            host: self.host.clone(),
            address: self.address.clone(),
            parts: named(self.parts).to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.started.elapsed().as_secs(),
        }
    }

    fn state(&self, receives: Option<&Receives>) -> State {
        // By the admin service the receiver alone is told to drain.
        match receives.is_some_and(|receives| receives.info.draining) || self.drain.is_cancelled() {
            true => State::Draining,
            false if self.health.is_ready() => State::Ready,
            false => State::NotReady,
        }
    }
}

async fn receives(admin: &AdminGrpc) -> Receives {
    Receives {
        info: told(admin.get_server_info(Request::new(GetServerInfoRequest {})).await),
        devices: told(admin.list_devices(Request::new(ListDevicesRequest {})).await).devices,
        sessions: told(admin.list_sessions(Request::new(ListSessionsRequest {})).await).sessions,
        limits: told(admin.get_limits(Request::new(GetLimitsRequest {})).await).limits,
    }
}

async fn replicates(replicator: &ReplicatorGrpc) -> GetReplicatorStatusResponse {
    told(replicator.get_replicator_status(Request::new(GetReplicatorStatusRequest {})).await)
}

/// Nothing of a service that refuses; those of this process do not.
fn told<T: Default>(answer: Result<Response<T>, Status>) -> T {
    answer.map_or_else(
        |status| {
            tracing::warn!(%status, "the status page lacks an answer");
            T::default()
        },
        Response::into_inner,
    )
}

/// As the rings have it, as far as the configuration says that.
fn address(config: &Config, parts: Parts) -> String {
    let node = if parts == Parts::Replicator { &config.replicator_node } else { &config.node };
    let bound = config.ssync.replication_bind.unwrap_or_else(|| (node.bind_ip, node.bind_port).into());
    match node.ring_ip.unwrap_or(bound.ip()) {
        ip if ip.is_unspecified() => format!("port {}", bound.port()),
        ip => SocketAddr::new(ip, bound.port()).to_string(),
    }
}

fn named(parts: Parts) -> &'static str {
    match parts {
        Parts::Node { with_replicator: true } => "receiver, sidecar and replicator",
        Parts::Node { with_replicator: false } => "receiver and sidecar",
        Parts::Receiver => "receiver",
        Parts::Sidecar => "sidecar",
        Parts::Replicator => "replicator",
    }
}

/// Where to look for what this process does not have.
fn elsewhere(config: &Config, receives: bool, replicates: bool) -> Vec<Elsewhere> {
    let at = |bind: &Option<BindAddress>, option: &str| match bind {
        Some(address) => format!("{address} ({option})"),
        None => format!("nowhere: {option} is empty"),
    };
    let part = |what: &str, at| Elsewhere { what: what.to_owned(), at };
    let options = &config.ssync;
    let receiver = (!receives)
        .then(|| part("Devices, sessions from other nodes, limits", at(&options.admin_bind, "admin_bind")));
    let replicator = (!replicates).then(|| {
        let at = at(&options.replicator_admin_bind, "replicator_admin_bind");
        part("Other nodes, what is pending, throughput", at)
    });
    receiver.into_iter().chain(replicator).collect()
}
