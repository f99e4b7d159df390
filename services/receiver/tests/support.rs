//! A node in a temporary directory, and a sender.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use md5::{Digest as _, Md5};
use ssync_diskfile::{Devices, DiskConfig, PolicyKind, Reserve};
use ssync_store::{Session, Store as _};
use ssync_types::{
    BodyEnd, BodyEvent, HashPathConfig, InlineBody, Job, Metadata, ObjectPath, ObjectRef, Outcome, Partition,
    PartitionRef, PolicyIndex, Primary, PutUpdate, Refusal, ReleaseOpen, Sender, SessionEvent, SessionOpen,
    SessionProtocol, Summary, Timestamp, Update, UpdateMessage, UpdateOp, UpdateResult,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{Placement, Receiver, ReceiverConfig};

/// The ring has four partitions.
const PART_POWER: u32 = 2;

/// A ring that a test turns around.
#[derive(Debug, Default)]
pub(super) struct Ring(AtomicU8);

impl Ring {
    pub(super) fn set(&self, primary: Option<bool>) {
        self.0.store(primary.map_or(2, u8::from), Ordering::SeqCst);
    }
}

impl Placement for Ring {
    fn part_power(&self, _policy: PolicyIndex) -> Option<u32> {
        (self.0.load(Ordering::SeqCst) < 2).then_some(PART_POWER)
    }

    fn is_primary(
        &self,
        _policy: PolicyIndex,
        _partition: Partition,
        _device: &ssync_types::DeviceName,
    ) -> Option<bool> {
        match self.0.load(Ordering::SeqCst) {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn ring_digest(&self, _policy: PolicyIndex) -> Option<Vec<u8>> {
        Some(vec![1, 2, 3])
    }
}

pub(super) struct Node {
    pub(super) receiver: Arc<Receiver>,
    pub(super) ring: Arc<Ring>,
    pub(super) drain: CancellationToken,
    hash: HashPathConfig,
    root: TempDir,
}

impl Node {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A node with devices `d1` and `d2` that is a primary of everything.
    pub(super) fn with(change: impl FnOnce(&mut ReceiverConfig)) -> Self {
        let mut config = ReceiverConfig::default();
        change(&mut config);
        Self::on(config, Devices::new)
    }

    /// A node whose devices are `open`'s.
    pub(super) fn on(
        config: ReceiverConfig,
        open: impl FnOnce(DiskConfig, HashPathConfig, BTreeMap<PolicyIndex, PolicyKind>) -> Devices,
    ) -> Self {
        let root = tempfile::tempdir().unwrap();
        for device in ["d1", "d2"] {
            fs::create_dir(root.path().join(device)).unwrap();
        }
        let disk = DiskConfig {
            devices: root.path().to_path_buf(),
            mount_check: false,
            fallocate_reserve: Reserve::Bytes(0),
            ..DiskConfig::default()
        };
        let policies = BTreeMap::from([
            (PolicyIndex::new(0), PolicyKind::Replication),
            (PolicyIndex::new(1), PolicyKind::ErasureCoding { fragments: 6 }),
        ]);
        let hash = HashPathConfig::new("", "salt").unwrap();
        let ring = Arc::new(Ring::default());
        ring.set(Some(true));
        let drain = CancellationToken::new();
        let devices = Arc::new(open(disk, hash.clone(), policies));
        let placement: Arc<dyn Placement> = Arc::clone(&ring) as _;
        let receiver = Receiver::new(config, devices, placement, drain.clone());
        Self { receiver, ring, drain, hash, root }
    }

    pub(super) fn device(&self) -> PathBuf {
        self.root.path().join("d1")
    }

    /// The `number`th object of partition 0.
    pub(super) fn object(&self, number: usize) -> ObjectPath {
        self.objects(0).nth(number).unwrap()
    }

    /// The names in a partition, as many as are asked for.
    pub(super) fn objects(&self, partition: u32) -> impl Iterator<Item = ObjectPath> + '_ {
        (0..)
            .map(|n| ObjectPath::of("a", "c", &format!("o{n}")).unwrap())
            .filter(move |path| self.hash.hash(path).partition(PART_POWER) == Partition::new(partition))
    }

    pub(super) fn hash_of(&self, path: &ObjectPath) -> ssync_types::ObjectHash {
        self.hash.hash(path)
    }

    pub(super) fn reference(&self, path: &ObjectPath) -> ObjectRef {
        ObjectRef { partition: partition(0), path: path.clone() }
    }

    /// The names of an object's files, in order.
    pub(super) fn files(&self, path: &ObjectPath) -> Vec<String> {
        let hash = self.hash.hash(path);
        let directory =
            self.device().join("objects/0").join(hash.suffix().to_string()).join(hash.to_string());
        let entries = fs::read_dir(directory).into_iter().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// All files of objects, and what waits to become one.
    pub(super) fn all_files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.device(), &mut found);
        let device = self.device();
        let counts = |path: &PathBuf| {
            let path = path.strip_prefix(&device).unwrap();
            let ends = |end: &&str| path.extension().is_some_and(|extension| extension == *end);
            ["data", "meta", "ts"].iter().any(ends) || path.starts_with("tmp")
        };
        found.retain(counts);
        found
    }

    pub(super) async fn open(&self, open: SessionOpen) -> Talk {
        Talk::new(self.receiver.updates(open).await.unwrap()).await.unwrap()
    }

    /// Opens a session that is to be refused after it was opened.
    pub(super) async fn refused(&self, open: SessionOpen) -> Refusal {
        Talk::new(self.receiver.updates(open).await.unwrap()).await.map(|_| ()).unwrap_err()
    }

    /// The object's body.
    pub(super) async fn read(&self, path: &ObjectPath) -> Result<Vec<u8>, Refusal> {
        let (_, mut body) =
            self.receiver.get_object(self.reference(path), vec![], Default::default()).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = body.recv().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes)
    }
}

/// Takes a lock on a file of the node's first device.
pub(super) fn lock(node: &Node, name: &str) -> fs::File {
    let path = node.device().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = fs::File::create(path).unwrap();
    file.lock().unwrap();
    file
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}

pub(super) fn release_open(number: u32) -> ReleaseOpen {
    let primary = Primary { address: "10.0.0.7:6200".into(), device: "sdb1".into() };
    ReleaseOpen { partition: partition(number), ring_digest: Some(vec![7; 32]), primaries: vec![primary] }
}

pub(super) fn partition(number: u32) -> PartitionRef {
    PartitionRef {
        device: "d1".parse().unwrap(),
        partition: Partition::new(number),
        policy: PolicyIndex::new(0),
        fragment: None,
    }
}

pub(super) fn grpc(number: u32) -> SessionOpen {
    let sender = Sender {
        address: "10.0.0.7:6200".to_owned(),
        device: "sdb".to_owned(),
        job: Job::Sync,
        agent: "test/1".to_owned(),
    };
    SessionOpen {
        partition: partition(number),
        sender,
        ring_digest: None,
        non_durable: false,
        failures_unlimited: false,
        protocol: SessionProtocol::Grpc,
    }
}

pub(super) fn revert(number: u32) -> SessionOpen {
    let open = grpc(number);
    SessionOpen { sender: Sender { job: Job::Revert, ..open.sender }, ..open }
}

pub(super) fn ssync(number: u32) -> SessionOpen {
    SessionOpen { protocol: SessionProtocol::Ssync, failures_unlimited: true, ..grpc(number) }
}

/// A time of today: tombstones of other years are reclaimed.
pub(super) fn at(seconds: u64) -> Timestamp {
    static BASE: LazyLock<u64> =
        LazyLock::new(|| Timestamp::from_system_time(SystemTime::now()).seconds() - 3600);
    Timestamp::from_seconds(*BASE + seconds)
}

pub(super) fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn metadata(items: &[(&str, &str)]) -> Metadata {
    items
        .iter()
        .map(|(name, value)| {
            (ssync_types::HeaderName::new(name.as_bytes()).unwrap(), Bytes::copy_from_slice(value.as_bytes()))
        })
        .collect()
}

pub(super) fn head(path: &ObjectPath, timestamp: Timestamp, content_length: u64) -> PutUpdate {
    PutUpdate {
        path: path.clone(),
        timestamp,
        content_length,
        metadata: metadata(&[("Content-Type", "text/plain"), ("X-Object-Meta-Colour", "red")]),
        durable: true,
        inline_body: None,
    }
}

pub(super) fn put(path: &ObjectPath, timestamp: Timestamp, body: &[u8]) -> UpdateOp {
    let inline_body = Some(InlineBody { data: Bytes::copy_from_slice(body), etag: Some(md5(body)) });
    UpdateOp::Put(PutUpdate { inline_body, ..head(path, timestamp, body.len() as u64) })
}

pub(super) fn post(path: &ObjectPath, timestamp: Timestamp) -> UpdateOp {
    UpdateOp::Post {
        path: path.clone(),
        timestamp,
        metadata: metadata(&[("X-Object-Meta-Colour", "blue")]),
        content_type: None,
    }
}

pub(super) fn delete(path: &ObjectPath, timestamp: Timestamp) -> UpdateOp {
    UpdateOp::Delete { path: path.clone(), timestamp }
}

pub(super) fn complete(etag: &str) -> BodyEnd {
    BodyEnd::Complete { etag: Some(etag.to_owned()), footers: Metadata::new() }
}

/// A body as the object API takes it.
pub(super) fn body(bytes: &[u8], end: BodyEnd) -> tokio::sync::mpsc::Receiver<BodyEvent> {
    let (sender, events) = tokio::sync::mpsc::channel(64);
    for piece in bytes.chunks(16 * 1024) {
        sender.try_send(BodyEvent::Chunk(Bytes::copy_from_slice(piece))).unwrap();
    }
    sender.try_send(BodyEvent::End(end)).unwrap();
    events
}

/// A session, seen from the sender.
pub(super) struct Talk {
    session: Option<Session>,
    next_id: u64,
}

/// How a session ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) results: Vec<UpdateResult>,
    pub(super) drained: bool,
    /// It has as many updates as a session may have.
    pub(super) full: bool,
    pub(super) summary: Option<Summary>,
    pub(super) error: Option<Refusal>,
}

impl Talk {
    async fn new(mut session: Session) -> Result<Self, Refusal> {
        let opened = session.events.recv().await.unwrap()?;
        assert!(matches!(opened, SessionEvent::Opened { .. }), "{opened:?}");
        let accepted = session.events.recv().await.unwrap()?;
        assert!(matches!(accepted, SessionEvent::Accepted(_)), "{accepted:?}");
        Ok(Self { session: Some(session), next_id: 1 })
    }

    fn session(&mut self) -> &mut Session {
        self.session.as_mut().unwrap()
    }

    pub(super) async fn message(&mut self, message: UpdateMessage) {
        // A session that has ended on its own takes no more.
        let _ = self.session().messages.send(message).await;
    }

    pub(super) async fn send(&mut self, op: UpdateOp) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.message(UpdateMessage::Update(Update { id, op })).await;
        id
    }

    pub(super) async fn chunk(&mut self, bytes: &[u8]) {
        self.message(UpdateMessage::Chunk(Bytes::copy_from_slice(bytes))).await;
    }

    /// Sends a body in pieces.
    pub(super) async fn stream(&mut self, put: PutUpdate, bytes: &[u8], end: BodyEnd) -> u64 {
        let id = self.send(UpdateOp::Put(put)).await;
        for piece in bytes.chunks(64 * 1024) {
            self.chunk(piece).await;
        }
        self.message(UpdateMessage::End(end)).await;
        id
    }

    pub(super) async fn event(&mut self) -> Option<Result<SessionEvent, Refusal>> {
        let wait = Duration::from_secs(20);
        tokio::time::timeout(wait, self.session().events.recv()).await.expect("the session says nothing")
    }

    /// The outcomes of the next `count` updates, by id.
    pub(super) async fn outcomes(&mut self, count: usize) -> Vec<Outcome> {
        let mut results = Vec::new();
        while results.len() < count {
            match self.event().await.unwrap().unwrap() {
                SessionEvent::Results(more) => results.extend(more),
                SessionEvent::Heartbeat | SessionEvent::Work(_) => {}
                other => panic!("{other:?}"),
            }
        }
        results.sort_by_key(|result| result.update_id);
        results.into_iter().map(|result| result.outcome).collect()
    }

    /// Sends one update and waits for its outcome.
    pub(super) async fn outcome(&mut self, op: UpdateOp) -> Outcome {
        self.send(op).await;
        self.outcomes(1).await.remove(0)
    }

    /// Everything that still comes; `close` says that no more is sent.
    pub(super) async fn rest(mut self, close: bool) -> Ended {
        let Session { messages, mut events } = self.session.take().unwrap();
        let messages = (!close).then_some(messages);
        let mut ended = Ended::default();
        let wait = Duration::from_secs(20);
        while let Some(event) =
            tokio::time::timeout(wait, events.recv()).await.expect("the session does not end")
        {
            match event {
                Ok(SessionEvent::Results(results)) => ended.results.extend(results),
                Ok(SessionEvent::Draining(reason)) if reason.contains("opened at once") => ended.full = true,
                Ok(SessionEvent::Draining(_)) => ended.drained = true,
                Ok(SessionEvent::Summary(summary)) => ended.summary = Some(summary),
                Ok(_) => {}
                Err(refusal) => ended.error = Some(refusal),
            }
        }
        drop(messages);
        ended
    }

    /// The orderly end.
    pub(super) async fn close(self) -> Ended {
        self.rest(true).await
    }
}
