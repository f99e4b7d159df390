//! What a change of an object means to others: its container's listing, and the expirer's queue (Swift: obj/server.py
//! container_update, delete_at_update, async_update).
//!
//! A handler tells of what it has stored; what is to be sent, and where, follows from the request's headers. An update
//! that cannot be delivered is kept by the store for Swift's object updater.

mod change;
mod client;
mod content_type;
mod deliver;
mod drain;
mod keep;
mod listing;
mod places;
mod queue;
mod redirect;
mod resolver;
mod row;
mod sendable;

use ssync_store::StoreResult;
use ssync_types::{Deleted, Metadata, PendingUpdate, Posted, Stored};

pub(crate) use change::Change;
pub(crate) use deliver::{Deliveries, Limits};
pub(crate) use queue::ExpirerQueue;
pub(crate) use row::listed_content_type;

/// Servers of one container that one request is told to.
const HOSTS_MAX: usize = 16;

/// One request to a server of a container, and what is kept if it comes to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Update {
    /// `None`: it is kept at once.
    pub(crate) target: Option<Target>,
    pub(crate) update: PendingUpdate,
}

impl Update {
    /// The same for each server; `None` for one of which a part is missing.
    fn for_each(update: &PendingUpdate, targets: Vec<Option<Target>>) -> Vec<Self> {
        if targets.len() > HOSTS_MAX {
            tracing::error!(
                hosts = targets.len(), path = %update.path,
                "a container update is left to the updater: it is for more than {HOSTS_MAX} servers"
            );
            return vec![Self { target: None, update: update.clone() }];
        }
        targets.into_iter().map(|target| Self { target, update: update.clone() }).collect()
    }
}

/// Where a container's server has a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// `address:port`, as the proxy wrote it.
    pub(crate) host: String,
    pub(crate) device: Vec<u8>,
    pub(crate) partition: Vec<u8>,
}

/// All that follows from one change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// For the expirer's queue.
    pub(crate) queue: Vec<Update>,
    /// For the listing of the object's container.
    pub(crate) listing: Vec<Update>,
}

/// Tells others of changes.
#[derive(Debug)]
pub(crate) struct Updates {
    queue: ExpirerQueue,
    deliveries: Deliveries,
}

impl Updates {
    pub(crate) fn new(queue: ExpirerQueue, deliveries: Deliveries) -> Self {
        Self { queue, deliveries }
    }

    /// An object was stored. `footers` came behind its body.
    pub(crate) async fn after_put(
        &self,
        change: &Change<'_>,
        footers: &Metadata,
        stored: &Stored,
    ) -> StoreResult<()> {
        self.deliveries.carry_out(self.plan_put(change, footers, stored)).await
    }

    /// An object's metadata was replaced.
    pub(crate) async fn after_post(&self, change: &Change<'_>, posted: &Posted) -> StoreResult<()> {
        self.deliveries.carry_out(self.plan_post(change, posted)).await
    }

    /// An object was deleted, or a tombstone was left where there was none.
    pub(crate) async fn after_delete(&self, change: &Change<'_>, deleted: &Deleted) -> StoreResult<()> {
        self.deliveries.carry_out(self.plan_delete(change, deleted)).await
    }

    /// Waits for updates that go on in the background.
    pub(crate) async fn finish(&self) {
        self.deliveries.finish().await;
    }

    fn plan_put(&self, change: &Change<'_>, footers: &Metadata, stored: &Stored) -> Plan {
        let old = stored.previous.as_ref().and_then(queue::delete_at);
        let entry = queue::Entry { bytes: stored.content_length, body: change.timestamp };
        Plan {
            queue: self.queue.updates(change, old, queue::delete_at(change.headers), &entry),
            listing: listing::updates(change, row::of_put(change, footers, stored)),
        }
    }

    fn plan_post(&self, change: &Change<'_>, posted: &Posted) -> Plan {
        let entry = queue::Entry { bytes: posted.info.content_length, body: posted.info.data };
        let queue = match row::replaced_metadata(change, posted) {
            true => {
                let old = queue::delete_at(&posted.previous);
                self.queue.updates(change, old, queue::delete_at(change.headers), &entry)
            }
            false => Vec::new(),
        };
        Plan { queue, listing: listing::updates(change, row::of_post(posted)) }
    }

    fn plan_delete(&self, change: &Change<'_>, deleted: &Deleted) -> Plan {
        let old = deleted.previous.as_ref().and_then(queue::delete_at);
        let queue = old.and_then(|old| self.queue.removal(change, old)).into_iter().collect();
        // Something as new has left its own mark in the listing.
        let listing = match deleted.written {
            true => listing::updates(change, row::of_delete(change)),
            false => Vec::new(),
        };
        Plan { queue, listing }
    }
}

#[cfg(test)]
mod tests;
