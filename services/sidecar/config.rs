//! What an operator can set, under Swift's names (object-server.conf, `[DEFAULT]` and `[app:object-server]`).

use std::time::Duration;

use ssync_protocol::FailureLimits;

use crate::{FilterConfig, LineFormat};

/// Options of the sidecar.
#[derive(Debug, Clone)]
pub struct SidecarConfig {
    /// `client_timeout`: how long a peer may take to send the next bytes of a request.
    pub client_timeout: Duration,
    /// How long a peer may take to receive a piece of an answer.
    pub write_timeout: Duration,
    /// `keepalive_timeout`: how long a connection may be idle between two requests; zero for one request a connection. Not
    /// set: as long as `client_timeout`.
    pub keepalive_timeout: Option<Duration>,
    /// `max_upload_time`: how long a PUT may take in all.
    pub max_upload_time: Duration,
    /// `network_chunk_size`: most bytes of a piece of a body.
    pub network_chunk_size: usize,
    /// `allowed_headers`: names, in lower case, that are kept beside user metadata.
    pub allowed_headers: Vec<String>,
    /// `replication_server`: false turns REPLICATE and SSYNC away.
    pub replication_server: bool,
    /// `replication_failure_threshold` and `replication_failure_ratio` of an SSYNC session.
    pub failure_limits: FailureLimits,
    /// `log_requests`.
    pub log_requests: bool,
    /// `log_format`, with its digest.
    pub log_format: LineFormat,
    /// `slow`: how long a PUT or DELETE takes at the least.
    pub slow: Duration,
    /// What stands before the object server, in the order that a request meets it.
    pub filters: Vec<FilterConfig>,
    /// `conn_timeout`: how long a container's server may take to be connected to.
    pub conn_timeout: Duration,
    /// `node_timeout`: how long it may take to answer.
    pub node_timeout: Duration,
    /// `container_update_timeout`: how long a client waits for the updates of its change.
    pub container_update_timeout: Duration,
    /// How long such an update may go on after the drain began. The store must be there for longer: it keeps what was
    /// not delivered.
    pub update_grace: Duration,
    /// How long after the drain began a store that is away is asked to keep what was not delivered. The process must go
    /// on for longer.
    pub update_keep_grace: Duration,
    /// `expiring_objects_account_name`: the account of the expirer's queue, without the dot.
    pub expiring_objects_account_name: String,
    /// `expiring_objects_container_divisor`: seconds of which entries share containers there.
    pub expiring_objects_container_divisor: u64,
    /// `[swift-constraints]` of swift.conf.
    pub constraints: Constraints,
}

impl Default for SidecarConfig {
    fn default() -> Self {
        let allowed = [
            "content-disposition",
            "content-encoding",
            "x-delete-at",
            "x-object-manifest",
            "x-static-large-object",
            "cache-control",
            "content-language",
            "expires",
            "x-robots-tag",
        ];
        Self {
            client_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            keepalive_timeout: None,
            max_upload_time: Duration::from_secs(86_400),
            network_chunk_size: 65_536,
            allowed_headers: allowed.map(str::to_owned).to_vec(),
            replication_server: true,
            failure_limits: FailureLimits::default(),
            log_requests: true,
            log_format: LineFormat::default(),
            slow: Duration::ZERO,
            filters: vec![FilterConfig::Healthcheck { disable_path: None }],
            conn_timeout: Duration::from_millis(500),
            node_timeout: Duration::from_secs(3),
            container_update_timeout: Duration::from_secs(1),
            update_grace: Duration::from_secs(5),
            update_keep_grace: Duration::from_secs(27),
            expiring_objects_account_name: "expiring_objects".to_owned(),
            expiring_objects_container_divisor: 86_400,
            constraints: Constraints::default(),
        }
    }
}

/// Limits on what a client may store (Swift: common/constraints.py).
#[derive(Debug, Clone)]
pub struct Constraints {
    /// `max_file_size`.
    pub max_file_size: u64,
    /// `max_object_name_length`.
    pub max_object_name_length: usize,
    /// `max_meta_name_length`.
    pub max_meta_name_length: usize,
    /// `max_meta_value_length`.
    pub max_meta_value_length: usize,
    /// `max_meta_count`.
    pub max_meta_count: usize,
    /// `max_meta_overall_size`.
    pub max_meta_overall_size: usize,
    /// `max_header_size`.
    pub max_header_size: usize,
}

impl Default for Constraints {
    fn default() -> Self {
        Self {
            max_file_size: 5_368_709_122,
            max_object_name_length: 1024,
            max_meta_name_length: 128,
            max_meta_value_length: 256,
            max_meta_count: 90,
            max_meta_overall_size: 4096,
            max_header_size: 8192,
        }
    }
}
