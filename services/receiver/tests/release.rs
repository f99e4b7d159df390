//! A handoff lets go of exactly what was confirmed.

use std::os::unix::fs::MetadataExt as _;

use ssync_store::Store as _;
use ssync_types::{ObjectPath, Reason, ReleaseFile, ReleaseItem, ReleaseOutcome};

use super::support::{Node, at, delete, grpc, partition, post, put};

fn item(node: &Node, path: &ObjectPath) -> ReleaseItem {
    let hash = node.hash_of(path);
    let directory = node.device().join("objects/0").join(hash.suffix().to_string()).join(hash.to_string());
    let files = node.files(path).into_iter().map(|name| {
        let inode = directory.join(&name).metadata().unwrap().ino();
        ReleaseFile { name, inode }
    });
    ReleaseItem { hash, files: files.collect() }
}

async fn filled(paths: &[ObjectPath], node: &Node) {
    let mut talk = node.open(grpc(0)).await;
    for path in paths {
        talk.outcome(put(path, at(1), b"x")).await;
    }
    talk.outcome(post(&paths[0], at(2))).await;
    talk.close().await;
}

#[tokio::test]
async fn lets_go_of_exactly_what_was_confirmed() {
    let node = Node::new();
    let paths: Vec<_> = node.objects(0).take(3).collect();
    filled(&paths, &node).await;
    let items: Vec<_> = paths.iter().map(|path| item(&node, path)).collect();
    // One changes after it was confirmed, and one item is of another partition.
    let mut talk = node.open(grpc(0)).await;
    talk.outcome(post(&paths[1], at(5))).await;
    talk.close().await;
    let elsewhere = ReleaseItem { hash: node.hash_of(&node.objects(1).next().unwrap()), files: Vec::new() };

    node.ring.set(Some(false));
    let mut release = node.receiver.release(partition(0)).await.unwrap();
    release.items.send(vec![items[0].clone(), items[1].clone(), elsewhere]).await.unwrap();
    let results = release.results.recv().await.unwrap().unwrap();
    assert_eq!(results[0].outcome, ReleaseOutcome::Released);
    assert_eq!(results[1].outcome, ReleaseOutcome::Changed);
    assert!(
        matches!(&results[2].outcome, ReleaseOutcome::Failed(refusal) if refusal.reason == Reason::RingMismatch)
    );
    assert!(node.files(&paths[0]).is_empty());
    assert_eq!(node.files(&paths[1]).len(), 2);

    // While it is held, nobody else replicates into the partition.
    assert_eq!(node.refused(grpc(0)).await.reason, Reason::PartitionLocked);
    assert_eq!(node.receiver.release(partition(0)).await.unwrap_err().reason, Reason::PartitionLocked);

    // The last of a partition takes the directory with it.
    release.items.send(vec![item(&node, &paths[1]), items[2].clone()]).await.unwrap();
    let results = release.results.recv().await.unwrap().unwrap();
    assert!(results.iter().all(|result| result.outcome == ReleaseOutcome::Released), "{results:?}");
    drop(release.items);
    assert!(release.results.recv().await.is_none());
    assert!(!node.device().join("objects/0").exists());
    assert_eq!(node.receiver.counters().objects_released, 3);
}

#[tokio::test]
async fn a_primary_keeps_what_it_has() {
    let node = Node::new();
    let path = node.object(0);
    filled(std::slice::from_ref(&path), &node).await;
    assert_eq!(node.receiver.release(partition(0)).await.unwrap_err().reason, Reason::NotHandoff);
    node.ring.set(None);
    assert_eq!(node.receiver.release(partition(0)).await.unwrap_err().reason, Reason::RingMismatch);
    node.ring.set(Some(false));
    assert_eq!(node.receiver.release(partition(4)).await.unwrap_err().reason, Reason::RingMismatch);

    // The ring changes while the release is open.
    let mut release = node.receiver.release(partition(0)).await.unwrap();
    node.ring.set(Some(true));
    release.items.send(vec![item(&node, &path)]).await.unwrap();
    assert_eq!(release.results.recv().await.unwrap().unwrap_err().reason, Reason::NotHandoff);
    assert_eq!(node.files(&path).len(), 2);
}

#[tokio::test]
async fn a_tombstone_that_came_meanwhile_stays() {
    let node = Node::new();
    let path = node.object(0);
    filled(std::slice::from_ref(&path), &node).await;
    let stale = item(&node, &path);
    let mut talk = node.open(grpc(0)).await;
    talk.outcome(delete(&path, at(9))).await;
    talk.close().await;
    node.ring.set(Some(false));
    let mut release = node.receiver.release(partition(0)).await.unwrap();
    release.items.send(vec![stale]).await.unwrap();
    let results = release.results.recv().await.unwrap().unwrap();
    assert_eq!(results[0].outcome, ReleaseOutcome::Changed);
    assert_eq!(node.files(&path), [format!("{}.ts", at(9))]);
}
