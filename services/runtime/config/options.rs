//! The one table of options: every struct of values, with names, defaults and sentences, comes out of it.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use super::{
    resolve::Reader,
    value::{
        CredentialPath, DurabilityOption, ExpirerDivisor, FileMode, LogFormat, LogLevel, OptionValue,
        StatsdLabelMode, SyncMethod,
    },
};
use ssync_conf::Reserve;

use crate::listen::{BindAddress, Network};

/// One option, as the table has it.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// Its name in the file.
    pub name: &'static str,
    /// Whose it is.
    pub scope: Scope,
    /// Its value when nobody sets it, as one would write it.
    pub default: &'static str,
    /// What a good value looks like.
    pub form: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// When a reload (SIGHUP) puts another value into force; `None` for an option that needs a restart.
    pub live: Option<&'static str>,
    /// Why setting it changes nothing, for an option that Swift has and this program has no use for.
    pub unused: Option<&'static str>,
}

/// Whose an option is: where it stands in the file, and the first part of its flag and variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Every daemon of the node: `[DEFAULT]`, or a daemon's own section.
    Node,
    /// The object server: `[app:object-server]`.
    Server,
    /// The replicator: `[object-replicator]`.
    Replicator,
    /// The health check of the object server: `[filter:healthcheck]`.
    Healthcheck,
    /// What swift-recon asks of the object server: `[filter:recon]`.
    Recon,
    /// The limit on requests into a device: `[filter:backend_ratelimit]`.
    BackendRatelimit,
    /// This program: `[ssync]`.
    Ssync,
}

impl Scope {
    /// All scopes, in the order of the sample.
    pub const ALL: [Self; 7] = [
        Self::Node,
        Self::Server,
        Self::Healthcheck,
        Self::Recon,
        Self::BackendRatelimit,
        Self::Replicator,
        Self::Ssync,
    ];

    /// The section that the sample puts it in.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::Node => "DEFAULT",
            Self::Server => "app:object-server",
            Self::Replicator => "object-replicator",
            Self::Healthcheck => "filter:healthcheck",
            Self::Recon => "filter:recon",
            Self::BackendRatelimit => "filter:backend_ratelimit",
            Self::Ssync => "ssync",
        }
    }

    /// What stands before the name in a flag (`replicator.interval`) and, in capitals, in a variable
    /// (`SSYNC_REPLICATOR_INTERVAL`).
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Node | Self::Ssync => "",
            Self::Server => "server",
            Self::Replicator => "replicator",
            Self::Healthcheck => "healthcheck",
            Self::Recon => "recon",
            Self::BackendRatelimit => "ratelimit",
        }
    }
}

macro_rules! options {
    ($($(#[$struct_doc:meta])* struct $name:ident in $scope:ident {
        $($(#[doc = $doc:literal])+ $field:ident: $ty:ty = $default:literal $(live $when:literal)? $(unused $why:literal)?,)+
    })+) => {
        $($(#[$struct_doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $ty,)+
        }

        impl $name {
            /// The part of the table that this struct was made of.
            pub const TABLE: &'static [OptionSpec] = &[$(OptionSpec {
                name: stringify!($field),
                scope: Scope::$scope,
                default: $default,
                form: <$ty as OptionValue>::FORM,
                doc: concat!($($doc),+),
                live: options!(@text $($when)?),
                unused: options!(@text $($why)?),
            }),+];

            /// Reads every option before it gives up on a bad one, so that all mistakes are found at once.
            pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
                let mut specs = Self::TABLE.iter();
                $(let $field = specs.next().and_then(|spec| reader.value::<$ty>(spec));)+
                Some(Self { $($field: $field?,)+ })
            }
        })+

        /// Every option that there is.
        pub const TABLES: &[&[OptionSpec]] = &[$($name::TABLE),+];
    };
    (@text) => { None };
    (@text $text:literal) => { Some($text) };
}

options! {
    /// What every daemon of a node reads, each by way of its own section.
    struct NodeOptions in Node {
        /// Address to listen on.
        bind_ip: IpAddr = "0.0.0.0",
        /// Port to listen on: the one that the ring names.
        bind_port: u16 = "6200",
        /// Address of this node in the ring, when it is not bind_ip.
        ring_ip: Option<IpAddr> = "",
        /// Seconds to go on trying to listen while the address is in use.
        bind_timeout: Duration = "30",
        /// Connections that the kernel holds until they are accepted.
        backlog: u32 = "4096",
        /// Idle seconds after which a TCP connection is probed.
        keep_idle: Duration = "600",
        /// Most connections open at a time on a listening address.
        max_clients: u32 = "1024",
        /// Folder of swift.conf and the rings.
        swift_dir: PathBuf = "/etc/swift",
        /// Folder of the mounted devices.
        devices: PathBuf = "/srv/node",
        /// Refuse devices that are not mounted.
        mount_check: bool = "true",
        /// Do not reserve space before writing an object.
        disable_fallocate: bool = "false",
        /// Space to leave free on every device: bytes, or a share such as 1%.
        fallocate_reserve: Reserve = "1%",
        /// Seconds after which tombstones are removed; the same on every node.
        reclaim_age: Duration = "604800",
        /// Seconds that a file without a durable mark is left alone, however old its timestamp.
        commit_window: Duration = "60",
        /// Bytes read from or written to a connection at a time; also the longest line of SSYNC.
        network_chunk_size: u32 = "65536",
        /// Bytes read from or written to a disk at a time.
        disk_chunk_size: u32 = "65536",
        /// Megabytes written between two flushes of a large object.
        mb_per_sync: u32 = "512",
        /// Seconds to wait for the lock of a partition or device.
        replication_lock_timeout: Duration = "15",
        /// Seconds to wait for a connection to another node.
        conn_timeout: Duration = "0.5",
        /// Folder of the recon cache that swift-recon reads.
        recon_cache_path: PathBuf = "/var/cache/swift",
        /// Least level that is logged.
        log_level: LogLevel = "INFO" live "at once",
        /// Host of a StatsD server that metrics go to; nothing is sent without one.
        log_statsd_host: String = "",
        /// Port of the StatsD server.
        log_statsd_port: u16 = "8125",
        /// Share of events that are sent to StatsD.
        log_statsd_default_sample_rate: f64 = "1.0",
        /// Factor on the sample rates of single metrics.
        log_statsd_sample_rate_factor: f64 = "1.0",
        /// What stands before the name of each metric.
        log_statsd_metric_prefix: String = "",
        /// Send metrics without labels to StatsD.
        statsd_emit_legacy: bool = "true",
        /// How metrics with labels are sent to StatsD, beside the others. `statsd_user_label_NAME = VALUE` adds a label to each.
        statsd_label_mode: StatsdLabelMode = "disabled",
        /// User that a daemon becomes when root starts it. A name that is not in /etc/passwd is an error if it was set,
        /// and a warning if it is the default.
        user: String = "swift",
        /// Above 0, this node's devices are found in the rings by address alone, whatever their port.
        servers_per_port: u32 = "0",
        /// Syslog facility.
        log_facility: String = "LOG_LOCAL0" unused "logs go to standard error, for the service manager to collect",
        /// Syslog socket.
        log_address: String = "/dev/log" unused "logs go to standard error, for the service manager to collect",
        /// Niceness of the process, from -20 to 19. Threads that replicate are 10 nicer than those that serve clients; so is
        /// the replicator, where nothing is set for it.
        nice_priority: Option<i32> = "",
        /// I/O scheduling class of the processes.
        ionice_class: String = "" unused "set it in the service manager (IOSchedulingClass=)",
        /// I/O scheduling priority of the processes.
        ionice_priority: String = "" unused "set it in the service manager (IOSchedulingPriority=)",
    }

    /// What the object server reads: HTTP object API, SSYNC and gRPC alike.
    struct ServerOptions in Server {
        /// Serve REPLICATE and SSYNC as well.
        replication_server: bool = "true",
        /// Most replication sessions into this node at a time, by gRPC or SSYNC; 0 for no limit.
        replication_concurrency: u32 = "4" live "with new sessions",
        /// Most SSYNC sessions into one device at a time; 0 for no limit.
        replication_concurrency_per_device: u32 = "1" live "with new sessions",
        /// Old form of replication_concurrency_per_device, true for 1 and false for 0; counts where that is not set.
        replication_one_per_device: Option<bool> = "" live "with new sessions",
        /// Failed updates after which a session may be broken off.
        replication_failure_threshold: u64 = "100",
        /// Failed updates for each good one above which a session is broken off.
        replication_failure_ratio: f64 = "1.0",
        /// Seconds to wait for a client to send something.
        client_timeout: Duration = "60",
        /// Seconds that a connection may be idle between two requests, 0 for one request a connection; client_timeout where it
        /// is not set.
        keepalive_timeout: Option<Duration> = "",
        /// Seconds to wait for a container server to answer.
        node_timeout: Duration = "3",
        /// Seconds that a client waits for a container update before it goes on in the background.
        container_update_timeout: Duration = "1",
        /// Account of the expirer's queue, without its dot; the same on every node and proxy. Swift calls the option
        /// deprecated.
        expiring_objects_account_name: String = "expiring_objects",
        /// Seconds of which entries of the expirer's queue share their containers, above 100; the same on every node and
        /// proxy. Swift calls the option deprecated.
        expiring_objects_container_divisor: ExpirerDivisor = "86400",
        /// Seconds that one upload may take.
        max_upload_time: Duration = "86400",
        /// Bytes up to which an object stays in the page cache once it was read.
        keep_cache_size: u64 = "5242880",
        /// Keep objects of authenticated requests in the page cache as well.
        keep_cache_private: bool = "false",
        /// Keep manifests of large objects in the page cache as well.
        keep_cache_slo_manifest: bool = "false",
        /// Share in percent of full reads that compare the MD5.
        etag_validate_pct: f64 = "100" unused "every full read is checked",
        /// Headers that are stored with an object, besides X-Object-Meta-*.
        allowed_headers: Vec<String> = "Content-Disposition, Content-Encoding, X-Delete-At, X-Object-Manifest, X-Static-Large-Object, Cache-Control, Content-Language, Expires, X-Robots-Tag",
        /// Seconds above which a DELETE is logged with its timings; -1 for never.
        slow_delete_log_threshold_seconds: i32 = "120" unused "slow requests are not logged apart yet",
        /// Name in StatsD metrics.
        log_name: String = "object-server",
        /// Write a line for each request.
        log_requests: bool = "true",
        /// That line: remote_addr, time, method, path, disk, partition, account, container, object, status, content_length,
        /// referer, txn_id, user_agent, trans_time, additional_info, pid and policy_index in braces. `{path.anonymized}` is
        /// the digest of a field, `{time.Y}` a part of the time.
        log_format: String = "{remote_addr} - - [{time.d}/{time.b}/{time.Y}:{time.H}:{time.M}:{time.S} +0000] \"{method} {path}\" {status} {content_length} \"{referer}\" \"{txn_id}\" \"{user_agent}\" {trans_time:.4f} \"{additional_info}\" {pid} {policy_index}",
        /// Digest by which fields are made anonymous: md5, sha1, sha224, sha256, sha384 or sha512.
        log_anonymization_method: String = "md5",
        /// What is digested before each of them.
        log_anonymization_salt: String = "",
        /// Worker processes; auto for one for each core.
        workers: Option<u32> = "auto" unused "one process has a thread for each core",
        /// Seconds that a PUT or DELETE is drawn out to, to imitate slow devices.
        slow: Duration = "0",
        /// Chunks between two yields.
        cooperative_period: u32 = "0" unused "disks have threads of their own here",
        /// Threads for disk I/O of one process.
        eventlet_tpool_num_threads: String = "auto" unused "there is no eventlet here; each device has its own threads",
        /// Send objects with splice().
        splice: bool = "no" unused "objects are copied through the process, to check them",
        /// Seconds that the old worker of a server by Swift's name has, after a reload or a graceful stop, for what it has
        /// begun.
        stale_worker_timeout: Duration = "86400",
    }

    /// The health check of the object server.
    struct HealthcheckOptions in Healthcheck {
        /// A file that, while it exists, makes /healthcheck answer 503.
        disable_path: Option<PathBuf> = "",
    }

    /// What swift-recon asks of the object server.
    struct ReconOptions in Recon {
        /// Folder of the recon cache that is shown.
        recon_cache_path: PathBuf = "/var/cache/swift",
    }

    /// The limit on requests into each device.
    struct BackendRatelimitOptions in BackendRatelimit {
        /// A file whose section [backend_ratelimit] overrides these options while the server runs.
        /// `backend-ratelimit.conf` in swift_dir where it is not set.
        backend_ratelimit_conf_path: Option<PathBuf> = "",
        /// Seconds between two looks at that file; 0 for one at the start only.
        config_reload_interval: Duration = "60",
        /// Seconds of idleness that a device may make up for with a burst.
        requests_per_device_rate_buffer: f64 = "1.0",
        /// Requests a second into one device; 0 for no limit.
        requests_per_device_per_second: f64 = "0.0",
        /// The same of DELETE alone.
        delete_requests_per_device_per_second: f64 = "0.0",
        /// The same of GET alone.
        get_requests_per_device_per_second: f64 = "0.0",
        /// The same of HEAD alone.
        head_requests_per_device_per_second: f64 = "0.0",
        /// The same of POST alone.
        post_requests_per_device_per_second: f64 = "0.0",
        /// The same of PUT alone.
        put_requests_per_device_per_second: f64 = "0.0",
        /// The same of REPLICATE alone.
        replicate_requests_per_device_per_second: f64 = "0.0",
        /// The same of UPDATE alone, which container servers have and object servers have not.
        update_requests_per_device_per_second: f64 = "0.0",
    }

    /// What the replicator reads.
    struct ReplicatorOptions in Replicator {
        /// Seconds between two passes.
        interval: Duration = "30" live "with the next pass",
        /// Partitions that are worked on at a time. Swift's default is 1; with more, who is slow holds up itself alone, and a
        /// peer that is asked for too much says when to come back.
        concurrency: u32 = "4" live "at once",
        /// Processes among which devices are dealt; their jobs run in one process here, concurrency for each.
        replicator_workers: u32 = "0" live "at once",
        /// Seconds between two lines of statistics.
        stats_interval: Duration = "300" live "with the next pass",
        /// Seconds between two looks at the ring files.
        ring_check_interval: Duration = "15",
        /// Seconds to wait for a peer to go on.
        node_timeout: Duration = "10",
        /// Seconds to wait for the answer to a REPLICATE request, and for a line of SSYNC.
        http_timeout: Duration = "60",
        /// Push handoff partitions first. For emergencies.
        handoffs_first: bool = "false" live "with the next pass",
        /// Confirmed copies after which a handoff lets go; auto for all. For emergencies.
        handoff_delete: Option<u32> = "auto" live "with the next pass",
        /// How a stock replicator pushes. This one always uses gRPC, or SSYNC to stock nodes, and warns where the file says
        /// rsync.
        sync_method: SyncMethod = "rsync",
        /// Name in StatsD metrics.
        log_name: String = "object-replicator",
        /// Go on for ever; turned off, one pass is made, as with --once. Nothing is put into the background: the service
        /// manager does that.
        daemonize: bool = "on",
        /// Old name of interval; counts where that is not set.
        run_pause: Option<Duration> = "" live "with the next pass",
        /// Seconds without progress after which workers are killed.
        lockup_timeout: Duration = "1800" unused "each session has watchdogs of its own; Swift ignores it too since 2.18",
        /// Seconds that one rsync may take.
        rsync_timeout: Duration = "900" unused "there is no rsync here",
        /// Seconds without I/O after which an rsync ends.
        rsync_io_timeout: Duration = "30" unused "there is no rsync here",
        /// Bandwidth of one rsync.
        rsync_bwlimit: String = "0" unused "there is no rsync here",
        /// Compress towards other regions.
        rsync_compress: bool = "no" unused "there is no rsync here",
        /// The module that rsync pushes to.
        rsync_module: String = "{replication_ip}::object" unused "there is no rsync here",
        /// Log each file that rsync moves.
        log_rsync_transfers: bool = "true" unused "there is no rsync here",
        /// Bytes of an rsync error that are logged.
        rsync_error_log_line_length: u32 = "0" unused "there is no rsync here",
    }

    /// What this program adds.
    struct SsyncOptions in Ssync {
        /// How a write is flushed before its result is sent: with what else is being written on the device (batch), by itself
        /// (object), or not at all (none; then nothing is ever removed on a result).
        durability: DurabilityOption = "batch",
        /// A port for gRPC alone, beside bind_port, which always serves both protocols. It is for clients and meshes that
        /// are told of it: other nodes do not look for it by themselves yet. Nothing: no such port.
        grpc_port: Option<u16> = "",
        /// gRPC sessions into one device at a time; 0 for no limit of its own. They never take the last slot of
        /// replication_concurrency, where that is more than 1, so that a disk that hangs leaves one to the others.
        grpc_sessions_per_device: u32 = "4" live "with new sessions",
        /// gRPC sessions take the device's flock as well, as SSYNC sessions do.
        grpc_device_lock: bool = "false",
        /// Seconds that one disk operation may take; ten times as many where it hashes a partition, and more where it flushes
        /// large files. A device hangs when one takes longer and no other has ended since it began: until one ends, what is
        /// asked of the device is refused as if it were not mounted, and its sessions give their slots of
        /// replication_concurrency to others. They keep their locks. 0: no device is ever taken to hang.
        device_timeout: Duration = "60",
        /// Push also from a device that was away for longer than reclaim_age. What was deleted elsewhere meanwhile may come back;
        /// without this nothing is pushed from such a device, and its objects stay where they are. It is for one pass: a device
        /// that was pushed from is in service again.
        push_returned_devices: bool = "false" live "with the next pass",
        /// Seconds for which each device remembers what it has let go of as a handoff: which version of which object, and
        /// which primaries had answered for it. `ssync object`, asked on this node or with --admin, shows it. 0: nothing is
        /// written down.
        removal_log_age: Duration = "2592000",
        /// Mebibytes that this may take on a device; beyond them the oldest goes first.
        removal_log_mb: u32 = "256",
        /// Bytes up to which a body travels in the message that announces it.
        inline_bytes_max: u32 = "65536",
        /// Updates after which a session ends and is opened again; 0 for no limit.
        session_updates_max: u64 = "100000" live "with new sessions",
        /// Seconds after which it does; 0 for no limit. A stream that is never over is what proxies of a mesh break off.
        session_time_max: Duration = "1800" live "with new sessions",
        /// Seconds between two heartbeats in a quiet session. Keep it well under the idle timers of every proxy between
        /// two nodes.
        heartbeat_interval: Duration = "15",
        /// HTTP/2 window of one stream in bytes.
        grpc_stream_window: u32 = "1048576",
        /// HTTP/2 window of one connection in bytes. A connection gets one stream fewer than its window holds, so that
        /// streams that nobody reads cannot stall the others.
        grpc_connection_window: u32 = "16777216",
        /// Seconds after which a silent gRPC connection is probed.
        grpc_keepalive_interval: Duration = "30",
        /// Seconds that the answer to such a probe may take.
        grpc_keepalive_timeout: Duration = "10",
        /// Serve gRPC reflection where replication is served, not only on the admin address.
        grpc_reflection: bool = "true",
        /// Certificate of this node in PEM, behind it those between it and its authority. Its names (subjectAltName) are the
        /// addresses or host names that the rings have for this node. With it, tls_key and tls_ca gRPC is served by TLS as
        /// well, to callers who show a certificate, and other nodes are called by TLS where they have it. A path that does not
        /// begin with / is looked up in $CREDENTIALS_DIRECTORY, where systemd puts what LoadCredential= names.
        tls_certificate: Option<CredentialPath> = "",
        /// Private key of that certificate, in PEM.
        tls_key: Option<CredentialPath> = "",
        /// Authorities whose certificates are believed, in PEM: those of callers and those of other nodes.
        tls_ca: Option<CredentialPath> = "",
        /// Seconds between two looks at these three files. Replaced ones are used for connections to come; those that cannot
        /// be used are not, and the log and `ssync_tls_reload_failing` say so.
        tls_reload_interval: Duration = "10",
        /// Without TLS nothing is said to another node, and nothing is served to one at the address of replication
        /// (replication_bind, else bind_ip and bind_port), grpc_port and receiver_bind. HTTP, and with it REPLICATE and SSYNC, is
        /// served on bind_ip and bind_port alone, where that is another address, to those in http_allow.
        require_tls: bool = "false",
        /// Certificates that count, of callers and of those who are called: host names, addresses and URIs (SPIFFE ids), with * for any
        /// run of characters. Nothing: every one that tls_ca has signed.
        tls_allowed_peers: Vec<String> = "",
        /// Certificates of clients that are no node of the rings and may read all the same: objects, hashes, what is lacking.
        tls_readers: Vec<String> = "",
        /// The same that may store and delete as well.
        tls_pushers: Vec<String> = "",
        /// The same that may have the admin service do what else only callers on this node may: drain, push, plan, set
        /// the log level.
        tls_admins: Vec<String> = "",
        /// Address for replication, where the rings name another for it than for clients. It serves what bind_ip and bind_port
        /// do. ring_ip, where it is not set, is this one, and this port is the one that the rings are searched for.
        replication_bind: Option<SocketAddr> = "",
        /// Addresses and networks that HTTP is served to, and with it REPLICATE and SSYNC, which ask nobody who he is; and this
        /// host, unless trust_loopback is off. Nothing: all of them, or with require_tls this host alone.
        http_allow: Vec<Network> = "",
        /// Unix socket of a receiver that runs as a process of its own.
        receiver_socket: PathBuf = "/run/ssync/receiver.sock",
        /// Mode of that socket. Who can open it is a local caller and may release objects.
        receiver_socket_mode: FileMode = "0660",
        /// TCP address that such a receiver listens on as well.
        receiver_bind: Option<BindAddress> = "",
        /// Where sidecar and replicator find their receiver. Nothing: at receiver_socket.
        receiver_address: Option<BindAddress> = "",
        /// TCP callers from this host count as local and may release objects. Turn it off where a proxy on this host
        /// passes on connections from elsewhere.
        trust_loopback: bool = "true",
        /// Address of metrics, health, reflection and the admin service, for a receiver and for `ssync node`.
        admin_bind: Option<BindAddress> = "127.0.0.1:6301",
        /// The same for a sidecar that runs as a process of its own.
        sidecar_admin_bind: Option<BindAddress> = "127.0.0.1:6302",
        /// The same for a replicator that runs as a process of its own.
        replicator_admin_bind: Option<BindAddress> = "127.0.0.1:6303",
        /// Serve /metrics on the admin address.
        metrics: bool = "true",
        /// Traces tell of each object that a session takes, where they are exported at all (OTEL_EXPORTER_OTLP_ENDPOINT).
        trace_objects: bool = "false",
        /// Form of the log lines. Their level is log_level; RUST_LOG has the last word.
        log_format: LogFormat = "text",
        /// Seconds between the moment that health checks fail and the moment that work is refused, for balancers to
        /// notice.
        drain_notice: Duration = "0" live "at once",
        /// Seconds that work under way gets to finish after SIGTERM.
        drain_timeout: Duration = "30",
    }
}
