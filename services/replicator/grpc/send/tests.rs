//! A session that has had enough, and a peer that shuts down.

use futures_util::stream;
use ssync_protocol::removal::PeerIndex;
use ssync_types::{Durability, Job, Partition, PartitionRef, PolicyIndex, Sender};

use super::*;
use crate::{
    backlog::Backlog,
    grpc::peer::Opener,
    parked::Parked,
    peer::{Errand, PushMode, Verdicts},
    source::{LocalDevices, Source},
    testing::{Cluster, policy, ring_device},
};

const UPDATES_MAX: u64 = 5;

fn push() -> Push {
    let cluster = Cluster::new(policy(2, &[&[0], &[1]]));
    let (node, at, part) = (cluster.node(0), PolicyIndex::new(0), Partition::new(0));
    let local = LocalDevices::new(Arc::clone(&node.devices)).get(&node.name);
    let here = PartitionRef { device: node.name.clone(), partition: part, policy: at, fragment: None };
    let errand = Errand {
        partition: here.clone(),
        sender: Sender { address: String::new(), device: "d0".into(), job: Job::Sync, agent: "test".into() },
        ring_digest: None,
        source: Source::new(local, at, part),
        parked: Parked::default().at(&here, "peer"),
        visit: Backlog::visit_of(&here, &(&ring_device(1, 1)).into()),
        patient: true,
        stop: CancellationToken::new(),
    };
    let opener = Opener { store: node.store.clone(), errand, silence_max: Duration::from_secs(60) };
    let verdicts = Verdicts { peer: PeerIndex::FIRST, to: mpsc::channel(1).0 };
    Push::new(opener, PushMode::Update, verdicts)
}

/// How a session ends which the peer asks to end while nothing is ready, after so many updates.
async fn asked_to_end(push: &Push, updates: u64) -> Sent {
    let accepted = Accepted {
        non_durable: false,
        inline_bytes_max: 0,
        outstanding_updates_max: 1,
        durability: Durability::Object,
        session_updates_max: UPDATES_MAX,
        session_time_max: Duration::ZERO,
    };
    let ((messages, _taken), room, draining) =
        (mpsc::channel(1), Semaphore::new(1), CancellationToken::new());
    let mut outgoing = Outgoing::new(push, messages, accepted, &room, &draining);
    outgoing.last_id = updates;
    assert_eq!(outgoing.is_full(1), updates + 1 >= UPDATES_MAX, "left before the peer ends it");
    let mut nothing = std::pin::pin!(stream::pending());
    let mut left = None;
    let (sent, ()) = tokio::join!(outgoing.send_all(&mut nothing, &mut left), async { draining.cancel() });
    sent.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_full_session_is_opened_again_and_a_peer_that_shuts_down_is_left() {
    let push = push();
    for updates in [0, 1] {
        assert_eq!(asked_to_end(&push, updates).await, Sent::PeerDrains);
    }
    for updates in [UPDATES_MAX - 1, UPDATES_MAX, UPDATES_MAX + 1] {
        assert_eq!(asked_to_end(&push, updates).await, Sent::SessionFull);
    }
}
