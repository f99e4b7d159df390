//! Sockets that listen already when the daemon starts: those of systemd (sd_listen_fds(3)), and those that a manager hands to
//! the next process that serves. Connections wait in them while nobody accepts, so a restart refuses none.

use std::{
    env, fmt, io,
    net::TcpListener as StdTcpListener,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::net::UnixListener as StdUnixListener,
    },
    process::Command,
};

use listenfd::ListenFd;
use rustix::{
    io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd},
    net::sockopt::socket_acceptconn,
};
use tokio::net::{TcpListener, UnixListener};

use super::{Inner, ListenError, ListenOptions, Listener, SocketFile, failed, probe_when_idle};
use crate::listen::BindAddress;

const COUNT_VARIABLE: &str = "LISTEN_FDS";
const PROCESS_VARIABLE: &str = "LISTEN_PID";
const FIRST_VARIABLE: &str = "LISTEN_FDS_FIRST_FD";
const NAMES_VARIABLE: &str = "LISTEN_FDNAMES";

/// Most sockets that are taken over.
const SOCKETS_MAX: usize = 16;

/// Where the numbers of handed-over sockets begin: above what a process that does little has open.
const FIRST_NUMBER: RawFd = 200;

/// What was handed over cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// There are too many.
    #[error("{0} sockets were handed over (LISTEN_FDS); at most {SOCKETS_MAX} are taken")]
    TooMany(usize),
    /// One is no listening stream socket.
    #[error("socket {number} that was handed over (LISTEN_FDS) cannot be listened on: {source}")]
    Unfit {
        /// Its place, from 0 on.
        number: usize,
        /// Why.
        source: io::Error,
    },
}

/// Sockets that were handed over and that nobody has asked for yet.
#[derive(Debug, Default)]
pub struct Inherited(Vec<Held>);

#[derive(Debug)]
struct Held {
    /// `FileDescriptorName=` of a socket unit; the unit's own name where nothing was said.
    name: String,
    address: BindAddress,
    socket: Opened,
}

#[derive(Debug)]
enum Opened {
    Tcp(StdTcpListener),
    Unix(StdUnixListener),
}

impl Inherited {
    /// What the service manager has handed to this process. To be called while it has one thread: it takes the variables out
    /// of the environment.
    pub fn from_environment() -> Result<Self, InheritError> {
        let names = env::var(NAMES_VARIABLE).unwrap_or_default();
        let mut sockets = ListenFd::from_env();
        if sockets.len() > SOCKETS_MAX {
            return Err(InheritError::TooMany(sockets.len()));
        }
        let mut names = names.split(':').map(str::to_owned);
        (0..sockets.len())
            .map(|number| Held::take(&mut sockets, number, names.next().unwrap_or_default()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The socket of this name, or that listens on this address.
    pub fn take(
        &mut self,
        name: &str,
        address: &BindAddress,
        options: &ListenOptions,
    ) -> Result<Option<Listener>, ListenError> {
        let by_name = self.0.iter().position(|held| held.name == name);
        let Some(place) = by_name.or_else(|| self.0.iter().position(|held| held.address == *address)) else {
            return Ok(None);
        };
        let held = self.0.swap_remove(place);
        if held.address != *address {
            tracing::warn!(wanted = %address, "the socket that was handed over listens elsewhere, and counts: {held}");
        }
        held.listener(options).map(Some)
    }

    /// Those that nobody has asked for, for the log.
    #[must_use]
    pub fn left_over(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

impl Held {
    fn take(sockets: &mut ListenFd, number: usize, name: String) -> Result<Self, InheritError> {
        let unfit = |source| InheritError::Unfit { number, source };
        // What it says of a socket that is neither is said of a Unix one.
        let socket = match sockets.take_tcp_listener(number) {
            Ok(Some(socket)) => Opened::Tcp(socket),
            _ => match sockets.take_unix_listener(number).map_err(unfit)? {
                Some(socket) => Opened::Unix(socket),
                None => return Err(unfit(io::Error::from(io::ErrorKind::NotFound))),
            },
        };
        if !socket_acceptconn(socket.descriptor()).map_err(|error| unfit(error.into()))? {
            return Err(unfit(io::Error::from(io::ErrorKind::InvalidInput)));
        }
        let address = socket.address().map_err(unfit)?;
        // tokio's sockets never block a thread.
        match &socket {
            Opened::Tcp(listener) => listener.set_nonblocking(true),
            Opened::Unix(listener) => listener.set_nonblocking(true),
        }
        .map_err(unfit)?;
        Ok(Self { name, address, socket })
    }

    fn listener(self, options: &ListenOptions) -> Result<Listener, ListenError> {
        let failed = failed(&self.address);
        let inner = match self.socket {
            Opened::Tcp(listener) => {
                probe_when_idle(&listener, options).map_err(&failed)?;
                Inner::Tcp(TcpListener::from_std(listener).map_err(&failed)?)
            }
            Opened::Unix(listener) => {
                let listener = UnixListener::from_std(listener).map_err(&failed)?;
                Inner::Unix { listener, file: None }
            }
        };
        drop(failed);
        Ok(Listener { inner, address: self.address, trust_loopback: options.trust_loopback })
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.name, self.address)
    }
}

impl Opened {
    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }

    fn address(&self) -> io::Result<BindAddress> {
        Ok(match self {
            Self::Tcp(listener) => BindAddress::Tcp(listener.local_addr()?),
            Self::Unix(listener) => {
                BindAddress::Unix(listener.local_addr()?.as_pathname().map(Into::into).unwrap_or_default())
            }
        })
    }
}

impl Listener {
    /// The socket alone, which nobody here waits at any more.
    pub fn into_socket(self) -> io::Result<BoundSocket> {
        Ok(match self.inner {
            Inner::Tcp(listener) => BoundSocket { socket: listener.into_std()?.into(), _file: None },
            Inner::Unix { listener, file } => {
                BoundSocket { socket: listener.into_std()?.into(), _file: file }
            }
        })
    }
}

/// A socket that listens and that nobody accepts on here. Its file, if one was made for it, goes with this: those who have the
/// socket from here have no name for it.
#[derive(Debug)]
pub struct BoundSocket {
    socket: OwnedFd,
    _file: Option<SocketFile>,
}

impl AsFd for BoundSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Sockets on their way to a process that is about to be started, which finds them by [`Inherited::from_environment`]. Any
/// process that is started while this lives inherits them: it is for programs of one thread.
#[derive(Debug)]
pub struct Legacy {
    sockets: Vec<OwnedFd>,
    names: Vec<String>,
}

impl Legacy {
    /// Of sockets with their names.
    pub fn of<'a>(sockets: impl IntoIterator<Item = (&'a str, BorrowedFd<'a>)>) -> io::Result<Self> {
        let mut legacy = Self { sockets: Vec::new(), names: Vec::new() };
        let mut next = FIRST_NUMBER;
        for (name, socket) in sockets {
            let copy = fcntl_dupfd_cloexec(socket, next)?;
            // Their numbers have to follow one another, so none above the first may be in use.
            if copy.as_raw_fd() != next && !legacy.sockets.is_empty() {
                return Err(io::Error::other(
                    "descriptors above 200 are in use, so no sockets can be handed over",
                ));
            }
            next = copy.as_raw_fd() + 1;
            fcntl_setfd(&copy, FdFlags::empty())?;
            legacy.sockets.push(copy);
            legacy.names.push(name.to_owned());
        }
        Ok(legacy)
    }

    /// Says where they are to a process that is about to be started.
    pub fn announce(&self, command: &mut Command) {
        let first = self.sockets.first().map_or(FIRST_NUMBER, AsRawFd::as_raw_fd);
        command
            .env(COUNT_VARIABLE, self.sockets.len().to_string())
            .env(FIRST_VARIABLE, first.to_string())
            .env(NAMES_VARIABLE, self.names.join(":"))
            // Its number is not known before it runs.
            .env_remove(PROCESS_VARIABLE);
    }
}

#[cfg(test)]
mod tests;
