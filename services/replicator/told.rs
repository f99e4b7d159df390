//! Told by an operator: pause, go on, try again, so many at once.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use ssync_types::{DeviceName, ObjectHash, Reason, Refusal};
use tokio::time::{Duration, Instant};

use crate::{FailedVisit, Overrides, Paused, Replicator, collect::local_devices};

/// What is tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retried {
    /// Parked objects, each once for each peer that it failed at.
    pub objects: u64,
    /// Peers that were left alone.
    pub peers: u64,
    /// Whether the pass in which they are begins now; else one is under way, and the next follows it at once.
    pub now: bool,
    /// What was asked for and is nothing of what failed.
    pub unknown: Vec<String>,
}

/// What is meant by a word.
enum Meant {
    Object(ObjectHash),
    /// `ip:port` or `ip:port/device`.
    Peer(String),
    Device(DeviceName),
}

impl Meant {
    fn of(word: &str) -> Option<Self> {
        if word.contains(':') {
            return Some(Self::Peer(word.to_owned()));
        }
        let object = || word.parse().ok().map(Self::Object);
        let device = || word.parse().ok().map(Self::Device);
        if word.len() == 32 { object().or_else(device) } else { device() }
    }

    /// A peer, `ip:port/device` or as much of it as is known.
    fn is_peer(&self, peer: &str) -> bool {
        let is_below = |whole: &str, part: &str| {
            whole.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        // Who asks for a device of a node wants the node asked.
        matches!(self, Self::Peer(meant) if is_below(peer, meant) || is_below(meant, peer))
    }

    fn is_object(&self, device: &DeviceName, object: ObjectHash, peer: Option<&str>) -> bool {
        match self {
            Self::Object(meant) => *meant == object,
            Self::Device(meant) => meant == device,
            Self::Peer(_) => peer.is_some_and(|peer| self.is_peer(peer)),
        }
    }

    fn is_visit(&self, visit: &FailedVisit) -> bool {
        match self {
            Self::Object(_) => false,
            Self::Device(meant) => *meant == visit.at.device,
            Self::Peer(_) => visit.peer.as_deref().is_some_and(|peer| self.is_peer(peer)),
        }
    }
}

impl Replicator {
    /// Begins nothing more of these devices, or of the node where there are none; what is under way ends with the object that it is
    /// at. Refuses names that are no device's of this node.
    pub async fn pause(&self, devices: &[DeviceName]) -> Result<Paused, Refusal> {
        self.own(devices.iter()).await?;
        self.pauses.pause(devices);
        let paused = self.pauses.now();
        tracing::warn!(
            "Replication is paused by an operator ({}): nothing is pushed until `ssync resume`.",
            named(&paused)
        );
        Ok(paused)
    }

    /// Refuses names that are no device's of this node.
    pub async fn own(&self, mut devices: impl Iterator<Item = &DeviceName>) -> Result<(), Refusal> {
        let own = self.own_devices().await;
        let Some(stranger) = devices.find(|device| !own.contains(*device)) else { return Ok(()) };
        let own: Vec<&str> = own.iter().map(DeviceName::as_str).collect();
        let message = format!(
            "device {stranger} is none of this node's in the rings, which have: {}",
            if own.is_empty() { "none".to_owned() } else { own.join(", ") }
        );
        Err(Refusal { field: Some("devices".to_owned()), ..Refusal::new(Reason::InvalidArgument, message) })
    }

    /// The devices that the rings of its policies have for this node.
    pub async fn own_devices(&self) -> BTreeSet<DeviceName> {
        let (config, mut own) = (self.config(), BTreeSet::new());
        for places in self.policies().await {
            let devices = local_devices(&config, &places, &Overrides::default()).await;
            own.extend(devices.into_iter().map(|device| device.device));
        }
        own
    }

    /// Goes on with these devices, or with everything where there are none, in a pass that begins as soon as there can be one. Says
    /// what was paused.
    pub fn resume(&self, devices: &[DeviceName]) -> Paused {
        let resumed = self.pauses.resume(devices);
        if resumed.any() {
            tracing::info!("Replication goes on by an operator's word ({}).", named(&resumed));
            self.waker.notify_one();
        }
        resumed
    }

    /// What is paused.
    #[must_use]
    pub fn paused(&self) -> Paused {
        self.pauses.now()
    }

    /// The visits that failed last, newest first.
    #[must_use]
    pub fn failed_visits(&self) -> Vec<FailedVisit> {
        self.failures.list()
    }

    /// When the next pass begins; `None` while one is under way, and where none will be.
    #[must_use]
    pub fn next_pass(&self) -> Option<Duration> {
        let at = *self.next_pass.borrow();
        at.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Has parked objects, and peers that are left alone, tried again now: those of these words, or all where there are none. A
    /// daemon that sleeps begins its next pass.
    pub fn retry(&self, what: &[String]) -> Retried {
        let mut retried = Retried::default();
        if what.is_empty() {
            retried.objects = self.parked.due(|_, _, _| true);
            retried.peers = self.gates.ask_again(|_, _| true);
        }
        let mut found = what.is_empty();
        for word in what {
            let (objects, peers, known) =
                Meant::of(word).map_or((0, 0, false), |meant| self.retry_one(&meant));
            retried.objects += objects;
            retried.peers += peers;
            match known {
                true => found = true,
                false => retried.unknown.push(word.clone()),
            }
        }
        if found {
            retried.now = self.next_pass.borrow().is_some();
            self.waker.notify_one();
        }
        retried
    }

    fn retry_one(&self, meant: &Meant) -> (u64, u64, bool) {
        let objects = self.parked.due(|device, object, peer| meant.is_object(device, object, peer));
        let peers = self.gates.ask_again(|address, device| match device {
            Some(device) => meant.is_peer(&format!("{address}/{device}")),
            None => meant.is_peer(address),
        });
        let visits = self.failures.list().iter().any(|visit| meant.is_visit(visit));
        (objects, peers, objects + peers > 0 || visits)
    }

    /// Partitions that are worked on at once, from now on; one that is under way is not broken off.
    pub fn work_on(&self, partitions: usize) {
        self.workers.store(partitions.max(1), Ordering::Relaxed);
        self.gates.wake();
    }

    /// How many partitions may be worked on at once, as is in force and as the configuration has it.
    #[must_use]
    pub fn concurrency(&self) -> (usize, usize) {
        (self.workers.load(Ordering::Relaxed), self.config().concurrency.max(1))
    }

    /// The most visits that this node pays one other at once, and how many there are to the one that has most.
    #[must_use]
    pub fn visits(&self) -> (usize, usize) {
        self.gates.visits()
    }

    /// Says at the begin of a pass what it will leave alone.
    pub(crate) fn warn_of_pause(&self) {
        let paused = self.pauses.now();
        if paused.any() {
            tracing::warn!(
                "Replication is paused by an operator since {} s ({}): this pass compares and pushes nothing of that. \
                 `ssync resume` ends it.",
                paused.since.unwrap_or_default().as_secs(),
                named(&paused)
            );
        }
    }
}

/// For people.
fn named(paused: &Paused) -> String {
    let devices: Vec<&str> = paused.devices.iter().map(DeviceName::as_str).collect();
    match (paused.node, devices.is_empty()) {
        (true, true) => "the node".to_owned(),
        (true, false) => format!("the node, and by name {}", devices.join(", ")),
        (false, _) => devices.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_what_is_meant() {
        let object: ObjectHash = "43b598753b11d9b4af67a5d5646e7b03".parse().unwrap();
        let device: DeviceName = "d1".parse().unwrap();
        let meant = |word: &str| Meant::of(word).unwrap();
        assert!(meant("43b598753b11d9b4af67a5d5646e7b03").is_object(&device, object, None));
        assert!(meant("d1").is_object(&device, object, None));
        assert!(!meant("d2").is_object(&device, object, Some("10.0.0.1:6200/d2")), "devices are this node's");
        let peer = Some("10.0.0.1:6200/d2");
        for word in ["10.0.0.1:6200", "10.0.0.1:6200/d2"] {
            assert!(meant(word).is_object(&device, object, peer), "{word}");
            assert!(meant(word).is_peer("10.0.0.1:6200"), "{word}: the node is asked");
        }
        assert!(!meant("10.0.0.1:620").is_object(&device, object, peer));
        assert!(Meant::of("../x").is_none());
    }
}
