//! Tests of the contract over the wire: a real server on loopback, a store that is a fake, and [`RemoteStore`] or a raw
//! client at the other end.

mod behaviour;
mod fake;
mod misuse;
mod pressure;
mod round_trip;
mod watch;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use fake::Fake;
use ssync_api::v1::{
    self, object_service_client::ObjectServiceClient, replication_service_client::ReplicationServiceClient,
};
use ssync_store::{RemoteSettings, RemoteStore, Session, Store, StoreAddress};
use ssync_types::*;
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Server};

use super::{GrpcSettings, services};

/// Long enough for anything on a busy machine, short enough to wait for when a test fails.
const SOON: Duration = Duration::from_secs(20);

/// A node under test.
struct Node {
    store: Arc<Fake>,
    address: SocketAddr,
    drain: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn settings() -> GrpcSettings {
    GrpcSettings::new(|_| true, CancellationToken::new())
}

impl Node {
    async fn start(store: Fake) -> Self {
        Self::start_with(store, settings(), Server::builder()).await
    }

    async fn start_with(store: Fake, settings: GrpcSettings, mut server: Server) -> Self {
        let store = Arc::new(store);
        let drain = settings.drain.clone();
        let (replication, object, _) = services(Arc::clone(&store) as Arc<dyn Store>, settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = server.add_service(replication).add_service(object);
        let task = tokio::spawn(async move {
            router.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        Self { store, address, drain, task }
    }

    fn remote(&self) -> RemoteStore {
        self.remote_with(RemoteSettings::default())
    }

    fn remote_with(&self, settings: RemoteSettings) -> RemoteStore {
        RemoteStore::new(StoreAddress::Tcp(self.address.to_string()), settings).unwrap()
    }

    async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    async fn replication(&self) -> ReplicationServiceClient<Channel> {
        ReplicationServiceClient::new(self.channel().await)
    }

    async fn objects(&self) -> ObjectServiceClient<Channel> {
        ObjectServiceClient::new(self.channel().await)
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.expect("did not come to an end")
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(SOON, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn hash(number: u64) -> ObjectHash {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    ObjectHash::from_bytes(bytes)
}

fn time(ticks: u64) -> Timestamp {
    Timestamp::new(ticks, 0).unwrap()
}

fn offer(number: u64) -> Offer {
    Offer::of_one_time(hash(number), time(number), Some(ObjectKind::Data))
}

fn partition() -> PartitionRef {
    PartitionRef {
        device: "sdb1".parse().unwrap(),
        partition: Partition::new(7),
        policy: PolicyIndex::new(0),
        fragment: None,
    }
}

fn object(name: &str) -> ObjectRef {
    ObjectRef { partition: partition(), path: ObjectPath::of("a", "c", name).unwrap() }
}

fn metadata() -> Metadata {
    let mut metadata = Metadata::new();
    metadata.set("Content-Type", "text/plain");
    metadata.set("X-Object-Meta-Latin", &b"\xe4\xff"[..]);
    metadata
}

fn open() -> SessionOpen {
    let sender = Sender {
        address: "10.0.0.7:6200".into(),
        device: "sdc".into(),
        job: Job::Sync,
        agent: "ssync/test".into(),
    };
    SessionOpen {
        partition: partition(),
        sender,
        ring_digest: None,
        non_durable: false,
        failures_unlimited: false,
        protocol: SessionProtocol::Grpc,
    }
}

fn release_open() -> ReleaseOpen {
    let primary = Primary { address: "10.0.0.7:6200".into(), device: "sdb1".into() };
    ReleaseOpen { partition: partition(), ring_digest: None, primaries: vec![primary] }
}

/// An item whose number the fake goes by.
fn release_item(number: u64) -> ReleaseItem {
    ReleaseItem {
        offer: Offer::of_one_time(hash(number), time(1), Some(ObjectKind::Data)),
        files: vec![ReleaseFile { name: "1.data".into(), inode: number }],
        confirmed_by: vec![Confirmed { primary: 0, assurance: Assurance::Applied }],
    }
}

fn put(id: u64, name: &str, content_length: u64, inline: Option<&'static [u8]>) -> UpdateMessage {
    let inline_body = inline.map(|data| InlineBody { data: data.into(), etag: None });
    let put = PutUpdate {
        path: object(name).path,
        timestamp: time(id),
        content_length,
        metadata: metadata(),
        durable: true,
        inline_body,
    };
    UpdateMessage::Update(Update { id, op: UpdateOp::Put(put) })
}

fn delete(id: u64) -> UpdateMessage {
    let op = UpdateOp::Delete { path: object("gone").path, timestamp: time(id) };
    UpdateMessage::Update(Update { id, op })
}

fn complete() -> BodyEnd {
    BodyEnd::Complete { etag: None, footers: Metadata::new() }
}

/// Reads up to `accepted`.
async fn accepted(session: &mut Session) -> Accepted {
    loop {
        match soon(session.events.recv()).await.expect("an event").expect("no refusal") {
            SessionEvent::Accepted(accepted) => return accepted,
            SessionEvent::Opened { .. } | SessionEvent::Heartbeat | SessionEvent::Work(_) => {}
            other => panic!("{other:?} before accepted"),
        }
    }
}

/// Reads so many results.
async fn results(session: &mut Session, count: usize) -> Vec<UpdateResult> {
    let mut results = Vec::new();
    while results.len() < count {
        match soon(session.events.recv()).await.expect("an event").expect("no refusal") {
            SessionEvent::Results(more) => results.extend(more),
            SessionEvent::Heartbeat | SessionEvent::Work(_) => {}
            other => panic!("{other:?} instead of results"),
        }
    }
    results
}
