//! The making of a node: its parts, joined, and the addresses that they listen on.

use std::sync::Arc;

use anyhow::Context as _;
use ssync_api::FILE_DESCRIPTOR_SET;
use ssync_background::Background;
use ssync_diskfile::{Devices, DiskConfig};
use ssync_receiver::{
    AdminGrpc, Authority, GrpcSettings, Placement, Receiver, ReceiverConfig, RingPlacement, services,
};
use ssync_replicator::Replicator;
use ssync_ring::{LocalAddresses, SwiftConf};
use ssync_runtime::{
    Admin, Config, Drain, DurabilityOption, GrpcServer, Health, Incoming, Inherited, ListenError, Listener,
    LogFilter, Metrics, PeerInfo, Port, Route, Row, connection_queue,
};
use ssync_sidecar::Sidecar;
use ssync_statsd::Statsd;
use ssync_store::Store;
use ssync_tls::Tls;
use ssync_types::{Identity, Role};
use tokio::{runtime::Handle, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{
    control::ControlGrpc, exit::Unusable, log_level::LogGrpc, on_demand::ReplicatorGrpc,
    status_page::StatusPage,
};

use super::{
    Address, Parts, SERVICES, Surroundings,
    addresses::{Purpose, addresses},
    readiness::Readiness,
    reload::Followed,
    rings::ReplicationRings,
    settings, tls,
};

/// The parts of a node, made but not listening.
pub(super) struct Plan {
    pub(super) config: Config,
    parts: Parts,
    metrics: Metrics,
    tls: Option<Tls>,
    authority: Option<Authority>,
    pub(super) drain: Drain,
    pub(super) background: Background,
    pub(super) admin: Drain,
    /// It cannot go on.
    pub(super) fault: CancellationToken,
    pub(super) health: Health,
    swift: SwiftConf,
    placement: Arc<RingPlacement>,
    /// What sidecar and replicator ask: the receiver here, or one elsewhere.
    store: Arc<dyn Store>,
    pub(super) receiver: Option<Arc<Receiver>>,
    sidecar: Option<Sidecar>,
    pub(super) replicator: Option<Arc<Replicator>>,
    pub(super) rows: watch::Sender<Arc<[Row]>>,
    log_filter: Option<LogFilter>,
    inherited: Inherited,
}

impl Plan {
    /// Reads rings and policies, and makes the parts.
    pub(super) async fn make(
        surroundings: Surroundings,
        config: Config,
        parts: Parts,
    ) -> anyhow::Result<Self> {
        let Surroundings { metrics, log_filter, inherited } = surroundings;
        let drain = Drain::new();
        let background = Background::start().context("cannot start threads")?;
        let health = Health::new(SERVICES).await;
        metrics.show_health(&health);
        let swift = swift_conf(&config)?;
        let placement = Arc::new(placement(&config, &swift)?);
        let tls = tls::tls(&config)?;
        if let Some(tls) = &tls {
            tls.observe(&metrics.meter());
            drain.spawn(tls.clone().follow(config.ssync.tls_reload_interval, drain.token()));
        }
        tls::warn_of_coding(tls.as_ref(), swift.policies());
        let authority = tls.as_ref().map(|_| authority(&placement, &metrics));
        // One for all: within a process, those who write, clean up and remove in one directory wait for each other.
        let node = if parts == Parts::Replicator { &config.replicator_node } else { &config.node };
        let devices = Arc::new(devices(settings::disk(node, &config), &swift));
        let statsd = settings::statsd(&config)?;
        let receiver = match parts.receiver() {
            true => {
                let options = settings::receiver(&config, &swift, statsd.clone());
                let receiver = receiver(options, &devices, &placement, &drain, &health);
                receiver.observe(&metrics.meter());
                warn_of_durability(&config);
                Some(receiver)
            }
            false => None,
        };
        let store: Arc<dyn Store> = match &receiver {
            Some(receiver) => Arc::clone(receiver) as Arc<dyn Store>,
            None => Arc::new(settings::remote_store(&config, parts, tls.as_ref())?),
        };
        let sidecar = match parts.sidecar() {
            true => Some(sidecar(&config, &swift, &store, statsd, &drain)?),
            false => None,
        };
        drain.spawn(Arc::clone(&placement).follow(drain.token()));
        let replicator = if parts.replicator() {
            let rings = Arc::new(ReplicationRings::new(placement.clone(), &swift));
            let options = settings::replicator(&config)?;
            if receiver.is_none() {
                let statsd = options.statsd.clone();
                devices.at_quarantine(move || statsd.increment("quarantines"));
            }
            let remote = settings::remote(&config.replicator_node, &config, tls.as_ref());
            let replicator = Replicator::new(options, rings, devices, Arc::clone(&store), remote);
            let replicator = Arc::new(replicator);
            replicator.observe(&metrics.meter());
            Some(replicator)
        } else {
            None
        };
        Ok(Self {
            rows: watch::Sender::new(config.rows.clone().into()),
            config,
            parts,
            tls,
            authority,
            metrics,
            log_filter,
            inherited,
            drain,
            background,
            admin: Drain::new(),
            fault: CancellationToken::new(),
            health,
            swift,
            placement,
            store,
            receiver,
            sidecar,
            replicator,
        })
    }

    /// Binds every address before any of them is served, so that a node either starts whole or not at all.
    pub(super) async fn listen(&mut self) -> anyhow::Result<()> {
        let data = self.data_addresses().await?;
        let admin = self.admin_address().await?;
        for socket in self.inherited.left_over() {
            tracing::warn!("the service manager has handed over a socket that no option names: {socket}");
        }
        for (Serving { servers, ports }, drain) in [(data, &self.drain), (admin, &self.admin)] {
            for port in ports {
                tracing::info!(address = %port.address(), parts = ?self.parts, "listening");
                drain.spawn(port.serve(drain.clone()));
            }
            for server in servers {
                self.serve(server, drain);
            }
        }
        Ok(())
    }

    /// Says from now on whether the node can do its work.
    pub(super) async fn tell_readiness(&self) -> anyhow::Result<()> {
        let receiver = match self.parts {
            Parts::Sidecar => Some(self.receiver_channel()?),
            _ => None,
        };
        let mut readiness =
            Readiness::new(self.health.clone(), self.placement.clone(), self.swift.policies(), receiver);
        readiness.look().await;
        self.drain.spawn(readiness.follow(self.drain.token()));
        Ok(())
    }

    /// What a reload looks at again.
    pub(super) fn followed(&self) -> Vec<Followed> {
        let placement = Arc::clone(&self.placement);
        let rings = Followed::new("the rings", move || placement.refresh_now());
        let certificates =
            self.tls.clone().map(|tls| Followed::new("the certificates", move || tls.look_again()));
        std::iter::once(rings).chain(certificates).collect()
    }

    /// Where objects are served.
    async fn data_addresses(&mut self) -> anyhow::Result<Serving> {
        let wanted = addresses(&self.config, self.parts);
        let wanted = wanted.into_iter().filter(|address| address.purpose != Purpose::Admin);
        let ((ours, from_ours), (peers, from_peers)) = (connection_queue(), connection_queue());
        let mut serving = Serving::default();
        for address in wanted {
            let (grpc, tls) = match &self.receiver {
                Some(_) => {
                    let queues = Route::Queues { ours: ours.clone(), peers: peers.clone() };
                    (queues, tls::route(self.tls.as_ref(), None))
                }
                None => {
                    let receiver = settings::receiver_address(&self.config);
                    (Route::Forward(receiver.clone()), tls::route(None, Some(receiver)))
                }
            };
            let listener = self.bind(&address).await?;
            let plain = tls::plain(&self.config, address.purpose);
            tls::warn_of_plain(listener.address(), address.purpose, &plain);
            let takes_forwarded = address.purpose == Purpose::Own;
            let options = settings::port(&self.config, takes_forwarded, tls, plain);
            serving.ports.push(Port::new(listener, options, grpc, self.http_route()));
        }
        if self.receiver.is_some() {
            let here = (from_ours, Handle::current());
            let background = (from_peers, self.background.handle());
            for (incoming, runtime) in [here, background] {
                serving.servers.push(Server { grpc: self.data_server()?, incoming, runtime });
            }
        }
        Ok(serving)
    }

    /// Where the daemon is asked about itself. A host may have several of a kind, each with a configuration that does not
    /// speak of this: all but the first do without.
    async fn admin_address(&mut self) -> anyhow::Result<Serving> {
        let all = addresses(&self.config, self.parts);
        let Some(address) = all.into_iter().find(|address| address.purpose == Purpose::Admin) else {
            return Ok(Serving::default());
        };
        let listener = match self.bind(&address).await {
            Err(ListenError::InUse { address: taken, .. }) if !address.chosen => {
                tracing::warn!(
                    address = %taken,
                    "no metrics, health or admin service: the address is in use; set {}", address.option
                );
                return Ok(Serving::default());
            }
            bound => bound?,
        };
        let (queue, incoming) = connection_queue();
        let route = Route::Queue(queue);
        let plain = tls::plain(&self.config, address.purpose);
        tls::warn_of_plain(listener.address(), address.purpose, &plain);
        let options = settings::port(&self.config, false, tls::route(self.tls.as_ref(), None), plain);
        let port = Port::new(listener, options, route.clone(), route);
        let server = Server { grpc: self.admin_server()?, incoming, runtime: Handle::current() };
        Ok(Serving { servers: vec![server], ports: vec![port] })
    }

    fn http_route(&self) -> Route {
        let Some(sidecar) = self.sidecar.clone() else {
            return Route::Close("HTTP is the sidecar's; this address serves gRPC");
        };
        Route::handle(move |connection| {
            let sidecar = sidecar.clone();
            async move {
                // A Unix socket has no address of its own; its clients are on this host.
                let peer = connection.peer().remote.unwrap_or_else(|| ([127, 0, 0, 1], 0).into());
                sidecar.serve_connection(connection, peer).await;
            }
        })
    }

    fn data_server(&self) -> anyhow::Result<GrpcServer> {
        let mut grpc = GrpcSettings::new(is_local, self.drain.token());
        grpc.heartbeat_interval = self.config.ssync.heartbeat_interval;
        grpc.silence_timeout = self.config.server.client_timeout;
        grpc.authority = self.authority.clone();
        let server = GrpcServer::new(
            settings::grpc(&self.config),
            &[FILE_DESCRIPTOR_SET],
            &self.health,
            &self.metrics,
        )?;
        let (replication, object, device) = services(Arc::clone(&self.store), grpc);
        Ok(server.add_service(replication).add_service(object).add_service(device))
    }

    fn admin_server(&self) -> anyhow::Result<GrpcServer> {
        let mut options = settings::grpc(&self.config);
        options.http1 = true;
        options.reflection = true;
        let mut server = GrpcServer::new(options, &[FILE_DESCRIPTOR_SET], &self.health, &self.metrics)?;
        if let Some(receiver) = &self.receiver {
            server = server.add_service(AdminGrpc::server(Arc::clone(receiver), may_administer));
        }
        if let Some(replicator) = &self.replicator {
            server = server.add_service(ReplicatorGrpc::server(
                Arc::clone(replicator),
                may_administer,
                self.drain.token(),
            ));
        }
        if self.receiver.is_some() || self.replicator.is_some() {
            let (receiver, replicator) = (self.receiver.clone(), self.replicator.clone());
            server = server.add_service(ControlGrpc::server(receiver, replicator, may_administer));
        }
        if let Some(filter) = &self.log_filter {
            server = server.add_service(LogGrpc::server(filter.clone(), may_administer));
        }
        let metrics = self.config.ssync.metrics.then(|| self.metrics.clone());
        let page = Some(self.status_page().served());
        let admin = Admin { health: self.health.clone(), metrics, config: self.rows.subscribe(), page };
        Ok(admin.routes_on(server))
    }

    /// What people see at the admin address.
    fn status_page(&self) -> StatusPage {
        let admin = self.receiver.clone().map(|receiver| AdminGrpc::new(receiver, may_administer));
        let replicator = self.replicator.clone();
        let replicator =
            replicator.map(|replicator| ReplicatorGrpc::new(replicator, may_administer, self.drain.token()));
        StatusPage::new(&self.config, self.parts, self.health.clone(), self.drain.token(), admin, replicator)
    }

    /// A socket that was handed over, or one of our own.
    async fn bind(&mut self, address: &Address) -> Result<Listener, ListenError> {
        let options = address.options(&self.config);
        match self.inherited.take(address.name, &address.at, &options)? {
            Some(listener) => Ok(listener),
            None => Listener::bind(&address.at, &options).await,
        }
    }

    /// A way to the receiver that is a process of its own.
    fn receiver_channel(&self) -> anyhow::Result<tonic::transport::Channel> {
        let address = settings::store_address(settings::receiver_address(&self.config));
        let settings = settings::own_receiver(&self.config, self.tls.as_ref());
        settings.channel(&address).context(Unusable("receiver_address cannot be used"))
    }

    /// A server that cannot go on takes the daemon down.
    fn serve(&self, server: Server, until: &Drain) {
        let (fault, told) = (self.fault.clone(), until.clone());
        let serving = async move {
            if let Err(error) = server.grpc.serve(server.incoming, &told).await {
                tracing::error!(%error, "the daemon cannot go on and drains");
                fault.cancel();
            }
        };
        until.spawn_on(serving, &server.runtime);
    }
}

/// Addresses that are bound, and the gRPC servers behind them.
#[derive(Default)]
struct Serving {
    servers: Vec<Server>,
    ports: Vec<Port>,
}

/// A gRPC server, what goes to it, and where it runs.
struct Server {
    grpc: GrpcServer,
    incoming: Incoming,
    runtime: Handle,
}

/// Who may let go of this node's objects, and drain it: a caller on this node, whose connection nobody passed on.
fn is_local(extensions: &tonic::Extensions) -> bool {
    extensions.get::<PeerInfo>().is_some_and(PeerInfo::is_local)
}

/// Who may have the admin service do things: the same, and who has the role.
fn may_administer(extensions: &tonic::Extensions) -> bool {
    is_local(extensions) || identity(extensions).is_some_and(|identity| identity.role() == Some(Role::Admin))
}

/// Whose certificate the connection has shown.
fn identity(extensions: &tonic::Extensions) -> Option<Arc<Identity>> {
    extensions.get::<PeerInfo>()?.identity.clone()
}

/// Judges callers by their certificates and the rings.
fn authority(placement: &Arc<RingPlacement>, metrics: &Metrics) -> Authority {
    let placement: Arc<dyn Placement> = Arc::clone(placement) as _;
    let authority = Authority::new(identity, placement);
    authority.observe(&metrics.meter());
    authority
}

/// The receiver. By the admin service it alone is told to drain; the node is not ready then.
fn receiver(
    options: ReceiverConfig,
    devices: &Arc<Devices>,
    placement: &Arc<RingPlacement>,
    drain: &Drain,
    health: &Health,
) -> Arc<Receiver> {
    let (told, health) = (drain.token(), health.clone());
    let receiver = Receiver::new(options, Arc::clone(devices), Arc::clone(placement) as _, told.clone());
    drain.spawn(async move {
        told.cancelled().await;
        health.set_not_ready().await;
    });
    receiver
}

fn warn_of_durability(config: &Config) {
    if config.ssync.durability == DurabilityOption::None {
        tracing::warn!(
            "durability = none: what this node stores is lost if the power fails, and no peer removes anything on its word; \
             set batch or object"
        );
    }
}

/// The sidecar; what it does in the background belongs to the drain.
fn sidecar(
    config: &Config,
    swift: &SwiftConf,
    store: &Arc<dyn Store>,
    statsd: Statsd,
    drain: &Drain,
) -> anyhow::Result<Sidecar> {
    let (policies, hash_path) = (settings::sidecar_policies(swift), swift.hash_path().clone());
    let config = settings::sidecar(config, swift)?;
    let sidecar = Sidecar::new(config, Arc::clone(store), policies, hash_path, statsd, drain.token());
    let (told, background) = (drain.token(), sidecar.clone());
    drain.spawn(async move {
        told.cancelled().await;
        background.finish_updates().await;
    });
    Ok(sidecar)
}

pub(super) fn devices(config: DiskConfig, swift: &SwiftConf) -> Devices {
    Devices::new(config, swift.hash_path().clone(), settings::disk_policies(swift))
}

/// Reads all that a node reads before it serves, for who wants to know whether it could.
pub(super) fn check(config: &Config) -> anyhow::Result<()> {
    let swift = swift_conf(config)?;
    tls::tls(config)?;
    let placement = placement(config, &swift)?;
    for policy in swift.policies().iter().filter(|policy| placement.ring(policy.index).is_none()) {
        eprintln!("ssync: there is no ring of policy {} ({}); it is waited for", policy.index, policy.name);
    }
    settings::statsd(config)?;
    settings::sidecar(config, &swift)?;
    settings::replicator(config)?;
    Ok(())
}

fn swift_conf(config: &Config) -> anyhow::Result<SwiftConf> {
    SwiftConf::load(&config.node.swift_dir).context("swift.conf cannot be used")
}

fn placement(config: &Config, swift: &SwiftConf) -> anyhow::Result<RingPlacement> {
    let node = &config.node;
    let ip = settings::ring_ip(node, config).unwrap_or(node.bind_ip).to_string();
    let port = (node.servers_per_port == 0).then_some(settings::ring_port(node, config));
    let local = LocalAddresses::new(Some(&ip), port)
        .context(Unusable("this node's own addresses are not known (bind_ip, ring_ip)"))?;
    Ok(RingPlacement::load(&node.swift_dir, swift.policies(), local, config.replicator.ring_check_interval))
}
