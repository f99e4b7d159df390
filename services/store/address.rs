//! Where a receiver is to be found.

use std::{fmt, path::PathBuf, str::FromStr};

use ssync_types::Invalid;

/// Longest path of a Unix socket that Linux takes.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// A receiver's address, as operators write it: `http://HOST:PORT` or `unix:/PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StoreAddress {
    /// Over TCP: `HOST:PORT`, an IPv6 address in brackets.
    Tcp(String),
    /// Over a Unix socket.
    Unix(PathBuf),
}

impl StoreAddress {
    /// The address of a node by what a ring says of it.
    #[must_use]
    pub fn of_node(ip: &str, port: u16) -> Self {
        if ip.contains(':') && !ip.starts_with('[') {
            return Self::Tcp(format!("[{ip}]:{port}"));
        }
        Self::Tcp(format!("{ip}:{port}"))
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(authority) => write!(f, "http://{authority}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for StoreAddress {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let no_address =
            || Invalid::new("address", format!("{text:?} is neither http://HOST:PORT nor unix:/PATH"));
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let is_path =
                path.starts_with('/') && path.len() <= SOCKET_PATH_BYTES_MAX && !path.contains('\0');
            return if is_path { Ok(Self::Unix(path.into())) } else { Err(no_address()) };
        }
        let authority = text.strip_prefix("http://").ok_or_else(no_address)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let parsed: http::uri::Authority = authority.parse().map_err(|_| no_address())?;
        let is_plain = !parsed.host().is_empty() && parsed.port_u16().is_some() && !authority.contains('@');
        if is_plain { Ok(Self::Tcp(authority.to_owned())) } else { Err(no_address()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_both_kinds_and_writes_them_back() {
        for text in [
            "http://10.0.0.7:6200",
            "http://[::1]:6200",
            "http://node-7.example:6200",
            "unix:/run/ssync.sock",
        ] {
            assert_eq!(text.parse::<StoreAddress>().unwrap().to_string(), text);
        }
        assert_eq!(StoreAddress::of_node("fe80::1", 6200).to_string(), "http://[fe80::1]:6200");
        assert_eq!("http://h:1/".parse::<StoreAddress>().unwrap(), StoreAddress::of_node("h", 1));
    }

    #[test]
    fn refuses_what_names_no_socket() {
        for text in [
            "",
            "10.0.0.7:6200",
            "http://",
            "http://h",
            "http://h:x",
            "http://u@h:1",
            "https://h:1",
            "unix:x",
            "http://h:1/x",
        ] {
            assert!(text.parse::<StoreAddress>().is_err(), "{text}");
        }
        assert!(format!("unix:/{}", "x".repeat(SOCKET_PATH_BYTES_MAX)).parse::<StoreAddress>().is_err());
    }
}
