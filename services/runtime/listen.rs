//! Listening addresses, and one port for two protocols.

mod address;
mod connection;
mod forward;
mod listener;
mod peer;
mod port;
mod preamble;
mod replay;
mod sniff;
mod socket;

pub use address::BindAddress;
pub use connection::{Connection, Incoming};
pub use forward::{FORWARD_BUFFER, ForwardError, forward};
pub use listener::{InheritError, Inherited, Legacy, ListenError, ListenOptions, Listener};
pub use peer::{PeerInfo, Route as PeerRoute};
pub use port::{CONNECTION_QUEUE_MAX, Handler, Port, PortOptions, Route, connection_queue};
pub use preamble::{PREAMBLE_MAX, Preamble, PreambleError};
pub use replay::Replay;
pub use sniff::{PREFACE, Protocol, SniffError, Sniffed, sniff};
pub use socket::Socket;
