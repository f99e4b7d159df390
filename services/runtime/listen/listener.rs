//! A bound address that accepts connections.

mod inherited;

use std::{
    fs, io,
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket, UnixListener, UnixStream},
    time::{Instant, sleep},
};

use super::{
    address::BindAddress,
    peer::{PeerInfo, Route},
    socket::Socket,
};

pub use inherited::{BoundSocket, InheritError, Inherited, Legacy};

/// Pause between two tries to bind an address that is in use.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// How to listen. The defaults are Swift's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections that the kernel holds until they are accepted (`backlog`).
    pub backlog: u32,
    /// Idle time after which a TCP connection is probed (`keep_idle`).
    pub keep_idle: Duration,
    /// Time to go on trying while the address is in use (`bind_timeout`).
    pub bind_timeout: Duration,
    /// Mode of a Unix socket (`receiver_socket_mode`).
    pub unix_mode: u32,
    /// Callers by TCP from this host count as local (`trust_loopback`).
    pub trust_loopback: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: 4096,
            keep_idle: Duration::from_secs(600),
            bind_timeout: Duration::from_secs(30),
            unix_mode: 0o660,
            trust_loopback: true,
        }
    }
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error("{address} is in use by another process (after {waited:?}); stop it, or choose another address")]
    InUse {
        /// The address.
        address: BindAddress,
        /// How long it was tried.
        waited: Duration,
    },
    /// A file stands where the socket should be.
    #[error("{} exists and is not a socket; move it away, or choose another path", .0.display())]
    NotASocket(PathBuf),
    /// The system refuses.
    #[error("cannot listen on {address}: {source}")]
    Io {
        /// The address.
        address: BindAddress,
        /// Why.
        source: io::Error,
    },
}

/// A bound address.
#[derive(Debug)]
pub struct Listener {
    inner: Inner,
    address: BindAddress,
    trust_loopback: bool,
}

#[derive(Debug)]
enum Inner {
    Tcp(TcpListener),
    /// The file of one that was opened elsewhere is left to who opened it.
    Unix {
        listener: UnixListener,
        file: Option<SocketFile>,
    },
}

impl Listener {
    /// Listens on an address; tries again for a while when it is in use.
    pub async fn bind(address: &BindAddress, options: &ListenOptions) -> Result<Self, ListenError> {
        let started = Instant::now();
        loop {
            let bound = match address {
                BindAddress::Tcp(_) => bind_tcp(address, options),
                BindAddress::Unix(path) => bind_unix(path, options).await,
            };
            match bound {
                Err(ListenError::InUse { .. }) if started.elapsed() < options.bind_timeout => {
                    sleep(RETRY_PAUSE).await;
                }
                Err(ListenError::InUse { address, .. }) => {
                    return Err(ListenError::InUse { address, waited: started.elapsed() });
                }
                other => return other,
            }
        }
    }

    /// The address, with the port that the system chose where 0 was asked for.
    #[must_use]
    pub fn address(&self) -> &BindAddress {
        &self.address
    }

    /// The next connection.
    pub async fn accept(&self) -> io::Result<(Socket, PeerInfo)> {
        match &self.inner {
            Inner::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                // As Swift: small answers must not wait for the acknowledgement of earlier ones.
                stream.set_nodelay(true)?;
                let local = stream.local_addr().ok();
                let (remote, route, trust_loopback) = (Some(remote), Route::Tcp, self.trust_loopback);
                Ok((Socket::Tcp(stream), PeerInfo { remote, local, route, trust_loopback, identity: None }))
            }
            Inner::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                let trust_loopback = self.trust_loopback;
                Ok((
                    Socket::Unix(stream),
                    PeerInfo {
                        remote: None,
                        local: None,
                        route: Route::Unix,
                        trust_loopback,
                        identity: None,
                    },
                ))
            }
        }
    }
}

fn failed(address: &BindAddress) -> impl Fn(io::Error) -> ListenError + '_ {
    |source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address: address.clone(), waited: Duration::ZERO },
        _ => ListenError::Io { address: address.clone(), source },
    }
}

fn bind_tcp(address: &BindAddress, options: &ListenOptions) -> Result<Listener, ListenError> {
    let failed = failed(address);
    let Some(wanted) = address.socket_addr() else {
        return Err(failed(io::Error::from(io::ErrorKind::InvalidInput)));
    };
    let socket = if wanted.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(&failed)?;
    socket.set_reuseaddr(true).map_err(&failed)?;
    probe_when_idle(&socket, options).map_err(&failed)?;
    socket.bind(wanted).map_err(&failed)?;
    let listener = socket.listen(options.backlog).map_err(&failed)?;
    let bound = listener.local_addr().map_err(&failed)?;
    Ok(Listener {
        inner: Inner::Tcp(listener),
        address: BindAddress::Tcp(bound),
        trust_loopback: options.trust_loopback,
    })
}

/// Accepted connections inherit it (Swift: common/wsgi get_socket).
fn probe_when_idle(socket: impl AsFd, options: &ListenOptions) -> io::Result<()> {
    rustix::net::sockopt::set_socket_keepalive(&socket, true)?;
    if !options.keep_idle.is_zero() {
        rustix::net::sockopt::set_tcp_keepidle(&socket, options.keep_idle)?;
    }
    Ok(())
}

/// Bound under another name, given its mode, then renamed: at no time can one who may not open the socket.
async fn bind_unix(path: &Path, options: &ListenOptions) -> Result<Listener, ListenError> {
    let address = BindAddress::Unix(path.to_owned());
    let failed = failed(&address);
    remove_stale(path, &address).await?;
    let mut staging = path.as_os_str().to_owned();
    staging.push(format!(".{}", std::process::id()));
    let staging = PathBuf::from(staging);
    match fs::remove_file(&staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&staging).map_err(&failed)?;
    fs::set_permissions(&staging, fs::Permissions::from_mode(options.unix_mode)).map_err(&failed)?;
    let file = SocketFile::of(&staging, path).map_err(&failed)?;
    fs::rename(&staging, path).map_err(&failed)?;
    drop(failed);
    Ok(Listener {
        inner: Inner::Unix { listener, file: Some(file) },
        address,
        trust_loopback: options.trust_loopback,
    })
}

/// A socket that nobody answers on was left by a process that is gone.
async fn remove_stale(path: &Path, address: &BindAddress) -> Result<(), ListenError> {
    let failed = failed(address);
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !found.file_type().is_socket() {
        return Err(ListenError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(failed(io::Error::from(io::ErrorKind::AddrInUse))),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Removes the socket's file at the end, if it is still that of this process.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(staging: &Path, path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(staging)?;
        Ok(Self { path: path.to_owned(), identity: (found.dev(), found.ino()) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours =
            fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket");
        }
    }
}

#[cfg(test)]
mod tests;
