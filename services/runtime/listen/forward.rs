//! Passes a connection on to another process of ours, as bytes.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncWriteExt as _, copy_bidirectional_with_sizes},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::{address::BindAddress, connection::Connection, socket::Socket};

/// Bytes held for each direction of a connection that is passed on.
pub const FORWARD_BUFFER: usize = 64 * 1024;

/// Time for a process on this host to take the connection. Longer than that and it is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

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
/// ended.
pub async fn forward(mut connection: Connection, target: &BindAddress) -> Result<(), ForwardError> {
    let preamble = connection.peer().preamble().to_string();
    let unreachable = |source| ForwardError::Unreachable { target: target.clone(), source };
    let mut onward = match timeout(CONNECT_TIMEOUT, connect(target)).await {
        Ok(connected) => connected.map_err(unreachable)?,
        Err(_) => return Err(unreachable(io::Error::from(io::ErrorKind::TimedOut))),
    };
    onward.write_all(preamble.as_bytes()).await.map_err(ForwardError::Broken)?;
    copy_bidirectional_with_sizes(&mut connection, &mut onward, FORWARD_BUFFER, FORWARD_BUFFER)
        .await
        .map(|_| ())
        .map_err(ForwardError::Broken)
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
