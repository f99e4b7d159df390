//! A client, and the proxy that it talks to: three nodes are asked at once, the next ones in place of those that fail, and two
//! that did it are enough.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use ssync_ring::Ring;
use ssync_store::Store as _;
use ssync_types::{
    BodyEnd, BodyEvent, CommitMode, Metadata, ObjectDelete, ObjectPost, ObjectPut, ObjectRef, PartitionRef,
    PutStep, Reason, Refusal, Timestamp,
};
use tokio::time::{Duration, timeout};

use crate::{
    cluster::Cluster,
    history::{Answer, Kind, Request, hash, path},
    link::{End, Link},
    places::{POLICY, REPLICAS, node_at},
};

const QUORUM: usize = REPLICAS / 2 + 1;
/// How long a node may take.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// Bytes in one piece of a body.
const PIECE: usize = 90;

/// A device to ask.
type Place = (usize, ssync_types::DeviceName);

/// Does what is asked for; says what the client is told.
pub(crate) async fn ask(cluster: &Arc<Cluster>, ring: &Ring, request: &Request) -> Answer {
    let partition = ring.partition_of(&hash(request.object));
    let place = |device: &ssync_ring::RingDevice| -> Place { (node_at(&device.ip), device.device.clone()) };
    let primaries: Vec<Place> =
        ring.primaries(partition).iter().map(|primary| place(primary.device)).collect();
    let handoffs: Vec<Place> = ring.handoffs(partition).map(place).take(REPLICAS).collect();
    let handoffs = Mutex::new(handoffs.into_iter());
    let asked = primaries.into_iter().map(|first| async {
        let mut next = Some(first);
        while let Some((node, device)) = next {
            let object = ObjectRef {
                partition: PartitionRef { device, partition, policy: POLICY, fragment: None },
                path: path(request.object),
            };
            let link = Link::new(Arc::clone(cluster), End::CLIENT, node);
            let done = timeout(WAIT_MAX, one(&link, object, request)).await;
            match done.unwrap_or_else(|_| Err(Refusal::new(Reason::Unreachable, "it took too long"))) {
                Ok(base) => return Some(base),
                Err(refusal) if matches!(refusal.reason, Reason::Conflict | Reason::NotFound) => return None,
                Err(_) => next = handoffs.lock().unwrap_or_else(PoisonError::into_inner).next(),
            }
        }
        None
    });
    let done: Vec<Timestamp> = join_all(asked).await.into_iter().flatten().collect();
    match done.iter().min() {
        Some(base) if done.len() >= QUORUM => Answer::Done { base: *base },
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
