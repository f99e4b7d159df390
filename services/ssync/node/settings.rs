//! What the configuration says, as each part wants to be told.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use anyhow::Context as _;
use ssync_diskfile::DiskConfig;
use ssync_protocol::FailureLimits;
use ssync_receiver::{ReceiverConfig, SessionLimits};
use ssync_replicator::ReplicatorConfig;
use ssync_ring::{PolicyKind, SwiftConf};
use ssync_runtime::{
    BindAddress, Config, Filter, GrpcOptions, ListenOptions, NodeOptions, Plain, PortOptions, Reserve,
    StatsdLabelMode, TlsRoute,
};
use ssync_sidecar::{
    Constraints, FilterConfig, LineFormat, Policies, RateOptions, RatelimitConfig, ReconConfig, SidecarConfig,
};
use ssync_statsd::{LabelMode, Labels, Statsd, StatsdSettings};
use ssync_store::{RemoteSettings, RemoteStore, StoreAddress};
use ssync_tls::Tls;
use ssync_types::PolicyIndex;

use crate::{exit::Unusable, node::Parts};

/// The disk layer, for a receiver or for the replicator's own reading.
pub(super) fn disk(node: &NodeOptions, config: &Config) -> DiskConfig {
    DiskConfig {
        devices: node.devices.clone(),
        mount_check: node.mount_check,
        reclaim_age: node.reclaim_age,
        commit_window: node.commit_window,
        fallocate_reserve: match node.fallocate_reserve {
            Reserve::Bytes(bytes) => ssync_diskfile::Reserve::Bytes(bytes),
            Reserve::Percent(percent) => ssync_diskfile::Reserve::Percent(percent),
        },
        disable_fallocate: node.disable_fallocate,
        disk_chunk_size: node.disk_chunk_size as usize,
        mb_per_sync: u64::from(node.mb_per_sync),
        keep_cache_size: config.server.keep_cache_size,
        keep_cache_private: config.server.keep_cache_private,
        keep_cache_slo_manifest: config.server.keep_cache_slo_manifest,
        replication_lock_timeout: node.replication_lock_timeout,
        removal_log_age: config.ssync.removal_log_age,
        removal_log_bytes_max: u64::from(config.ssync.removal_log_mb) << 20,
        durability: config.ssync.durability.into(),
    }
}

/// How each policy keeps its objects.
pub(super) fn disk_policies(swift: &SwiftConf) -> BTreeMap<PolicyIndex, ssync_diskfile::PolicyKind> {
    let kind = |kind: &PolicyKind| match kind {
        PolicyKind::Replication => ssync_diskfile::PolicyKind::Replication,
        PolicyKind::ErasureCoding { data, parity, .. } => {
            ssync_diskfile::PolicyKind::ErasureCoding { fragments: data + parity }
        }
    };
    swift.policies().iter().map(|policy| (policy.index, kind(&policy.kind))).collect()
}

/// What a running receiver can be told.
pub(super) fn session_limits(config: &Config) -> SessionLimits {
    SessionLimits {
        replication_concurrency: config.server.replication_concurrency,
        replication_concurrency_per_device: config.server.replication_concurrency_per_device,
        grpc_sessions_per_device: config.ssync.grpc_sessions_per_device,
        session_updates_max: config.ssync.session_updates_max,
        session_time_max: config.ssync.session_time_max,
    }
}

/// The receiver.
pub(super) fn receiver(config: &Config, swift: &SwiftConf, statsd: Statsd) -> ReceiverConfig {
    let server = &config.server;
    ReceiverConfig {
        replication_concurrency: server.replication_concurrency,
        replication_concurrency_per_device: server.replication_concurrency_per_device,
        grpc_sessions_per_device: config.ssync.grpc_sessions_per_device,
        grpc_device_lock: config.ssync.grpc_device_lock,
        replication_lock_timeout: config.node.replication_lock_timeout,
        replication_failure_threshold: server.replication_failure_threshold,
        replication_failure_ratio: server.replication_failure_ratio,
        client_timeout: server.client_timeout,
        drain_timeout: config.ssync.drain_timeout,
        session_updates_max: config.ssync.session_updates_max,
        session_time_max: config.ssync.session_time_max,
        inline_bytes_max: config.ssync.inline_bytes_max,
        max_file_size: swift.constraints().max_file_size,
        device_timeout: config.ssync.device_timeout,
        statsd,
        ..ReceiverConfig::default()
    }
}

fn is_default(row: &ssync_runtime::Row) -> bool {
    row.origin == ssync_runtime::Origin::Default
}

/// The sidecar.
pub(super) fn sidecar(config: &Config, swift: &SwiftConf) -> anyhow::Result<SidecarConfig> {
    let server = &config.server;
    let limits = swift.constraints();
    Ok(SidecarConfig {
        client_timeout: server.client_timeout,
        keepalive_timeout: server.keepalive_timeout,
        max_upload_time: server.max_upload_time,
        network_chunk_size: config.node.network_chunk_size as usize,
        allowed_headers: server.allowed_headers.iter().map(|name| name.to_ascii_lowercase()).collect(),
        replication_server: server.replication_server,
        failure_limits: FailureLimits {
            threshold: server.replication_failure_threshold,
            ratio: server.replication_failure_ratio,
        },
        log_requests: server.log_requests,
        log_format: LineFormat::new(
            &server.log_format,
            &server.log_anonymization_method,
            &server.log_anonymization_salt,
        )
        .context(Unusable("log_format or log_anonymization_method cannot be used"))?,
        slow: server.slow,
        filters: config.pipeline.iter().map(|filter| filter_config(*filter, config, swift)).collect(),
        conn_timeout: config.node.conn_timeout,
        node_timeout: server.node_timeout,
        container_update_timeout: server.container_update_timeout,
        update_grace: SidecarConfig::default().update_grace.min(config.ssync.drain_timeout / 2),
        // What is lost then is named before the process ends.
        update_keep_grace: config.ssync.drain_timeout * 9 / 10,
        expiring_objects_account_name: server.expiring_objects_account_name.clone(),
        expiring_objects_container_divisor: u64::from(server.expiring_objects_container_divisor.0),
        constraints: Constraints {
            max_file_size: limits.max_file_size,
            max_object_name_length: size(limits.max_object_name_length),
            max_meta_name_length: size(limits.max_meta_name_length),
            max_meta_value_length: size(limits.max_meta_value_length),
            max_meta_count: size(limits.max_meta_count),
            max_meta_overall_size: size(limits.max_meta_overall_size),
            max_header_size: size(limits.max_header_size),
        },
        ..SidecarConfig::default()
    })
}

/// A filter before the object server.
fn filter_config(filter: Filter, config: &Config, swift: &SwiftConf) -> FilterConfig {
    let node = &config.node;
    match filter {
        Filter::Healthcheck => {
            FilterConfig::Healthcheck { disable_path: config.healthcheck.disable_path.clone() }
        }
        Filter::Recon => {
            let rings = ["account.ring.gz", "container.ring.gz"].map(|ring| node.swift_dir.join(ring));
            let policies = swift.policies().iter().map(|policy| policy.ring_path(&node.swift_dir));
            FilterConfig::Recon(ReconConfig {
                cache_path: config.recon.recon_cache_path.clone(),
                devices: node.devices.clone(),
                rings: rings.into_iter().chain(policies).collect(),
                swift_conf: node.swift_dir.join("swift.conf"),
            })
        }
        Filter::BackendRatelimit => FilterConfig::BackendRatelimit(ratelimit(config)),
    }
}

fn ratelimit(config: &Config) -> RatelimitConfig {
    let options = &config.backend_ratelimit;
    let path = options.backend_ratelimit_conf_path.clone();
    RatelimitConfig {
        options: RateOptions {
            per_device: options.requests_per_device_per_second,
            buffer: options.requests_per_device_rate_buffer,
            methods: [
                ("DELETE", options.delete_requests_per_device_per_second),
                ("GET", options.get_requests_per_device_per_second),
                ("HEAD", options.head_requests_per_device_per_second),
                ("POST", options.post_requests_per_device_per_second),
                ("PUT", options.put_requests_per_device_per_second),
                ("REPLICATE", options.replicate_requests_per_device_per_second),
                ("UPDATE", options.update_requests_per_device_per_second),
            ]
            .into(),
        },
        path_is_set: path.is_some(),
        path: path.unwrap_or_else(|| config.node.swift_dir.join("backend-ratelimit.conf")),
        reload_interval: options.config_reload_interval,
    }
}

/// Where the object server's metrics go. Receiver and sidecar each send what they know, also where they are two processes.
pub(super) fn statsd(config: &Config) -> anyhow::Result<Statsd> {
    statsd_of(config, &config.node, &config.server.log_name)
}

/// The metrics of one daemon, by its own view of the file.
fn statsd_of(config: &Config, node: &NodeOptions, name: &str) -> anyhow::Result<Statsd> {
    let mode = match node.statsd_label_mode {
        StatsdLabelMode::Disabled => None,
        StatsdLabelMode::Graphite => Some(LabelMode::Graphite),
        StatsdLabelMode::Librato => Some(LabelMode::Librato),
        StatsdLabelMode::Influxdb => Some(LabelMode::Influxdb),
        StatsdLabelMode::Dogstatsd => Some(LabelMode::Dogstatsd),
    };
    let labels = mode.map(|mode| Labels::new(mode, config.statsd_user_labels.clone()));
    let labels = labels.transpose().context(Unusable("a statsd_user_label_... cannot be used"))?;
    if node.log_statsd_host.is_empty() {
        return Ok(Statsd::disabled());
    }
    Ok(Statsd::new(StatsdSettings {
        host: node.log_statsd_host.clone(),
        port: node.log_statsd_port,
        default_sample_rate: node.log_statsd_default_sample_rate,
        sample_rate_factor: node.log_statsd_sample_rate_factor,
        metric_prefix: node.log_statsd_metric_prefix.clone(),
        name: name.to_owned(),
        emit_legacy: node.statsd_emit_legacy,
        labels,
    }))
}

/// A limit on what is held in memory.
fn size(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// The policies, as the sidecar wants them.
pub(super) fn sidecar_policies(swift: &SwiftConf) -> Policies {
    let kind = |kind: &PolicyKind| match kind {
        PolicyKind::Replication => ssync_sidecar::PolicyKind::Replication,
        PolicyKind::ErasureCoding { .. } => ssync_sidecar::PolicyKind::ErasureCoding,
    };
    swift.policies().iter().map(|policy| (policy.index, kind(&policy.kind))).collect()
}

/// The replicator.
pub(super) fn replicator(config: &Config) -> anyhow::Result<ReplicatorConfig> {
    let node = &config.replicator_node;
    let options = &config.replicator;
    let recon_is_set = config.rows.iter().any(|row| row.name == "recon_cache_path" && !is_default(row));
    Ok(ReplicatorConfig {
        bind_ip: node.bind_ip,
        bind_port: ring_port(node, config),
        ring_ip: ring_ip(node, config),
        servers_per_port: node.servers_per_port,
        concurrency: (options.concurrency.max(1) * options.replicator_workers.max(1)) as usize,
        interval: options.interval,
        stats_interval: options.stats_interval,
        conn_timeout: node.conn_timeout,
        node_timeout: options.node_timeout,
        http_timeout: options.http_timeout,
        ring_check_interval: options.ring_check_interval,
        recon_cache_path: (recon_is_set || node.recon_cache_path.is_dir())
            .then(|| node.recon_cache_path.clone()),
        handoffs_first: options.handoffs_first,
        push_returned_devices: config.ssync.push_returned_devices,
        handoff_delete: options.handoff_delete.map(|copies| copies as usize),
        network_chunk_size: node.network_chunk_size as usize,
        recon_per_disk: options.replicator_workers > 0,
        statsd: statsd_of(config, node, &options.log_name)?,
        ..ReplicatorConfig::default()
    })
}

/// The gRPC server.
pub(super) fn grpc(config: &Config) -> GrpcOptions {
    GrpcOptions {
        stream_window: config.ssync.grpc_stream_window,
        connection_window: config.ssync.grpc_connection_window,
        keepalive_interval: config.ssync.grpc_keepalive_interval,
        keepalive_timeout: config.ssync.grpc_keepalive_timeout,
        reflection: config.ssync.grpc_reflection,
        ..GrpcOptions::default()
    }
}

/// Listening addresses.
pub(super) fn listen(config: &Config) -> ListenOptions {
    ListenOptions {
        backlog: config.node.backlog,
        keep_idle: config.node.keep_idle,
        bind_timeout: config.node.bind_timeout,
        unix_mode: config.ssync.receiver_socket_mode.0,
        trust_loopback: config.ssync.trust_loopback,
    }
}

/// A listening port; `takes_forwarded` where a sidecar of ours passes connections on to it.
pub(super) fn port(config: &Config, takes_forwarded: bool, tls: TlsRoute, plain: Plain) -> PortOptions {
    PortOptions {
        connections_max: config.node.max_clients as usize,
        sniff_timeout: config.server.client_timeout,
        takes_forwarded,
        tls,
        plain,
        ..PortOptions::default()
    }
}

/// The address that the rings have for this node's replication, where that is not bind_ip.
pub(super) fn ring_ip(node: &NodeOptions, config: &Config) -> Option<IpAddr> {
    node.ring_ip.or(config.ssync.replication_bind.map(|address| address.ip()))
}

/// The port that they have for it.
pub(super) fn ring_port(node: &NodeOptions, config: &Config) -> u16 {
    config.ssync.replication_bind.map_or(node.bind_port, |address| address.port())
}

/// Where a receiver that is a process of its own is found.
pub(super) fn receiver_address(config: &Config) -> BindAddress {
    config
        .ssync
        .receiver_address
        .clone()
        .unwrap_or_else(|| BindAddress::Unix(config.ssync.receiver_socket.clone()))
}

/// The receiver of this node, for a part that runs without it. A replicator finds it at the node's own port where no
/// receiver is a process of its own.
pub(super) fn remote_store(config: &Config, parts: Parts, tls: Option<&Tls>) -> anyhow::Result<RemoteStore> {
    let no_receiver_alone = config.ssync.receiver_address.is_none() && !config.ssync.receiver_socket.exists();
    let address = match receiver_address(config) {
        _ if parts == Parts::Replicator && no_receiver_alone => own_address(config),
        address => store_address(address),
    };
    let settings = own_receiver(config, tls);
    RemoteStore::new(address, settings).context(Unusable("receiver_address cannot be used"))
}

/// How this node's own receiver is called: by TLS where that takes nothing else.
pub(super) fn own_receiver(config: &Config, tls: Option<&Tls>) -> RemoteSettings {
    let tls = tls.filter(|tls| tls.is_required());
    RemoteSettings { tls_name: tls.and_then(Tls::own_host), ..remote(&config.node, config, tls) }
}

/// The same, by the address of an option.
pub(super) fn store_address(address: BindAddress) -> StoreAddress {
    match address {
        BindAddress::Tcp(address) => StoreAddress::Tcp(address.to_string()),
        BindAddress::Unix(path) => StoreAddress::Unix(path),
    }
}

fn own_address(config: &Config) -> StoreAddress {
    let node = &config.replicator_node;
    let ip = match ring_ip(node, config).unwrap_or(node.bind_ip) {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    StoreAddress::of_node(&ip.to_string(), ring_port(node, config))
}

/// How other nodes are called by a daemon that sees the file so.
pub(super) fn remote(node: &NodeOptions, config: &Config, tls: Option<&Tls>) -> RemoteSettings {
    RemoteSettings {
        tls: tls.cloned(),
        connect_timeout: node.conn_timeout,
        heartbeat_interval: config.ssync.heartbeat_interval,
        ..RemoteSettings::default()
    }
}
