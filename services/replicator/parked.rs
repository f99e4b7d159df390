//! Objects that fail again and again: each is left alone for a while, longer each time, and does not stop its partition.
//! A parked object is not in sync (rule S4).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ssync_types::{
    DeviceName, ObjectHash, Offer, Partition, PartitionRef, PolicyIndex, Reason, Refusal, Timestamp,
};
use tokio::time::Instant;

/// Failures in a row that park an object.
const FAILURES_MAX: u32 = 3;
/// How long it is parked for the first time; twice as long each time after that.
const PARKED_FIRST: Duration = Duration::from_secs(60);
/// The longest time. No object is kept from a peer for longer: then it is tried again.
const PARKED_MAX: Duration = Duration::from_secs(3600);
/// Failing objects that are remembered. Those beyond are tried each time.
const OBJECTS_MAX: usize = 10_000;
/// One that has not been tried for so long after its time is forgotten: it was removed, or is in sync.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3 * 3600);

/// An object that is left alone for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedObject {
    /// The device of this node that it is on.
    pub device: DeviceName,
    /// Its policy.
    pub policy: PolicyIndex,
    /// Its partition.
    pub partition: Partition,
    /// Its name's hash.
    pub object: ObjectHash,
    /// The node and device that it could not be brought to; `None` when it cannot be read here.
    pub peer: Option<String>,
    /// Why it failed the last time.
    pub cause: Refusal,
    /// How often it has failed in a row.
    pub failures: u32,
    /// When it is tried again.
    pub again_in: Duration,
}

/// The times of an object. What has others is another thing, which has not failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version([Timestamp; 3]);

impl Version {
    fn of(offer: &Offer) -> Self {
        Self([offer.data, offer.metadata, offer.content_type])
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    device: DeviceName,
    policy: PolicyIndex,
    object: ObjectHash,
    peer: Option<Arc<str>>,
}

#[derive(Debug)]
struct Failing {
    partition: Partition,
    version: Version,
    cause: Refusal,
    failures: u32,
    until: Instant,
}

/// The objects that have failed, by device and peer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parked(Arc<Mutex<HashMap<Key, Failing>>>);

impl Parked {
    /// What a job on this partition, here, has to do with them when it pushes to `peer`.
    pub(crate) fn at(&self, here: &PartitionRef, peer: &str) -> ParkedHere {
        ParkedHere { parked: self.clone(), here: here.clone(), peer: peer.into() }
    }

    /// Those that are left alone now, in the order of their devices and partitions.
    pub(crate) fn list(&self) -> Vec<ParkedObject> {
        let now = Instant::now();
        let mut list: Vec<ParkedObject> = self
            .lock()
            .iter()
            .filter(|(_, failing)| failing.until > now)
            .map(|(key, failing)| ParkedObject {
                device: key.device.clone(),
                policy: key.policy,
                partition: failing.partition,
                object: key.object,
                peer: key.peer.as_deref().map(str::to_owned),
                cause: failing.cause.clone(),
                failures: failing.failures,
                again_in: failing.until.duration_since(now),
            })
            .collect();
        list.sort_by_cached_key(|parked| {
            (
                parked.device.to_string(),
                parked.policy,
                parked.partition,
                parked.object.to_string(),
                parked.peer.clone(),
            )
        });
        list
    }

    /// Has those tried again now for which `is_meant` says so. How often they have failed is not forgotten. Says how many.
    pub(crate) fn due(&self, is_meant: impl Fn(&DeviceName, ObjectHash, Option<&str>) -> bool) -> u64 {
        let (now, mut objects) = (Instant::now(), self.lock());
        let held = objects.iter_mut().filter(|(key, failing)| {
            failing.until > now && is_meant(&key.device, key.object, key.peer.as_deref())
        });
        held.map(|(_, failing)| failing.until = now).count() as u64
    }

    /// A node could be reached again: what it did not take before says nothing of what it is now, so its devices are sent
    /// everything at once.
    pub(crate) fn is_back(&self, address: &str) {
        let is_of_it = |peer: &str| peer.strip_prefix(address).is_some_and(|rest| rest.starts_with('/'));
        self.lock().retain(|key, _| !key.peer.as_deref().is_some_and(is_of_it));
    }

    // Nothing panics while it holds this.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Failing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The objects of one push.
#[derive(Debug, Clone)]
pub struct ParkedHere {
    parked: Parked,
    here: PartitionRef,
    peer: Arc<str>,
}

impl ParkedHere {
    fn key(&self, object: ObjectHash, peer: Option<Arc<str>>) -> Key {
        Key { device: self.here.device.clone(), policy: self.here.policy, object, peer }
    }

    /// Why an object is not tried now, if it is not.
    pub(crate) fn holds(&self, offer: &Offer) -> Option<Refusal> {
        let (now, objects) = (Instant::now(), self.parked.lock());
        [None, Some(Arc::clone(&self.peer))].into_iter().find_map(|peer| {
            let is_held = |failing: &&Failing| failing.until > now && failing.version == Version::of(offer);
            let failing = objects.get(&self.key(offer.hash, peer)).filter(is_held)?;
            let seconds = failing.until.duration_since(now).as_secs();
            let message = format!(
                "parked for another {seconds} s after {} failures: {}",
                failing.failures, failing.cause
            );
            Some(Refusal::new(failing.cause.reason, message))
        })
    }

    /// It could not be read here.
    pub(crate) fn not_read(&self, offer: &Offer, cause: &Refusal) {
        self.failed(offer, None, cause);
    }

    /// The peer did not take it.
    pub(crate) fn not_taken(&self, offer: &Offer, cause: &Refusal) {
        self.failed(offer, Some(Arc::clone(&self.peer)), cause);
    }

    /// The peer does not want it: it is there, by whatever way it came.
    pub(crate) fn is_there(&self, object: ObjectHash) {
        let mut objects = self.parked.lock();
        if !objects.is_empty() {
            objects.remove(&self.key(object, Some(Arc::clone(&self.peer))));
        }
    }

    /// The peer has it, as it was read here.
    pub(crate) fn arrived(&self, object: ObjectHash) {
        let mut objects = self.parked.lock();
        if !objects.is_empty() {
            objects.remove(&self.key(object, None));
            objects.remove(&self.key(object, Some(Arc::clone(&self.peer))));
        }
    }

    fn failed(&self, offer: &Offer, peer: Option<Arc<str>>, cause: &Refusal) {
        if !is_its_own_fault(cause.reason) {
            return;
        }
        let (key, version) = (self.key(offer.hash, peer), Version::of(offer));
        let (now, mut objects) = (Instant::now(), self.parked.lock());
        if objects.get(&key).is_some_and(|failing| failing.version != version) {
            objects.remove(&key);
        }
        if objects.len() >= OBJECTS_MAX && !objects.contains_key(&key) {
            objects.retain(|_, failing| failing.until + FORGOTTEN_AFTER > now);
            if objects.len() >= OBJECTS_MAX {
                return;
            }
        }
        let failing = objects.entry(key.clone()).or_insert_with(|| Failing {
            partition: self.here.partition,
            version,
            cause: cause.clone(),
            failures: 0,
            until: now,
        });
        failing.failures = failing.failures.saturating_add(1);
        failing.cause = cause.clone();
        if failing.failures < FAILURES_MAX {
            return;
        }
        let doubled = (failing.failures - FAILURES_MAX).min(16);
        let wait = PARKED_FIRST.saturating_mul(1 << doubled).min(PARKED_MAX);
        failing.until = now + wait;
        drop(objects);
        if doubled == 0 {
            self.tell(&key, cause, wait);
        }
    }

    /// Once for each time that an object begins to fail.
    fn tell(&self, key: &Key, cause: &Refusal, wait: Duration) {
        let at = &self.here;
        match &key.peer {
            Some(peer) => tracing::error!(
                object = %key.object, device = %at.device, policy = %at.policy, partition = %at.partition, %peer, %cause,
                "the peer has not taken this object {FAILURES_MAX} times in a row; it is not in sync, and is tried again \
                 in {wait:?} and then less often, while its partition goes on: look at the peer's log for the object"
            ),
            None => tracing::error!(
                object = %key.object, device = %at.device, policy = %at.policy, partition = %at.partition, %cause,
                "this object could not be read here {FAILURES_MAX} times in a row; it is not in sync, and is tried again \
                 in {wait:?} and then less often, while its partition goes on: look at the disk, and let an audit pass over it"
            ),
        }
    }
}

/// Whether a failure tells of the object. What a busy peer, a full disk or a lost connection does says nothing of it.
fn is_its_own_fault(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ObjectIo
            | Reason::ObjectDamaged
            | Reason::Collision
            | Reason::EtagMismatch
            | Reason::BodyLength
            | Reason::InvalidArgument
            | Reason::Unsupported
            | Reason::Internal
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(number: u32) -> Offer {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Offer::of_one_time(ObjectHash::from_bytes(bytes), Timestamp::from_seconds(1), None)
    }

    fn here() -> PartitionRef {
        PartitionRef {
            device: "d1".parse().unwrap(),
            partition: Partition::new(3),
            policy: PolicyIndex::new(0),
            fragment: None,
        }
    }

    fn broken() -> Refusal {
        Refusal::new(Reason::ObjectIo, "input/output error")
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_three_times_is_left_alone_for_longer_each_time() {
        let parked = Parked::default();
        let here = parked.at(&here(), "10.0.0.1:6200/sdb1");
        for _ in 1..FAILURES_MAX {
            here.not_taken(&object(1), &broken());
            assert!(here.holds(&object(1)).is_none() && parked.list().is_empty());
        }
        let mut waits = Vec::new();
        for _ in 0..10 {
            here.not_taken(&object(1), &broken());
            let [listed] = <[_; 1]>::try_from(parked.list()).unwrap();
            assert_eq!(
                (listed.partition, listed.peer.as_deref()),
                (Partition::new(3), Some("10.0.0.1:6200/sdb1"))
            );
            assert_eq!(here.holds(&object(1)).unwrap().reason, Reason::ObjectIo);
            waits.push(listed.again_in);
            tokio::time::advance(listed.again_in).await;
            assert!(here.holds(&object(1)).is_none(), "it is tried again");
        }
        assert_eq!(waits[..3], [PARKED_FIRST, 2 * PARKED_FIRST, 4 * PARKED_FIRST]);
        assert_eq!(*waits.last().unwrap(), PARKED_MAX);
        here.arrived(object(1).hash);
        here.not_taken(&object(1), &broken());
        assert!(here.holds(&object(1)).is_none(), "what arrived begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn one_peer_says_nothing_of_another_but_what_cannot_be_read_goes_to_nobody() {
        let parked = Parked::default();
        let (one, other) = (parked.at(&here(), "one"), parked.at(&here(), "other"));
        for _ in 0..FAILURES_MAX {
            one.not_taken(&object(1), &broken());
            one.not_read(&object(2), &broken());
        }
        assert!(one.holds(&object(1)).is_some() && other.holds(&object(1)).is_none());
        assert!(other.holds(&object(2)).is_some());
        assert_eq!(parked.list().len(), 2);
        assert_eq!(parked.list()[1].peer, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_fault_of_the_object_never_parks_it() {
        let parked = Parked::default();
        let here = parked.at(&here(), "one");
        for reason in [
            Reason::DeviceFull,
            Reason::Unreachable,
            Reason::StateChanged,
            Reason::NotFound,
            Reason::Draining,
        ] {
            for _ in 0..9 {
                here.not_taken(&object(1), &Refusal::new(reason, "no"));
                here.not_read(&object(1), &Refusal::new(reason, "no"));
            }
            assert!(here.holds(&object(1)).is_none(), "{reason:?}");
        }
        assert!(parked.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_remembered_than_there_is_room_for() {
        let parked = Parked::default();
        let here = parked.at(&here(), "one");
        for number in 0..OBJECTS_MAX as u32 + 5 {
            here.not_taken(&object(number), &broken());
        }
        assert_eq!(parked.lock().len(), OBJECTS_MAX);
        tokio::time::advance(FORGOTTEN_AFTER + Duration::from_secs(1)).await;
        here.not_taken(&object(u32::MAX), &broken());
        assert_eq!(parked.lock().len(), 1, "the old ones make room");
    }

    #[tokio::test(start_paused = true)]
    async fn another_version_has_not_failed() {
        let parked = Parked::default();
        let here = parked.at(&here(), "one");
        for _ in 0..FAILURES_MAX {
            here.not_taken(&object(1), &broken());
        }
        let mut newer = object(1);
        newer.metadata = Timestamp::from_seconds(2);
        assert!(here.holds(&object(1)).is_some() && here.holds(&newer).is_none());
        here.not_taken(&newer, &broken());
        assert!(here.holds(&newer).is_none(), "it has failed once");
        (1..FAILURES_MAX).for_each(|_| here.not_taken(&newer, &broken()));
        assert!(here.holds(&newer).is_some() && here.holds(&object(1)).is_none());
        assert_eq!(parked.lock().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_peer_has_or_that_it_is_back_ends_its_parking() {
        let parked = Parked::default();
        let [one, longer] = ["10.0.0.1:6200/d1", "10.0.0.1:62001/d1"].map(|peer| parked.at(&here(), peer));
        for _ in 0..FAILURES_MAX {
            one.not_taken(&object(1), &broken());
            one.not_taken(&object(2), &broken());
            one.not_read(&object(3), &broken());
            longer.not_taken(&object(2), &broken());
        }
        one.is_there(object(1).hash);
        one.is_there(object(3).hash);
        assert!(one.holds(&object(1)).is_none(), "it is there");
        assert!(one.holds(&object(3)).is_some(), "nobody has read it");
        parked.is_back("10.0.0.1:6200");
        assert!(one.holds(&object(2)).is_none() && one.holds(&object(3)).is_some());
        assert!(longer.holds(&object(2)).is_some(), "another node");
    }
}
