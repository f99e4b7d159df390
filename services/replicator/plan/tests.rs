//! Plans of real disks: what is told is what a pass does afterwards, and nothing changes before.

use std::fs;

use ssync_types::{Reason, Refusal};

use super::*;
use crate::{
    PassStats,
    testing::{Cluster, Node, policy, policy_of_regions},
};

async fn planned(cluster: &Cluster, id: u32) -> (Vec<Planned>, PlanTotal) {
    let (pieces, mut told) = mpsc::channel(1000);
    cluster.replicator(id).plan(&Overrides::default(), CancellationToken::new(), pieces).await;
    let mut all = Vec::new();
    while let Some(piece) = told.recv().await {
        all.push(piece);
    }
    let Some(Planned::Total(total)) = all.pop() else { panic!("the total comes last: {all:?}") };
    (all, total)
}

async fn pass(cluster: &Cluster, id: u32) -> PassStats {
    cluster.replicator(id).run_once(&Overrides::default(), CancellationToken::new()).await
}

#[tokio::test]
async fn a_primary_tells_what_its_pass_pushes() {
    let cluster = Cluster::new(policy(3, &[&[0, 0], &[1, 1], &[2, 2]]));
    for number in 0..30 {
        cluster.put(0, &format!("o-{number}"), number, b"four");
        if number % 3 == 0 {
            cluster.put(1, &format!("o-{number}"), number, b"four");
        }
    }
    let before: Vec<_> = cluster.nodes.iter().map(Node::files).collect();
    let (pieces, total) = planned(&cluster, 0).await;
    assert_eq!((total.push_objects, total.push_bytes, total.at_most), (50, 200, false), "{pieces:?}");
    assert_eq!((total.partitions, total.remove_objects, total.problems), (2, 0, 0));
    assert_eq!(before, cluster.nodes.iter().map(Node::files).collect::<Vec<_>>());
    // Now that hashes are known, a look leaves even what no longer counts.
    let files = cluster.node(0).files();
    let obsolete = cluster.node(0).real(files.first().unwrap()).with_file_name("0000000001.00000.data");
    fs::write(&obsolete, "old").unwrap();
    assert_eq!(planned(&cluster, 0).await.1, total);
    assert!(obsolete.exists(), "a plan has cleared it away");
    let stats = pass(&cluster, 0).await;
    assert_eq!((stats.objects, stats.bytes), (50, 200));
    let (pieces, total) = planned(&cluster, 0).await;
    assert!(pieces.is_empty(), "{pieces:?}");
    assert_eq!((total.equal_peers, total.pushes), (4, 0));
}

#[tokio::test]
async fn a_handoff_tells_what_it_lets_go() {
    let cluster = Cluster::new(policy(3, &[&[0, 0], &[1, 1]]));
    for number in 0..20 {
        cluster.put(2, &format!("o-{number}"), number, b"body!");
    }
    let (pieces, total) = planned(&cluster, 2).await;
    assert_eq!((total.push_objects, total.push_bytes), (40, 200), "{pieces:?}");
    assert_eq!((total.remove_objects, total.remove_bytes), (20, 100));
    let stats = pass(&cluster, 2).await;
    assert_eq!((stats.objects, stats.released), (40, 20));
}

#[tokio::test]
async fn a_handoff_keeps_what_a_primary_does_not_answer_for() {
    let cluster = Cluster::new(policy(3, &[&[0, 0], &[1, 1]]));
    cluster.put(2, "o", 1, b"body!");
    let down = Refusal::new(Reason::Unreachable, "it is down");
    cluster.node(1).store.fault.lock().unwrap().hashes = Some(down);
    let (pieces, total) = planned(&cluster, 2).await;
    assert_eq!((total.remove_objects, total.problems, total.push_objects), (0, 1, 1), "{pieces:?}");
    let kept = pieces.iter().any(|piece| matches!(piece, Planned::Removal(removal) if removal.kept == 1));
    let told = pieces.iter().any(|piece| {
        matches!(piece, Planned::Push(push) if push.problem.as_ref().is_some_and(|why| why.contains("it is down")))
    });
    assert!(kept && told, "{pieces:?}");
}

#[tokio::test]
async fn a_remote_region_gets_one_copy() {
    let cluster = Cluster::new(policy_of_regions(3, 1, &[&[0], &[1], &[2]]));
    cluster.put(0, "o", 1, b"x");
    let (pieces, total) = planned(&cluster, 0).await;
    assert_eq!((total.pushes, total.push_objects), (1, 1), "{pieces:?}");
}

/// Where a peer has other objects in a suffix, and does not say which, all of them may be lacking.
#[tokio::test]
async fn a_peer_that_is_not_asked_lacks_all_at_most() {
    let cluster = Cluster::new(policy(2, &[&[0], &[1]]));
    cluster.put(0, "o-0", 0, b"four");
    // Another version of the same object: its suffix is there and differs.
    cluster.put(1, "o-0", 9, b"newer");
    let (_, total) = planned(&cluster, 0).await;
    assert_eq!((total.push_objects, total.at_most), (0, false), "it was asked, and lacks nothing");
    let busy = Refusal::new(Reason::DeviceLocked, "another session");
    cluster.node(1).store.fault.lock().unwrap().checks = Some(busy);
    let (pieces, total) = planned(&cluster, 0).await;
    assert_eq!((total.push_objects, total.push_bytes, total.at_most), (1, 4, true), "{pieces:?}");
}

/// Numbers of objects are those of live ones: what was deleted, or changed in its metadata alone, is told apart.
#[tokio::test]
async fn tombstones_and_metadata_are_no_objects() {
    let cluster = Cluster::new(policy(2, &[&[0], &[1]]));
    for (number, name) in ["live", "dead", "changed"].into_iter().enumerate() {
        cluster.put(0, name, number as u64, b"four");
    }
    cluster.put(1, "changed", 2, b"four");
    cluster.post(0, "changed", 9, "red");
    cluster.delete(0, "dead", 9);
    let (pieces, total) = planned(&cluster, 0).await;
    assert_eq!((total.pushes, total.push_objects, total.push_bytes), (1, 1, 4), "{pieces:?}");
    assert!(matches!(&pieces[..], [Planned::Push(push)] if push.others == 2), "{pieces:?}");
    // A peer that has nothing of it is not asked, and lacks the same.
    let cluster = Cluster::new(policy(2, &[&[0], &[1]]));
    cluster.put(0, "dead", 1, b"four");
    cluster.delete(0, "dead", 9);
    let (pieces, total) = planned(&cluster, 0).await;
    assert_eq!((total.pushes, total.push_objects, total.push_bytes), (1, 0, 0), "{pieces:?}");
    assert!(matches!(&pieces[..], [Planned::Push(push)] if push.others == 1), "{pieces:?}");
}
