//! A client, and the proxy that it talks to: some nodes are asked at once, the next ones in place of those that fail, and so many
//! that did it are enough.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use ssync_ring::{Ring, RingDevice};
use ssync_store::Store as _;
use ssync_types::{
    BodyEnd, BodyEvent, CommitMode, Metadata, ObjectDelete, ObjectPost, ObjectPut, ObjectRef, Partition,
    PartitionRef, PutStep, Reason, Refusal, Timestamp,
};
use tokio::time::{Duration, timeout};

use crate::{
    cluster::Cluster,
    history::{Answer, Kind, Request, hash, path},
    link::{End, Link},
    places::{POLICY, node_at},
};

/// How long a node may take.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// Bytes in one piece of a body.
const PIECE: usize = 90;

/// A device to ask.
pub(crate) type Place = (usize, ssync_types::DeviceName);

/// Whom a proxy asks.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    /// At once.
    pub(crate) first: Vec<Place>,
    /// In place of those that fail.
    pub(crate) next: Vec<Place>,
    /// So many are enough.
    pub(crate) quorum: usize,
}

fn place(device: &RingDevice) -> Place {
    (node_at(&device.ip), device.device.clone())
}

impl Proxy {
    /// The primaries by a ring, then its handoffs.
    pub(crate) fn of(ring: &Ring, partition: Partition, quorum: usize) -> Self {
        let first: Vec<_> = ring.primaries(partition).iter().map(|primary| place(primary.device)).collect();
        let next = ring.handoffs(partition).map(place).take(first.len()).collect();
        Self { first, next, quorum }
    }
}

/// Does what is asked for; says what the client is told.
pub(crate) async fn ask(cluster: &Arc<Cluster>, ring: &Ring, proxy: Proxy, request: &Request) -> Answer {
    let partition = ring.partition_of(&hash(request.object));
    let Proxy { first, next, quorum } = proxy;
    let handoffs = Mutex::new(next.into_iter());
    let asked = first.into_iter().map(|first| async {
        let mut next = Some(first);
        while let Some((node, device)) = next {
            let disks = cluster.disks_of(&device);
            let object = ObjectRef {
                partition: PartitionRef { device: device.clone(), partition, policy: POLICY, fragment: None },
                path: path(request.object),
            };
            let link = Link::new(Arc::clone(cluster), End::CLIENT, node);
            let done = timeout(WAIT_MAX, one(&link, object, request)).await;
            match done.unwrap_or_else(|_| Err(Refusal::new(Reason::Unreachable, "it took too long"))) {
                Ok(base) => return Some((device, disks, base)),
                Err(refusal) if matches!(refusal.reason, Reason::Conflict | Reason::NotFound) => return None,
                Err(_) => next = handoffs.lock().unwrap_or_else(PoisonError::into_inner).next(),
            }
        }
        None
    });
    let done = join_all(asked).await.into_iter().flatten();
    // What was on a disk that is not there any more was promised by nobody.
    let done = done.filter(|(device, disks, _)| cluster.disks_of(device) == *disks);
    let done: Vec<Timestamp> = done.map(|(_, _, base)| base).collect();
    match done.iter().min() {
        Some(base) if done.len() >= quorum => Answer::Done { base: *base },
        _ => Answer::Unknown,
    }
}

/// Asks one node; what was done was done to a body of this time.
async fn one(link: &Link, object: ObjectRef, request: &Request) -> Result<Timestamp, Refusal> {
    match request.kind {
        Kind::Put { .. } => put(link, object, request).await,
        Kind::Post { content_type } => {
            let post = ObjectPost {
                object,
                timestamp: request.timestamp,
                metadata: request.metadata(),
                content_type: content_type.then_some(request.timestamp),
                open_expired: false,
                next_part_power: None,
            };
            Ok(link.post_object(post).await?.info.data)
        }
        Kind::Delete => {
            let delete = ObjectDelete {
                object,
                timestamp: request.timestamp,
                if_delete_at: None,
                next_part_power: None,
            };
            let deleted = link.delete_object(delete).await?;
            let done = deleted.written || deleted.timestamp == request.timestamp;
            done.then_some(request.timestamp).ok_or_else(|| Refusal::new(Reason::Conflict, "something newer"))
        }
    }
}

async fn put(link: &Link, object: ObjectRef, request: &Request) -> Result<Timestamp, Refusal> {
    let mut body = request.body();
    let put = ObjectPut {
        object,
        timestamp: request.timestamp,
        content_length: Some(body.len() as u64),
        metadata: request.metadata(),
        if_none_match: Vec::new(),
        commit: CommitMode::AtOnce,
        next_part_power: None,
    };
    let mut upload = link.put_object(put).await?;
    let broken = || Refusal::new(Reason::Unreachable, "the upload broke");
    while !body.is_empty() {
        let piece = body.split_to(PIECE.min(body.len()));
        upload.body.send(BodyEvent::Chunk(piece)).await.map_err(|_| broken())?;
    }
    let end = BodyEnd::Complete { etag: None, footers: Metadata::new() };
    upload.body.send(BodyEvent::End(end)).await.map_err(|_| broken())?;
    match upload.steps.recv().await {
        Some(Ok(PutStep::Stored(_))) => Ok(request.timestamp),
        Some(Err(refusal)) => Err(refusal),
        Some(Ok(PutStep::Prepared)) | None => Err(broken()),
    }
}
