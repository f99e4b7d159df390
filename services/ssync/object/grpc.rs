//! The same question by gRPC: what a node tells that takes nothing but TLS, and the one time that no header of HTTP tells.

use ssync_store::{PeerBook, PeerKind, RemoteSettings, RemoteStore, Store as _, StoreAddress};
use ssync_types::{ObjectInfo, ObjectRef, PartitionRef, ReadOptions, Reason, Refusal};
use tokio::time::timeout;

use super::{Answer, Copy, Site, ask::Question};

/// The head of the object, where the node speaks gRPC; `None` where it does not.
pub(super) async fn head(
    question: &Question,
    site: &Site,
    book: &PeerBook,
) -> Option<Result<ObjectInfo, Refusal>> {
    let (ip, port) = &site.replication;
    let address = StoreAddress::of_node(ip, *port);
    let StoreAddress::Tcp(authority) = &address else { return None };
    let asked = async {
        let tls = match book.kind(authority).await? {
            PeerKind::Grpc => None,
            PeerKind::GrpcByTls => question.tls.clone(),
            PeerKind::StockSwift => return Ok(None),
        };
        let settings = RemoteSettings { tls, ..RemoteSettings::default() };
        let store = RemoteStore::new(address.clone(), settings)
            .map_err(|invalid| Refusal::new(Reason::InvalidArgument, invalid.to_string()))?;
        store.head_object(object(question, site), options()).await.map(Some)
    };
    let late = || Err(Refusal::new(Reason::Unreachable, format!("no answer within {:?}", question.limit)));
    timeout(question.limit, asked).await.unwrap_or_else(|_| late()).transpose()
}

fn object(question: &Question, site: &Site) -> ObjectRef {
    let partition = PartitionRef {
        device: site.device.clone(),
        partition: question.partition,
        policy: question.policy,
        fragment: None,
    };
    ObjectRef { partition, path: question.path.clone() }
}

fn options() -> ReadOptions {
    ReadOptions { open_expired: true, fragment_preferences: Some(Vec::new()), ..ReadOptions::default() }
}

/// What a head means.
pub(super) fn answer(head: Result<ObjectInfo, Refusal>) -> Answer {
    match head {
        Ok(info) => Answer::Data(Box::new(copy(info))),
        Err(Refusal { reason: Reason::NotFound, timestamp: Some(deleted), .. }) => Answer::Tombstone(deleted),
        Err(Refusal { reason: Reason::NotFound, .. }) => Answer::Nothing,
        Err(refusal) => Answer::Failed(refusal.to_string()),
    }
}

fn copy(info: ObjectInfo) -> Copy {
    let text = |name: &str| info.metadata.get_str(name);
    let whole = text("X-Object-Sysmeta-Ec-Etag");
    let bytes = match whole {
        Some(_) => text("X-Object-Sysmeta-Ec-Content-Length").and_then(|bytes| bytes.parse().ok()),
        None => Some(info.content_length),
    };
    Copy {
        data: info.data,
        newest: info.timestamp,
        content_type: Some(info.content_type),
        durable: info.durable,
        etag: whole.or_else(|| text("ETag")).unwrap_or_default().trim_matches('"').to_owned(),
        bytes,
        delete_at: text("X-Delete-At").and_then(|at| at.parse().ok()),
        fragments: info.fragments,
    }
}
