//! Counts live objects: all of some suffixes, or those that a peer lacks. Tombstones and metadata alone are told apart.

use std::{collections::HashMap, sync::Arc};

use ssync_diskfile::{LocalObject, SuffixLook};
use ssync_types::{ObjectHash, ObjectKind, Refusal, Suffix, SuffixHashes};
use tokio_util::sync::CancellationToken;

use crate::{
    job::Job,
    listing::SLICE_OBJECTS_MAX,
    peer::{Peer, Target},
};

/// Live objects and the bytes of their bodies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    /// Tombstones, and objects of which the metadata alone is lacking.
    pub(crate) others: u64,
    /// Objects that could not be read.
    pub(crate) unread: u64,
    /// The peer did not say what it lacks: it may be less.
    pub(crate) at_most: bool,
}

impl Count {
    fn add(&mut self, objects: &[(LocalObject, u64)]) {
        objects.iter().for_each(|(object, bytes)| self.add_one(is_live(object), *bytes));
    }

    fn add_one(&mut self, is_body: bool, bytes: u64) {
        match is_body {
            true => {
                self.objects += 1;
                self.bytes += bytes;
            }
            false => self.others += 1,
        }
    }
}

fn is_live(object: &LocalObject) -> bool {
    object.offer.kind != Some(ObjectKind::Tombstone)
}

/// All objects of these suffixes.
pub(super) async fn count_all(job: &Job, suffixes: &[Suffix]) -> Result<Count, Refusal> {
    let mut count = Count::default();
    for &suffix in suffixes {
        let look = job.source().look(suffix).await?;
        count.unread += look.unread;
        count.add(&look.objects);
    }
    Ok(count)
}

/// The objects of these suffixes that a peer lacks. Of a suffix that the peer does not have it lacks all; of the others it
/// is asked, slice by slice. A peer that does not answer that question lacks all at most.
pub(super) async fn count_lacking(
    job: &Job,
    drain: &CancellationToken,
    target: &Target,
    peer: &dyn Peer,
    suffixes: &[Suffix],
    remote: &SuffixHashes,
) -> Result<Count, Refusal> {
    let mut count = Count::default();
    let mut slice = Vec::new();
    for suffix in suffixes {
        if drain.is_cancelled() {
            break;
        }
        job.local.pulse().beat();
        let SuffixLook { objects, unread } = job.source().look(*suffix).await?;
        count.unread += unread;
        if remote.contains_key(suffix) {
            slice.extend(objects);
        } else {
            count.add(&objects);
        }
        if slice.len() as u64 >= SLICE_OBJECTS_MAX {
            ask(job, target, peer, std::mem::take(&mut slice), &mut count).await;
        }
    }
    ask(job, target, peer, slice, &mut count).await;
    Ok(count)
}

async fn ask(job: &Job, target: &Target, peer: &dyn Peer, slice: Vec<(LocalObject, u64)>, count: &mut Count) {
    if slice.is_empty() {
        return;
    }
    let offered = Arc::new(slice.iter().map(|(object, _)| object.clone()).collect());
    match peer.lacking(&job.at(&target.device), offered).await {
        Ok(wants) => {
            let offered: HashMap<ObjectHash, (bool, u64)> =
                slice.iter().map(|(object, bytes)| (object.offer.hash, (is_live(object), *bytes))).collect();
            for want in wants {
                let Some((is_live, bytes)) = offered.get(&want.hash) else { continue };
                count.add_one(*is_live && want.data, *bytes);
            }
        }
        Err(refusal) => {
            tracing::info!(peer = %target, %refusal, "was not asked object by object; what it lacks is an upper bound");
            count.add(&slice);
            count.at_most = true;
        }
    }
}
