//! Walks a partition suffix by suffix and hands its objects to sessions, in slices of bounded size.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::future::join_all;

use ssync_diskfile::LocalObject;
use ssync_types::{Offer, Reason, Refusal, Suffix};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{peer::OfferBatch, source::Source};

/// A slice ends with the suffix in which it reaches this: what a job holds in memory, and repeats after an interruption.
pub(crate) const SLICE_OBJECTS_MAX: u64 = 20_000;

/// Suffixes that are asked for at a time: in a cluster with few objects each has one or two.
const SUFFIXES_MAX: usize = 256;
/// What has waited for this long is offered, however few it is: a slow disk does not make sessions wait.
const BATCH_AGE_MAX: Duration = Duration::from_secs(3);
/// How long one session may keep the others of a job waiting for the next batch.
const OFFER_WAIT_MAX: Duration = Duration::from_secs(120);

/// What became of a slice.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Offered {
    /// Objects that were offered.
    pub(crate) objects: u64,
    /// Sessions that were left out because they took nothing for too long, by their places. They were not offered all of
    /// the slice.
    pub(crate) too_slow: Vec<usize>,
}

/// The suffixes of a partition that are still to be offered.
#[derive(Debug)]
pub(crate) struct Listing {
    source: Source,
    suffixes: VecDeque<Suffix>,
    first_failure: Option<Refusal>,
    drain: CancellationToken,
}

impl Listing {
    /// The suffixes of `source` that are to be offered, until `drain`.
    pub(crate) fn new(
        source: Source,
        suffixes: impl IntoIterator<Item = Suffix>,
        drain: CancellationToken,
    ) -> Self {
        Self { source, suffixes: suffixes.into_iter().collect(), first_failure: None, drain }
    }

    /// Whether all has been offered.
    pub(crate) fn is_done(&self) -> bool {
        self.suffixes.is_empty()
    }

    /// The first suffix that could not be read, if any; such a suffix is passed over and not in sync (rule S4).
    pub(crate) fn failure(&self) -> Option<&Refusal> {
        self.first_failure.as_ref()
    }

    /// Offers the next slice, `objects_max` and what more its last suffix has, to all of `sessions`; `offered` sees each batch first. Sessions that have gone are left out, and
    /// so is one that keeps others waiting for too long; without any it stops.
    pub(crate) async fn offer_slice(
        &mut self,
        objects_max: u64,
        sessions: Vec<mpsc::Sender<OfferBatch>>,
        mut offered: impl FnMut(&[LocalObject]),
    ) -> Offered {
        let mut audience = Audience::new(sessions);
        let mut batch = Batch::new();
        let mut done = Offered::default();
        while done.objects + batch.len() < objects_max && !audience.is_empty() && !self.drain.is_cancelled() {
            let next: Vec<Suffix> = self.suffixes.iter().copied().take(SUFFIXES_MAX).collect();
            if next.is_empty() {
                break;
            }
            let left = usize::try_from(objects_max - done.objects - batch.len()).unwrap_or(usize::MAX);
            let enough = left.min(Offer::BATCH_MAX);
            self.list(next, enough, &mut batch).await;
            while let Some(due) = batch.take_due() {
                audience.offer(due, &mut offered, &mut done).await;
            }
        }
        audience.offer(batch.objects, &mut offered, &mut done).await;
        done
    }

    /// Lists what is next to be offered: as many suffixes as it takes to find enough.
    async fn list(&mut self, next: Vec<Suffix>, enough: usize, batch: &mut Batch) {
        let listed = match self.source.list(next.clone(), enough).await {
            Ok(listed) => listed,
            // The thread panicked over one of them: the first goes alone, and the others have their turn after it.
            Err(refusal) if refusal.reason == Reason::Internal && next.len() > 1 => {
                let first = next.into_iter().take(1).collect();
                return Box::pin(self.list(first, enough, batch)).await;
            }
            // The device is not there: none of them can be listed.
            Err(refusal) => {
                self.suffixes.drain(..next.len());
                return next.into_iter().for_each(|suffix| self.failed(suffix, refusal.clone()));
            }
        };
        self.suffixes.drain(..listed.len().min(self.suffixes.len()));
        for (suffix, objects) in listed {
            match objects {
                Ok(objects) => batch.add(objects),
                Err(error) => self.failed(suffix, error.into()),
            }
        }
    }

    fn failed(&mut self, suffix: Suffix, refusal: Refusal) {
        tracing::error!(%suffix, %refusal, "a suffix could not be listed, and is not in sync");
        self.first_failure.get_or_insert(refusal);
    }
}

/// Objects that are to be offered.
#[derive(Debug)]
struct Batch {
    objects: Vec<LocalObject>,
    since: Instant,
}

impl Batch {
    fn new() -> Self {
        Self { objects: Vec::new(), since: Instant::now() }
    }

    fn len(&self) -> u64 {
        self.objects.len() as u64
    }

    fn add(&mut self, objects: Vec<LocalObject>) {
        if self.objects.is_empty() {
            self.since = Instant::now();
        }
        self.objects.extend(objects);
    }

    /// As many as fit into a message, when there are so many, or they have waited for long.
    fn take_due(&mut self) -> Option<Vec<LocalObject>> {
        let due = self.objects.len() >= Offer::BATCH_MAX
            || (!self.objects.is_empty() && self.since.elapsed() >= BATCH_AGE_MAX);
        due.then(|| {
            let rest = self.objects.split_off(Offer::BATCH_MAX.min(self.objects.len()));
            std::mem::replace(&mut self.objects, rest)
        })
    }
}

/// The sessions that are still there, with their places.
struct Audience(Vec<(usize, mpsc::Sender<OfferBatch>)>);

/// How a session took a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taking {
    Taken,
    Gone,
    TooSlow,
}

impl Audience {
    fn new(sessions: Vec<mpsc::Sender<OfferBatch>>) -> Self {
        Self(sessions.into_iter().enumerate().collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Offers a batch to all at once. Who is alone keeps nobody waiting: its session has limits of its own.
    async fn offer(
        &mut self,
        batch: Vec<LocalObject>,
        offered: &mut impl FnMut(&[LocalObject]),
        done: &mut Offered,
    ) {
        if batch.is_empty() {
            return;
        }
        offered(&batch);
        done.objects += batch.len() as u64;
        let batch = Arc::new(batch);
        let wait = if self.0.len() > 1 { OFFER_WAIT_MAX } else { Duration::MAX };
        let taking = join_all(self.0.iter().map(|(_, session)| take(session, &batch, wait))).await;
        let mut taking = taking.into_iter();
        self.0.retain(|(place, _)| {
            let taking = taking.next().unwrap_or(Taking::Gone);
            if taking == Taking::TooSlow {
                done.too_slow.push(*place);
            }
            taking == Taking::Taken
        });
    }
}

async fn take(session: &mpsc::Sender<OfferBatch>, batch: &OfferBatch, wait: Duration) -> Taking {
    match timeout(wait, session.send(Arc::clone(batch))).await {
        Ok(Ok(())) => Taking::Taken,
        Ok(Err(_)) => Taking::Gone,
        Err(_) => Taking::TooSlow,
    }
}

#[cfg(test)]
mod tests {
    use ssync_types::{ObjectHash, Offer, Timestamp};

    use super::*;

    fn objects(count: usize) -> Vec<LocalObject> {
        let hash = ObjectHash::from_bytes([1; 16]);
        let offer = Offer::of_one_time(hash, Timestamp::from_seconds(1), None);
        vec![LocalObject { offer, fragment: None, files: Vec::new() }; count]
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_due_when_it_is_full_or_old() {
        let mut batch = Batch::new();
        tokio::time::advance(BATCH_AGE_MAX).await;
        assert!(batch.take_due().is_none(), "nothing is never due");
        batch.add(objects(Offer::BATCH_MAX + 3));
        assert_eq!(batch.take_due().map(|due| due.len()), Some(Offer::BATCH_MAX));
        assert!(batch.take_due().is_none());
        tokio::time::advance(BATCH_AGE_MAX).await;
        assert_eq!(batch.take_due().map(|due| due.len()), Some(3));
        batch.add(objects(1));
        assert!(batch.take_due().is_none(), "its age begins with its first object");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_takes_nothing_does_not_keep_the_others() {
        let ((dead, _keep), (healthy, mut taken)) = (mpsc::channel(1), mpsc::channel(10));
        let mut audience = Audience::new(vec![dead, healthy]);
        let (mut seen, mut done) = (0, Offered::default());
        let offer = async {
            for _ in 0..4 {
                audience.offer(objects(2), &mut |batch| seen += batch.len(), &mut done).await;
            }
        };
        timeout(2 * OFFER_WAIT_MAX, offer).await.expect("the dead one is left out");
        assert_eq!(done, Offered { objects: 8, too_slow: vec![0] });
        assert_eq!((seen, taken.len()), (8, 4));
        taken.close();
        audience.offer(objects(2), &mut |_| {}, &mut done).await;
        assert!(audience.is_empty() && done.too_slow == [0], "who has gone was not too slow");
    }
}
