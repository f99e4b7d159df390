//! The whole sidecar, over raw streams and a store in memory.

mod changing;
mod confirming;
mod conversation;
pub(crate) mod fake_store;
mod log;
mod objects;
mod putting;
mod reading;
mod replication;
mod transport;

use std::{sync::Arc, time::Duration};

use ssync_statsd::Statsd;
use ssync_types::{HashPathConfig, PolicyIndex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_util::sync::CancellationToken;

use crate::{Policies, PolicyKind, Sidecar, SidecarConfig};
pub(crate) use fake_store::FakeStore;

/// A sidecar, its store, and what stops it.
struct Lab {
    sidecar: Sidecar,
    store: Arc<FakeStore>,
    drain: CancellationToken,
}

impl Lab {
    fn new() -> Self {
        Self::with(SidecarConfig::default())
    }

    fn with(config: SidecarConfig) -> Self {
        let store = Arc::new(FakeStore::default());
        let drain = CancellationToken::new();
        let policies: Policies = [
            (PolicyIndex::new(0), PolicyKind::Replication),
            (PolicyIndex::new(1), PolicyKind::ErasureCoding),
        ]
        .into_iter()
        .collect();
        let hash_path = HashPathConfig::new("changeme", "changeme").unwrap();
        let sidecar =
            Sidecar::new(config, store.clone(), policies, hash_path, Statsd::disabled(), drain.clone());
        Self { sidecar, store, drain }
    }

    /// With limits so short that a test can wait for them.
    fn impatient() -> Self {
        let short = Duration::from_millis(100);
        Self::with(SidecarConfig {
            client_timeout: short,
            write_timeout: short,
            keepalive_timeout: Some(short),
            ..SidecarConfig::default()
        })
    }

    /// A new connection.
    fn connect(&self) -> DuplexStream {
        let (client, server) = duplex(1 << 16);
        let sidecar = self.sidecar.clone();
        tokio::spawn(
            async move { sidecar.serve_connection(server, "192.0.2.7:4711".parse().unwrap()).await },
        );
        client
    }

    /// Sends everything, says that there is no more, and reads all answers.
    async fn say(&self, request: &[u8]) -> String {
        let client = self.connect();
        let (mut reader, mut writer) = tokio::io::split(client);
        let send = async {
            // A server that has heard enough closes; that is not this side's failure.
            let _ = writer.write_all(request).await;
            let _ = writer.shutdown().await;
        };
        let mut answer = Vec::new();
        let (_, read) = tokio::join!(send, reader.read_to_end(&mut answer));
        read.unwrap();
        without_date(&answer)
    }

    /// Sends everything and leaves the connection open; reads until the server closes it.
    async fn say_and_wait(&self, request: &[u8]) -> String {
        let mut client = self.connect();
        client.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(5), client.read_to_end(&mut answer)).await;
        closed.expect("the server closes").unwrap();
        without_date(&answer)
    }
}

/// The one header that differs from run to run. Bytes that are no text stand as Latin-1.
fn without_date(answer: &[u8]) -> String {
    let text: String = answer.iter().map(|&byte| char::from(byte)).collect();
    text.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
}

/// A request without a body.
fn request(line: &str, headers: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\n{headers}\r\n").into_bytes()
}

/// A request with a body.
fn with_body(line: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut request = request(line, &format!("Content-Length: {}\r\n{headers}", body.len()));
    request.extend_from_slice(body);
    request
}
