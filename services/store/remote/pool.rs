//! Connections to one peer.
//!
//! A stream whose reader has stalled keeps its window's worth of the connection's window for itself, so enough of them
//! stop everybody on that connection. Hence a stream gets a connection to itself as long as there are enough.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ssync_api::{
    convert::{REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX},
    v1::{
        device_service_client::DeviceServiceClient, object_service_client::ObjectServiceClient,
        replication_service_client::ReplicationServiceClient,
    },
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{guard::Guarded, settings::Dialer};

/// At most so many connections, the least used first.
#[derive(Debug)]
pub(super) struct Pool {
    dialer: Dialer,
    connections_max: usize,
    connections: Mutex<Vec<Lease>>,
}

/// The use of a connection, for as long as it is held.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    channel: Guarded,
    /// Its holders are counted by the references to this: one is the pool's.
    users: Arc<()>,
}

/// The use of a connection for a body: the pool has only so many.
#[derive(Debug)]
pub(super) struct Place {
    lease: Lease,
    _permit: OwnedSemaphorePermit,
}

/// Connections for bodies. They are slow at their reader's pleasure and there may be many, so there are places for a bounded
/// number; without a bound the peer's limit on streams would let further ones wait for as long as it pleases the others.
#[derive(Debug)]
pub(super) struct Places {
    pool: Pool,
    free: Arc<Semaphore>,
}

impl Places {
    pub(super) fn new(pool: Pool, streams_max: usize) -> Self {
        let places = pool.connections_max.saturating_mul(streams_max.max(1)).min(Semaphore::MAX_PERMITS);
        Self { pool, free: Arc::new(Semaphore::new(places)) }
    }

    /// A place; `None` when there was none within `limit`.
    pub(super) async fn take(&self, limit: Duration) -> Option<Place> {
        let permit = timeout(limit, Arc::clone(&self.free).acquire_owned()).await.ok()?.ok()?;
        Some(Place { lease: self.pool.lease(), _permit: permit })
    }
}

impl Place {
    pub(super) fn objects(&self) -> ObjectServiceClient<Guarded> {
        self.lease.objects()
    }
}

impl Pool {
    pub(super) fn new(dialer: Dialer, connections_max: usize) -> Self {
        Self { dialer, connections_max: connections_max.max(1), connections: Mutex::default() }
    }

    /// An idle connection, else a new one, else the least used.
    pub(super) fn lease(&self) -> Lease {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let least_used = connections.iter().min_by_key(|lease| lease.users()).cloned();
        match least_used {
            // Two references: the pool's and the clone's.
            Some(lease) if lease.users() <= 2 || connections.len() >= self.connections_max => lease,
            _ => {
                let lease = Lease { channel: Guarded(self.dialer.dial()), users: Arc::default() };
                connections.push(lease.clone());
                lease
            }
        }
    }
}

impl Lease {
    fn users(&self) -> usize {
        Arc::strong_count(&self.users)
    }

    pub(super) fn replication(&self) -> ReplicationServiceClient<Guarded> {
        ReplicationServiceClient::new(self.channel.clone())
            .max_encoding_message_size(REQUEST_BYTES_MAX)
            .max_decoding_message_size(RESPONSE_BYTES_MAX)
    }

    pub(super) fn objects(&self) -> ObjectServiceClient<Guarded> {
        ObjectServiceClient::new(self.channel.clone())
            .max_encoding_message_size(REQUEST_BYTES_MAX)
            .max_decoding_message_size(RESPONSE_BYTES_MAX)
    }

    pub(super) fn devices(&self) -> DeviceServiceClient<Guarded> {
        DeviceServiceClient::new(self.channel.clone())
            .max_encoding_message_size(REQUEST_BYTES_MAX)
            .max_decoding_message_size(RESPONSE_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_has_a_connection_to_itself_while_there_are_enough() {
        let pool = Pool::new(Dialer::to_nobody(), 3);
        let leases: Vec<Lease> = (0..3).map(|_| pool.lease()).collect();
        assert_eq!(pool.connections.lock().unwrap().len(), 3);
        assert!(leases.iter().all(|lease| lease.users() == 2));

        let shared = pool.lease();
        assert_eq!((shared.users(), pool.connections.lock().unwrap().len()), (3, 3));
        drop((leases, shared));
        let _reused = pool.lease();
        assert_eq!(pool.connections.lock().unwrap().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_bounded_and_spread_evenly() {
        let places = Places::new(Pool::new(Dialer::to_nobody(), 2), 3);
        let wait = Duration::from_secs(5);
        let mut taken = Vec::new();
        for _ in 0..6 {
            taken.push(places.take(wait).await.unwrap());
        }
        // Three holders and the pool.
        assert!(taken.iter().all(|place| place.lease.users() == 4));
        let began = tokio::time::Instant::now();
        assert!(places.take(wait).await.is_none());
        assert_eq!(began.elapsed(), wait);
        taken.pop();
        assert!(places.take(wait).await.is_some());
    }
}
