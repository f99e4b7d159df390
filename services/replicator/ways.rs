//! Finds out what a node speaks, once, and keeps the way to it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use ssync_store::{PEERS_MAX, PeerBook, PeerKind, RemoteSettings, RemoteStore, Store, StoreAddress};
use ssync_types::{DeviceName, PartitionRef, Reason, Refusal, SuffixHashes, Want};
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    config::ReplicatorConfig,
    grpc::GrpcPeer,
    peer::{Errand, OfferBatch, Peer, Peers, PushSession, Target},
    ssync::{Limits, SsyncPeer},
};

/// How long a node is taken for what it was: a node may be put back to stock Swift.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

/// The nodes of the rings, each reached by gRPC where it speaks that, else by SSYNC.
pub struct Nodes {
    agent: String,
    limits: Limits,
    settings: RemoteSettings,
    book: PeerBook,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    grpc: HashMap<String, Way>,
    slots: HashMap<(String, DeviceName), Arc<Semaphore>>,
}

/// A node that speaks gRPC.
struct Way {
    asked: Instant,
    /// It could not be reached since it was asked what it speaks.
    doubted: bool,
    kind: PeerKind,
    store: Arc<dyn Store>,
}

impl Way {
    fn is_recent(&self) -> bool {
        self.asked.elapsed() < REMEMBERED_FOR
    }
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nodes").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Nodes {
    /// Nodes reached with these settings.
    #[must_use]
    pub fn new(config: &ReplicatorConfig, settings: RemoteSettings) -> Self {
        let limits = Limits {
            connect: config.conn_timeout,
            node: config.node_timeout,
            http: config.http_timeout,
            line_bytes_max: config.network_chunk_size,
        };
        Self {
            agent: config.agent.clone(),
            limits,
            book: PeerBook::default().with_tls(settings.tls.clone()),
            settings,
            known: Arc::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        known(&self.known)
    }

    fn remembered(&self, address: &str) -> Option<Arc<dyn Store>> {
        let known = self.known();
        let way = known.grpc.get(address).filter(|way| way.is_recent() && !way.doubted)?;
        Some(Arc::clone(&way.store))
    }

    /// The store at an address that has just been asked; one that was there before keeps its connections.
    fn store(&self, address: &str, target: &Target, kind: PeerKind) -> Result<Arc<dyn Store>, Refusal> {
        let mut known = self.known();
        if let Some(way) = known.grpc.get_mut(address).filter(|way| way.kind == kind) {
            (way.asked, way.doubted) = (Instant::now(), false);
            return Ok(Arc::clone(&way.store));
        }
        if known.grpc.len() >= PEERS_MAX {
            known.grpc.retain(|_, way| way.is_recent());
        }
        let at = StoreAddress::of_node(&target.ip, target.port);
        let mut settings = self.settings.clone();
        settings.tls = settings.tls.filter(|_| kind == PeerKind::GrpcByTls);
        let store: Arc<dyn Store> = Arc::new(RemoteStore::new(at, settings)?);
        let way = Way { asked: Instant::now(), doubted: false, kind, store: Arc::clone(&store) };
        known.grpc.insert(address.to_owned(), way);
        Ok(store)
    }

    fn grpc(&self, store: Arc<dyn Store>, address: String) -> Arc<dyn Peer> {
        let peer = GrpcPeer::new(store, self.limits.http);
        Arc::new(Doubtful { peer, address, known: Arc::clone(&self.known) })
    }

    /// The one conversation that a device of a stock node admits at a time.
    fn slot(&self, address: String, device: DeviceName) -> Arc<Semaphore> {
        let mut known = self.known();
        if known.slots.len() >= PEERS_MAX {
            // Those in use are held elsewhere as well.
            known.slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(known.slots.entry((address, device)).or_insert_with(|| Arc::new(Semaphore::new(1))))
    }
}

#[async_trait]
impl Peers for Nodes {
    async fn find(&self, target: &Target) -> Result<Arc<dyn Peer>, Refusal> {
        let address = target.address();
        if let Some(store) = self.remembered(&address) {
            return Ok(self.grpc(store, address));
        }
        match self.book.kind(&address).await? {
            kind @ (PeerKind::Grpc | PeerKind::GrpcByTls) => {
                Ok(self.grpc(self.store(&address, target, kind)?, address))
            }
            PeerKind::StockSwift => {
                self.known().grpc.remove(&address);
                let slot = self.slot(address, target.device.clone());
                Ok(Arc::new(SsyncPeer::new(target.clone(), self.limits, self.agent.clone(), slot)))
            }
        }
    }
}

fn known(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A gRPC peer that is asked again what it speaks when it could not be reached: it may have been put back to stock Swift,
/// which breaks off what it takes for bad HTTP.
struct Doubtful {
    peer: GrpcPeer,
    address: String,
    known: Arc<Mutex<Known>>,
}

impl Doubtful {
    fn heard<T>(&self, answer: Result<T, Refusal>) -> Result<T, Refusal> {
        if answer.as_ref().is_err_and(|refusal| refusal.reason == Reason::Unreachable)
            && let Some(way) = known(&self.known).grpc.get_mut(&self.address)
        {
            way.doubted = true;
        }
        answer
    }
}

#[async_trait]
impl Peer for Doubtful {
    async fn suffix_hashes(&self, partition: &PartitionRef) -> Result<SuffixHashes, Refusal> {
        self.heard(self.peer.suffix_hashes(partition).await)
    }

    async fn lacking(&self, partition: &PartitionRef, objects: OfferBatch) -> Result<Vec<Want>, Refusal> {
        self.heard(self.peer.lacking(partition, objects).await)
    }

    async fn open(&self, errand: Errand) -> Result<Box<dyn PushSession>, Refusal> {
        self.heard(self.peer.open(errand).await)
    }
}

#[cfg(test)]
mod tests;
