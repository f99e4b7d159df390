//! Peers as jobs meet them.

use async_trait::async_trait;
use ssync_types::{PartitionRef, SuffixHashes};

use super::*;
use crate::peer::{Errand, Peer, Peers, PushSession};

/// Peers that answer as they are told, and count who asks.
#[derive(Default)]
struct Told {
    refusal: Mutex<Option<Refusal>>,
    asked: Mutex<Vec<String>>,
}

struct Mute;

#[async_trait]
impl Peer for Mute {
    async fn suffix_hashes(&self, _: &PartitionRef) -> Result<SuffixHashes, Refusal> {
        Ok(SuffixHashes::default())
    }

    async fn lacking(
        &self,
        _: &PartitionRef,
        _: crate::OfferBatch,
    ) -> Result<Vec<ssync_types::Want>, Refusal> {
        Ok(Vec::new())
    }

    async fn open(&self, _: Errand) -> Result<Box<dyn PushSession>, Refusal> {
        Err(Refusal::new(Reason::ReceiverBusy, "full"))
    }
}

#[async_trait]
impl Peers for Told {
    async fn find(&self, target: &Target) -> Result<Arc<dyn Peer>, Refusal> {
        self.asked.lock().unwrap().push(target.to_string());
        match self.refusal.lock().unwrap().clone() {
            Some(refusal) => Err(refusal),
            None => Ok(Arc::new(Mute)),
        }
    }
}

fn target(node: u8, device: &str) -> Target {
    Target {
        ip: format!("10.0.0.{node}"),
        port: 6200,
        device: device.parse().unwrap(),
        region: 1,
        meta: String::new(),
    }
}

fn gated(refusal: Option<Refusal>, limits: Limits) -> (GatedPeers, Arc<Told>, Arc<Gates>) {
    let told = Arc::new(Told { refusal: Mutex::new(refusal), ..Told::default() });
    let gates = Gates::new(1);
    gates.limit(limits);
    let peers = GatedPeers::new(Arc::clone(&told) as Arc<dyn Peers>, Arc::clone(&gates), Parked::default());
    (peers, told, gates)
}

const MANY: Limits = Limits { node_max: 9, device_max: 9 };

#[tokio::test(start_paused = true)]
async fn a_dead_node_is_asked_once_a_step_whatever_its_devices_and_the_partitions() {
    let dead = Refusal::new(Reason::Unreachable, "no route");
    let (peers, told, gates) = gated(Some(dead), MANY);
    let begin = Instant::now();
    let mut failed = 0;
    for partition in 0..2_000_u32 {
        let device = format!("d{}", partition % 4);
        match peers.find(&target(1, &device)).await.err().unwrap().reason {
            Reason::Unreachable => failed += 1,
            reason => assert_eq!(reason, Reason::ReceiverBusy, "others go first"),
        }
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    let asked = told.asked.lock().unwrap().len();
    // 200 s in steps that grow from 0.3 s to 30 s and more.
    assert!((7..=15).contains(&asked), "{asked} times in {:?}", begin.elapsed());
    assert!(failed > 1_900, "most do not wait for it");
    assert!(peers.find(&target(2, "d0")).await.is_err(), "another node is asked at once");
    assert_eq!(told.asked.lock().unwrap().len(), asked + 1);
    *told.refusal.lock().unwrap() = None;
    tokio::time::advance(Duration::from_secs(60)).await;
    peers.find(&target(1, "d0")).await.unwrap().suffix_hashes(&partition()).await.unwrap();
    assert!(gates.blocks(&target(1, "d3"), Stage::Session).is_none(), "one answer opens it");
}

fn partition() -> PartitionRef {
    PartitionRef {
        device: "d0".parse().unwrap(),
        partition: ssync_types::Partition::new(1),
        policy: ssync_types::PolicyIndex::new(0),
        fragment: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_hangs_is_no_trouble_of_its_node() {
    let (peers, told, _) = gated(Some(Refusal::new(Reason::IdleTimeout, "silent")), MANY);
    assert!(peers.find(&target(1, "d0")).await.is_err());
    *told.refusal.lock().unwrap() = None;
    assert!(peers.find(&target(1, "d0")).await.is_err());
    assert!(peers.find(&target(1, "d1")).await.is_ok());
    assert_eq!(*told.asked.lock().unwrap(), ["10.0.0.1:6200/d0", "10.0.0.1:6200/d1"]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_has_so_many_visits_and_no_more() {
    let (peers, _, gates) = gated(None, Limits { node_max: 2, device_max: 1 });
    let first = peers.find(&target(1, "d0")).await.unwrap();
    let full = peers.find(&target(1, "d0")).await.err().unwrap();
    assert_eq!(full.reason, Reason::ReceiverBusy, "its device has one");
    let _second = peers.find(&target(1, "d1")).await.unwrap();
    assert!(peers.find(&target(1, "d2")).await.is_err(), "its node has two");
    assert!(peers.find(&target(2, "d0")).await.is_ok(), "another is free");
    assert!(gates.blocks(&target(1, "d0"), Stage::Hashes).is_some());
    drop(first);
    tokio::time::timeout(Duration::from_secs(1), gates.changed()).await.expect("who waits is told");
    assert!(gates.blocks(&target(1, "d0"), Stage::Hashes).is_none());
    assert!(peers.find(&target(1, "d2")).await.is_ok());
}

/// A ring may give two copies of a partition to one node.
#[tokio::test(start_paused = true)]
async fn a_job_visits_two_devices_of_a_node_at_once() {
    let (peers, _, gates) = gated(None, Limits { node_max: 1, device_max: 1 });
    let both = [target(1, "d0"), target(1, "d1")];
    both.iter().for_each(|target| assert_eq!(gates.blocks(target, Stage::Session), None));
    both.iter().for_each(|target| gates.expect(target));
    let first = peers.find(&both[0]).await.unwrap();
    let second = peers.find(&both[1]).await.unwrap();
    assert_eq!(peers.find(&target(1, "d2")).await.err().unwrap().reason, Reason::ReceiverBusy);
    drop((first, second));
    peers.find(&target(1, "d2")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_is_not_kept() {
    let (peers, _, gates) = gated(None, MANY);
    for node in 0..200 {
        peers.find(&target(node, "d0")).await.unwrap();
    }
    assert!(gates.state().nodes.is_empty() && gates.state().devices.is_empty());
}

#[test]
fn no_peer_has_all_workers_where_there_is_another() {
    let of = |workers, targets: &[Target]| {
        let Limits { node_max, device_max } = Spread::of(targets.iter()).limits(workers);
        (node_max, device_max)
    };
    assert_eq!(of(4, &[target(1, "d0")]), (4, 4));
    assert_eq!(of(4, &[target(1, "d0"), target(2, "d0")]), (3, 3));
    assert_eq!(of(4, &[target(1, "d0"), target(1, "d1")]), (4, 3));
    assert_eq!(of(16, &[target(1, "d0"), target(1, "d1"), target(2, "d0")]), (12, 9));
    assert_eq!(of(1, &[target(1, "d0"), target(2, "d1")]), (1, 1));
    assert_eq!(of(0, &[]), (1, 1));
}

/// A node that hung before it was restarted had a word for each of its devices.
#[tokio::test(start_paused = true)]
async fn a_node_that_is_back_is_sent_everything_at_once() {
    let (peers, told, gates) = gated(None, MANY);
    let parked = peers.parked.at(&partition(), &target(1, "d1").to_string());
    let offer = ssync_types::Offer::of_one_time(
        ssync_types::ObjectHash::from_bytes([1; 16]),
        ssync_types::Timestamp::from_seconds(1),
        None,
    );
    *told.refusal.lock().unwrap() = Some(Refusal::new(Reason::IdleTimeout, "silent"));
    for _ in 0..6 {
        assert!(peers.find(&target(1, "d1")).await.is_err());
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    assert!(peers.find(&target(1, "d1")).await.is_err());
    *told.refusal.lock().unwrap() = Some(Refusal::new(Reason::Unreachable, "no route"));
    assert!(peers.find(&target(1, "d0")).await.is_err());
    *told.refusal.lock().unwrap() = None;
    tokio::time::advance(Duration::from_secs(1)).await;
    (0..3).for_each(|_| parked.not_taken(&offer, &Refusal::new(Reason::ObjectIo, "input/output error")));
    assert_eq!(gates.left_alone().len(), 1, "the device for longer than its node");
    assert!(parked.holds(&offer).is_some());
    peers.find(&target(1, "d0")).await.unwrap().suffix_hashes(&partition()).await.unwrap();
    assert!(gates.left_alone().is_empty() && parked.holds(&offer).is_none());
    peers.find(&target(1, "d1")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn where_too_many_are_remembered_those_that_somebody_waits_for_stay() {
    let (peers, _, gates) = gated(None, MANY);
    let visited = peers.find(&target(250, "d0")).await.unwrap();
    gates.expect(&target(251, "d0"));
    let refusal = Refusal::new(Reason::Unreachable, "no route");
    {
        let (mut state, mut random) = (gates.state(), Shuffle::seeded(1));
        let (long_ago, now) = (Instant::now(), Instant::now() + Duration::from_secs(3600));
        for number in 0..TROUBLES_MAX {
            let mut gate = Gate::default();
            let then = if number == 7 { now } else { long_ago };
            gate.failed(Stage::Hashes, &refusal, then, &mut random);
            state.nodes.insert(format!("node-{number}"), gate);
        }
        state.make_room(now - Duration::from_secs(3599));
        let mut left: Vec<&str> = state.nodes.keys().map(String::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["10.0.0.250:6200", "10.0.0.251:6200", "node-7"]);
    }
    drop(visited);
}
