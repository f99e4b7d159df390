//! Counts objects: all of some suffixes, or those that a peer lacks.

use std::{collections::HashMap, sync::Arc};

use ssync_diskfile::{LocalObject, SuffixLook};
use ssync_types::{ObjectHash, Refusal, Suffix, SuffixHashes};
use tokio_util::sync::CancellationToken;

use crate::{
    job::Job,
    listing::SLICE_OBJECTS_MAX,
    peer::{Peer, Target},
};

/// Objects and the bytes of their bodies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) objects: u64,
    pub(super) bytes: u64,
    /// Objects that could not be read.
    pub(super) unread: u64,
    pub(super) at_most: bool,
}

impl Count {
    fn add(&mut self, objects: &[(LocalObject, u64)]) {
        self.objects += objects.len() as u64;
        self.bytes += objects.iter().map(|(_, bytes)| bytes).sum::<u64>();
    }
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
            let sizes: HashMap<ObjectHash, u64> =
                slice.iter().map(|(object, bytes)| (object.offer.hash, *bytes)).collect();
            for want in wants {
                let Some(bytes) = sizes.get(&want.hash) else { continue };
                count.objects += 1;
                count.bytes += if want.data { *bytes } else { 0 };
            }
        }
        Err(refusal) => {
            tracing::info!(peer = %target, %refusal, "was not asked object by object; what it lacks is an upper bound");
            count.add(&slice);
            count.at_most = true;
        }
    }
}
