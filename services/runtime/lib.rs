//! What every daemon shares: configuration, telemetry, listening, drain, health, admin.
//!
//! A daemon reads a [`Config`], starts [`Telemetry`], binds a [`Port`] or two, serves until its [`Drain`] begins and goes
//! down in the order of [`Shutdown`].

#![forbid(unsafe_code)]

mod admin;
mod config;
mod drain;
mod grpc_server;
mod health;
mod listen;
pub mod notify;
mod signals;
mod telemetry;
mod watchdog;

pub use admin::{Admin, Document, Page};
pub use config::{
    BackendRatelimitOptions, Change, Config, ConfigError, CredentialPath, DurabilityOption, ExpirerDivisor,
    FileMode, Filter, FlagSetting, HealthcheckOptions, Layers, LogFormat, LogLevel, Mistake, NodeOptions,
    OptionSpec, OptionValue, Origin, ReconOptions, ReplicatorOptions, Reserve, Row, Scope, ServerOptions,
    SsyncOptions, StatsdLabelMode, SyncMethod, TABLES, sample,
};
pub use drain::{Drain, Drained, Shutdown};
pub use grpc_server::{GrpcOptions, GrpcServer, GrpcServerError};
pub use health::{Health, LIVE};
pub use listen::{
    BadNetwork, BindAddress, BoundSocket, CONNECTION_QUEUE_MAX, Connection, FORWARD_BUFFER, ForwardError,
    Handler, HandshakeLimits, Incoming, InheritError, Inherited, Legacy, ListenError, ListenOptions,
    Listener, Network, PREAMBLE_MAX, PREFACE, PeerInfo, PeerRoute, Plain, Port, PortOptions, Preamble,
    PreambleError, Protocol, Replay, Route, SniffError, Sniffed, Socket, TlsRoute, connection_queue, forward,
    sniff,
};
pub use signals::{Asked, Manners, Signals};
pub use telemetry::{
    DURATION_BUCKETS, Export, ExportError, LevelError, LogFilter, Metrics, MetricsError, OTHER_METHOD,
    RpcBody, RpcLayer, RpcMethods, RpcService, Telemetry, TelemetryError, TelemetryOptions, TraceContext,
    parent_of,
};
pub use watchdog::Watchdog;
