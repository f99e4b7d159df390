//! Finds out what a node speaks, once, and keeps the way to it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use ssync_store::{PEERS_MAX, PeerBook, PeerKind, RemoteSettings, RemoteStore, Store, StoreAddress};
use ssync_types::{DeviceName, Refusal};
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    config::ReplicatorConfig,
    grpc::GrpcPeer,
    peer::{Peer, Peers, Target},
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
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    grpc: HashMap<String, (Instant, Arc<dyn Store>)>,
    slots: HashMap<(String, DeviceName), Arc<Semaphore>>,
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
            settings,
            book: PeerBook::default(),
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remembered(&self, address: &str) -> Option<Arc<dyn Store>> {
        let known = self.known();
        known
            .grpc
            .get(address)
            .filter(|(since, _)| since.elapsed() < REMEMBERED_FOR)
            .map(|(_, store)| Arc::clone(store))
    }

    /// The store at an address; one that was there before keeps its connections.
    fn store(&self, address: &str, target: &Target) -> Result<Arc<dyn Store>, Refusal> {
        let mut known = self.known();
        if let Some((since, store)) = known.grpc.get_mut(address) {
            *since = Instant::now();
            return Ok(Arc::clone(store));
        }
        if known.grpc.len() >= PEERS_MAX {
            known.grpc.retain(|_, (since, _)| since.elapsed() < REMEMBERED_FOR);
        }
        let at = StoreAddress::of_node(&target.ip, target.port);
        let store: Arc<dyn Store> = Arc::new(RemoteStore::new(at, self.settings)?);
        known.grpc.insert(address.to_owned(), (Instant::now(), Arc::clone(&store)));
        Ok(store)
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
            return Ok(Arc::new(GrpcPeer::new(store, self.limits.http)));
        }
        match self.book.kind(&address).await? {
            PeerKind::Grpc => Ok(Arc::new(GrpcPeer::new(self.store(&address, target)?, self.limits.http))),
            PeerKind::StockSwift => {
                self.known().grpc.remove(&address);
                let slot = self.slot(address, target.device.clone());
                Ok(Arc::new(SsyncPeer::new(target.clone(), self.limits, self.agent.clone(), slot)))
            }
        }
    }
}
