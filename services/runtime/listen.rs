//! Listening addresses, and one port for two protocols.

mod address;
mod connection;
mod forward;
mod handshakes;
mod listener;
mod network;
mod peer;
mod plain;
mod port;
mod preamble;
mod refuse;
mod replay;
mod sniff;
mod socket;
mod taking;

pub use address::BindAddress;
pub use connection::{Connection, Incoming};
pub use forward::{FORWARD_BUFFER, ForwardError, forward};
pub use handshakes::HandshakeLimits;
pub use listener::{BoundSocket, InheritError, Inherited, Legacy, ListenError, ListenOptions, Listener};
pub use network::{BadNetwork, Network};
pub use peer::{PeerInfo, Route as PeerRoute};
pub use plain::Plain;
pub use port::{CONNECTION_QUEUE_MAX, Handler, Port, PortOptions, Route, TlsRoute, connection_queue};
pub use preamble::{PREAMBLE_MAX, Preamble, PreambleError};
pub use replay::Replay;
pub use sniff::{PREFACE, Protocol, SniffError, Sniffed, sniff};
pub use socket::Socket;
