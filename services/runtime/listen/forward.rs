//! Passes a connection on to another process of ours, as bytes.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split},
    net::{TcpStream, UnixStream},
    time::{sleep, timeout},
};

use super::{address::BindAddress, connection::Connection, socket::Socket};

/// Bytes held for each direction of a connection that is passed on.
pub const FORWARD_BUFFER: usize = 64 * 1024;

/// Time for a process on this host to take the connection. Longer than that and it is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time without a byte after which a drain ends a connection. Its two ends do not know of the drain, so an idle one would
/// never end by itself.
const QUIET_MAX: Duration = Duration::from_secs(1);

/// Time for a caller to end a connection that the other process has ended. It holds a place meanwhile, and nothing that it sends is
/// read any more.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a connection could not be passed on.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The other process is not to be had.
    #[error("the receiver at {target} cannot be reached: {source}; is `ssync receiver` running?")]
    Unreachable {
        /// Its address.
        target: BindAddress,
        /// Why.
        source: io::Error,
    },
    /// One of the two connections broke off.
    #[error("a connection that was passed on broke off: {0}")]
    Broken(#[source] io::Error),
}

/// Passes `connection` on to `target`, with a line before it that says where it came from. Returns when both directions have
/// ended, or when nothing moves any more after `draining` has ended.
pub async fn forward(
    connection: Connection,
    target: &BindAddress,
    draining: impl Future<Output = ()>,
) -> Result<(), ForwardError> {
    let preamble = connection.peer().preamble().to_string();
    let unreachable = |source| ForwardError::Unreachable { target: target.clone(), source };
    let mut onward = match timeout(CONNECT_TIMEOUT, connect(target)).await {
        Ok(connected) => connected.map_err(unreachable)?,
        Err(_) => return Err(unreachable(io::Error::from(io::ErrorKind::TimedOut))),
    };
    onward.write_all(preamble.as_bytes()).await.map_err(ForwardError::Broken)?;
    let traffic = Traffic::default();
    let (from_caller, to_caller) = split(connection);
    let (from_target, to_target) = split(onward);
    let (inward, outward) = (pump(from_caller, to_target, &traffic), pump(from_target, to_caller, &traffic));
    tokio::select! {
        ended = until_closed(inward, outward) => ended.map_err(ForwardError::Broken),
        () = traffic.quiet_after(draining) => Ok(()),
    }
}

/// Both directions, to the end of the answers: the caller may end first, but not be last for long.
async fn until_closed(
    inward: impl Future<Output = io::Result<()>>,
    outward: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    tokio::pin!(inward, outward);
    tokio::select! {
        ended = &mut inward => {
            ended?;
            outward.await
        }
        ended = &mut outward => {
            ended?;
            timeout(CLOSE_TIMEOUT, inward).await.unwrap_or(Ok(()))
        }
    }
}

/// One direction, to its end.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    traffic: &Traffic,
) -> io::Result<()> {
    let mut buffer = vec![0; FORWARD_BUFFER];
    loop {
        let length = from.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else {
            return to.shutdown().await;
        };
        traffic.taken.fetch_add(1, Ordering::Relaxed);
        to.write_all(bytes).await?;
        traffic.given.fetch_add(1, Ordering::Relaxed);
    }
}

/// Pieces that have moved, in both directions together.
#[derive(Debug, Default)]
struct Traffic {
    taken: AtomicU64,
    given: AtomicU64,
}

impl Traffic {
    /// Ends once nothing has moved, or waited to move, for a while after `draining`.
    async fn quiet_after(&self, draining: impl Future<Output = ()>) {
        draining.await;
        loop {
            let before = self.given.load(Ordering::Relaxed);
            sleep(QUIET_MAX).await;
            let (given, taken) = (self.given.load(Ordering::Relaxed), self.taken.load(Ordering::Relaxed));
            if before == given && given == taken {
                return;
            }
        }
    }
}

async fn connect(target: &BindAddress) -> io::Result<Socket> {
    match target {
        BindAddress::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Socket::Tcp(stream))
        }
        BindAddress::Unix(path) => UnixStream::connect(path).await.map(Socket::Unix),
    }
}
