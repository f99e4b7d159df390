//! The line that one of our processes puts before a connection that it passes on to another.
//!
//! ```text
//! SSYNC-PEER 1 10.0.0.9:41234 10.0.0.7:6200\r\n
//! SSYNC-PEER 1 unix\r\n
//! ```
//!
//! The version, then the two ends of the connection as it arrived, or `unix` for one that came by a Unix socket. The bytes
//! of the connection follow as they are. At most [`PREAMBLE_MAX`] bytes. It is read only where a listener expects it: on a
//! Unix socket of ours, or from this host. It can take rights away (such a caller is never local) and never gives any, so a
//! process that forges one gains nothing but a wrong address in our logs.

use std::{fmt, net::SocketAddr};

/// What it begins with. `SSYNC ` of the verb differs from it at the sixth byte.
pub(super) const MAGIC: &[u8] = b"SSYNC-PEER ";

/// Most bytes of the line, its end included: two IPv6 addresses with scope and port, and room.
pub const PREAMBLE_MAX: usize = 160;

const VERSION: &str = "1";

/// Where a connection that was passed on came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preamble {
    /// By TCP.
    Tcp {
        /// The caller.
        remote: SocketAddr,
        /// The address that it called.
        local: SocketAddr,
    },
    /// By a Unix socket.
    Unix,
}

/// Why a line is no preamble.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the line before a connection that was passed on is not of its form: {0:?}")]
pub struct PreambleError(String);

impl Preamble {
    /// Reads a line without its end.
    pub fn parse(line: &[u8]) -> Result<Self, PreambleError> {
        let bad = || PreambleError(String::from_utf8_lossy(line).chars().take(PREAMBLE_MAX).collect());
        let text = std::str::from_utf8(line).map_err(|_| bad())?;
        let words: Vec<&str> = text.split(' ').collect();
        match words.as_slice() {
            ["SSYNC-PEER", VERSION, "unix"] => Ok(Self::Unix),
            ["SSYNC-PEER", VERSION, remote, local] => Ok(Self::Tcp {
                remote: remote.parse().map_err(|_| bad())?,
                local: local.parse().map_err(|_| bad())?,
            }),
            _ => Err(bad()),
        }
    }
}

/// The whole line with its end, as it is sent.
impl fmt::Display for Preamble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { remote, local } => write!(f, "SSYNC-PEER {VERSION} {remote} {local}\r\n"),
            Self::Unix => write!(f, "SSYNC-PEER {VERSION} unix\r\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let v6 = "[fe80::1234:5678:9abc:def0%4294967295]:65535".parse().unwrap();
        for preamble in [
            Preamble::Unix,
            Preamble::Tcp {
                remote: "10.0.0.9:41234".parse().unwrap(),
                local: "10.0.0.7:6200".parse().unwrap(),
            },
            Preamble::Tcp { remote: v6, local: v6 },
        ] {
            let line = preamble.to_string();
            assert!(line.len() <= PREAMBLE_MAX, "{line}");
            assert_eq!(Preamble::parse(line.trim_end().as_bytes()), Ok(preamble));
        }
    }

    #[test]
    fn other_lines_are_refused() {
        for bad in [
            "SSYNC-PEER 2 unix",
            "SSYNC-PEER 1",
            "SSYNC-PEER 1 unix more words",
            "SSYNC-PEER 1 10.0.0.9 10.0.0.7:6200",
            "SSYNC-PEER 1  unix",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2",
        ] {
            assert!(Preamble::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Preamble::parse(b"SSYNC-PEER 1 \xff").is_err());
    }
}
