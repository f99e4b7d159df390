//! A handoff lets go of exactly what was confirmed.

use std::{os::unix::fs::MetadataExt as _, path::Path, sync::Arc};

use ssync_api::{
    admin::{
        FindRemovalsRequest, Removal, RemovalCertainty, admin_service_client::AdminServiceClient,
        find_removals_request::Object,
    },
    status::from_status,
    v1::UpdateOutcome,
};
use ssync_diskfile::{
    Devices,
    simulation::{Machine, Options, SimDisk},
};
use ssync_store::Store as _;
use ssync_types::{
    Assurance, Confirmed, ObjectKind, ObjectPath, Offer, Reason, ReleaseFile, ReleaseItem, ReleaseOutcome,
};

use super::support::{Node, at, delete, grpc, post, put, release_open};
use crate::{AdminGrpc, ReceiverConfig};

const CONFIRMED: Confirmed = Confirmed { primary: 0, assurance: Assurance::Confirmed };

fn item(node: &Node, path: &ObjectPath) -> ReleaseItem {
    let hash = node.hash_of(path);
    let directory = node.device().join("objects/0").join(hash.suffix().to_string()).join(hash.to_string());
    let files = node.files(path).into_iter().map(|name| {
        let inode = directory.join(&name).metadata().unwrap().ino();
        ReleaseFile { name, inode }
    });
    let offer = Offer::of_one_time(hash, at(1), Some(ObjectKind::Data));
    ReleaseItem { offer, files: files.collect(), confirmed_by: vec![CONFIRMED] }
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
    let elsewhere = item(&node, &node.objects(1).next().unwrap());

    node.ring.set(Some(false));
    let mut held = node.receiver.release(release_open(0)).await.unwrap();
    held.items.send(vec![items[0].clone(), items[1].clone(), elsewhere]).await.unwrap();
    let results = held.results.recv().await.unwrap().unwrap();
    assert_eq!(results[0].outcome, ReleaseOutcome::Released);
    assert_eq!(results[1].outcome, ReleaseOutcome::Changed);
    assert!(
        matches!(&results[2].outcome, ReleaseOutcome::Failed(refusal) if refusal.reason == Reason::RingMismatch)
    );
    assert!(node.files(&paths[0]).is_empty());
    assert_eq!(node.files(&paths[1]).len(), 2);

    // While it is held, nobody else replicates into the partition.
    assert_eq!(node.refused(grpc(0)).await.reason, Reason::PartitionLocked);
    assert_eq!(node.receiver.release(release_open(0)).await.unwrap_err().reason, Reason::PartitionLocked);

    // The last of a partition takes the directory with it.
    held.items.send(vec![item(&node, &paths[1]), items[2].clone()]).await.unwrap();
    let results = held.results.recv().await.unwrap().unwrap();
    assert!(results.iter().all(|result| result.outcome == ReleaseOutcome::Released), "{results:?}");
    drop(held.items);
    assert!(held.results.recv().await.is_none());
    assert!(!node.device().join("objects/0").exists());
    assert_eq!(node.receiver.counters().objects_released, 3);
}

#[tokio::test]
async fn a_primary_keeps_what_it_has() {
    let node = Node::new();
    let path = node.object(0);
    filled(std::slice::from_ref(&path), &node).await;
    assert_eq!(node.receiver.release(release_open(0)).await.unwrap_err().reason, Reason::NotHandoff);
    node.ring.set(None);
    assert_eq!(node.receiver.release(release_open(0)).await.unwrap_err().reason, Reason::RingMismatch);
    node.ring.set(Some(false));
    assert_eq!(node.receiver.release(release_open(4)).await.unwrap_err().reason, Reason::RingMismatch);

    // The ring changes while the release is open.
    let mut held = node.receiver.release(release_open(0)).await.unwrap();
    node.ring.set(Some(true));
    held.items.send(vec![item(&node, &path)]).await.unwrap();
    assert_eq!(held.results.recv().await.unwrap().unwrap_err().reason, Reason::NotHandoff);
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
    let mut held = node.receiver.release(release_open(0)).await.unwrap();
    held.items.send(vec![stale]).await.unwrap();
    let results = held.results.recv().await.unwrap().unwrap();
    assert_eq!(results[0].outcome, ReleaseOutcome::Changed);
    assert_eq!(node.files(&path), [format!("{}.ts", at(9))]);
}

/// Nothing goes without somebody's word for it.
#[tokio::test]
async fn an_item_says_who_has_answered_for_it() {
    let node = Node::new();
    let path = node.object(0);
    filled(std::slice::from_ref(&path), &node).await;
    node.ring.set(Some(false));
    let mut held = node.receiver.release(release_open(0)).await.unwrap();
    let nobody = ReleaseItem { confirmed_by: Vec::new(), ..item(&node, &path) };
    let stranger = Confirmed { primary: 1, ..CONFIRMED };
    let strange = ReleaseItem { confirmed_by: vec![CONFIRMED, stranger], ..item(&node, &path) };
    held.items.send(vec![nobody, strange]).await.unwrap();
    for result in held.results.recv().await.unwrap().unwrap() {
        assert!(
            matches!(&result.outcome, ReleaseOutcome::Failed(refusal) if refusal.reason == Reason::InvalidArgument),
            "{result:?}"
        );
    }
    assert_eq!(node.files(&path).len(), 2);
    assert!(node.receiver.removals(node.hash_of(&path)).await.found.is_empty());
}

#[tokio::test]
async fn tells_operators_where_an_object_went() {
    let node = Node::new();
    let path = node.object(0);
    let mut admin = AdminServiceClient::new(AdminGrpc::server(node.receiver.clone(), |_| false));
    for _ in 0..3 {
        node.ring.set(Some(true));
        filled(std::slice::from_ref(&path), &node).await;
        node.ring.set(Some(false));
        let mut held = node.receiver.release(release_open(0)).await.unwrap();
        held.items.send(vec![item(&node, &path)]).await.unwrap();
        let results = held.results.recv().await.unwrap().unwrap();
        assert_eq!(results[0].outcome, ReleaseOutcome::Released);
        drop(held.items);
        assert!(held.results.recv().await.is_none());
    }
    let question = FindRemovalsRequest {
        object: Some(Object::Path(path.to_bytes())),
        policy_index: Some(0),
        page_size: 2,
        page_token: String::new(),
    };
    let first = admin.find_removals(question.clone()).await.unwrap().into_inner();
    let rest = FindRemovalsRequest { page_token: first.next_page_token.clone(), ..question.clone() };
    let rest = admin.find_removals(rest).await.unwrap().into_inner();
    assert_eq!((first.removals.len(), rest.removals.len(), rest.next_page_token.as_str()), (2, 1, ""));
    let found: Vec<_> = first.removals.into_iter().chain(rest.removals).collect();
    let ticks = |removal: &Removal| removal.removed_at.map(|at| at.ticks);
    assert!(found.windows(2).all(|pair| ticks(&pair[0]) > ticks(&pair[1])), "newest first");
    let removal = &found[0];
    assert_eq!(
        (removal.device.as_str(), removal.partition, removal.certainty()),
        ("d1", 0, RemovalCertainty::Removed)
    );
    assert_eq!(&removal.path[..], path.as_bytes());
    assert_eq!(&removal.ring_digest[..], [7; 32]);
    let by = &removal.confirmations[0];
    assert_eq!(by.primary.as_ref().unwrap().address, "10.0.0.7:6200");
    assert_eq!((removal.confirmations.len(), by.outcome()), (1, UpdateOutcome::Confirmed));

    let by_hash = Object::ObjectHash(node.hash_of(&path).to_string());
    let by_hash = FindRemovalsRequest { object: Some(by_hash), page_size: 0, ..question.clone() };
    assert_eq!(admin.find_removals(by_hash).await.unwrap().into_inner().removals.len(), 3);
    let elsewhere = FindRemovalsRequest { policy_index: Some(1), ..question.clone() };
    assert!(admin.find_removals(elsewhere).await.unwrap().into_inner().removals.is_empty());
    for bad in [
        FindRemovalsRequest { object: None, ..question.clone() },
        FindRemovalsRequest { object: Some(Object::ObjectHash("x".into())), ..question.clone() },
        FindRemovalsRequest { object: Some(Object::Path("/a".into())), ..question.clone() },
        FindRemovalsRequest { page_size: 1001, ..question.clone() },
        FindRemovalsRequest { page_token: "x".into(), ..question },
    ] {
        let status = admin.find_removals(bad.clone()).await.unwrap_err();
        assert_eq!(from_status(&status).reason, Reason::InvalidArgument, "{bad:?}");
    }
}

/// What waits is carried out together, all of it, and no batch grows beyond its bound.
#[tokio::test]
async fn batches_that_wait_are_carried_out_together() {
    let node = Node::new();
    let paths: Vec<_> = node.objects(0).take(40).collect();
    filled(&paths, &node).await;
    node.ring.set(Some(false));
    let items: Vec<_> = paths.iter().map(|path| item(&node, path)).collect();
    let mut held = node.receiver.release(release_open(0)).await.unwrap();
    // Nothing is carried out before this task waits: on its one thread the batches below are all there by then.
    let padding = (0..990).map(|number| {
        let hash = format!("{number:032x}").parse().unwrap();
        ReleaseItem { offer: Offer { hash, ..items[0].offer }, ..items[0].clone() }
    });
    for batch in items.chunks(10).map(<[_]>::to_vec).chain([padding.collect()]) {
        held.items.try_send(batch).unwrap();
    }
    drop(held.items);
    let mut answers = Vec::new();
    while let Some(results) = held.results.recv().await {
        answers.push(results.unwrap());
    }
    assert_eq!(answers.iter().map(Vec::len).collect::<Vec<_>>(), [40, 990]);
    assert!(answers[0].iter().all(|result| result.outcome == ReleaseOutcome::Released));
    assert!(answers[1].iter().all(|result| result.outcome == ReleaseOutcome::Changed));
    assert!(!node.device().join("objects/0").exists());
}

/// In one batch it is the caller's mistake, and nothing of it is done. In two that wait it is an answer for each.
#[tokio::test]
async fn one_object_twice_in_a_batch_is_refused_and_in_two_is_answered_twice() {
    let node = Node::new();
    let path = node.object(0);
    filled(std::slice::from_ref(&path), &node).await;
    node.ring.set(Some(false));
    let item = item(&node, &path);
    let mut held = node.receiver.release(release_open(0)).await.unwrap();
    held.items.send(vec![item.clone(), item.clone()]).await.unwrap();
    let refusal = held.results.recv().await.unwrap().unwrap_err();
    assert_eq!((refusal.reason, refusal.field.as_deref()), (Reason::InvalidArgument, Some("items")));
    assert!(held.results.recv().await.is_none());
    assert_eq!(node.files(&path).len(), 2);

    let mut held = node.receiver.release(release_open(0)).await.unwrap();
    for batch in [vec![item.clone()], vec![item.clone()], vec![item.clone(), item.clone()]] {
        held.items.try_send(batch).unwrap();
    }
    for outcome in [ReleaseOutcome::Released, ReleaseOutcome::Changed] {
        let results = held.results.recv().await.unwrap().unwrap();
        assert_eq!(results.iter().map(|result| &result.outcome).collect::<Vec<_>>(), [&outcome]);
    }
    assert!(held.results.recv().await.unwrap().is_err(), "the third");
}

/// Not even the file of the partition's lock can be made there.
#[tokio::test]
async fn a_handoff_on_a_full_device_drains() {
    let (machine, disk) = (Arc::new(Machine::default()), SimDisk::new(Options::default()));
    machine.mount("d1".parse().unwrap(), disk.clone());
    let mut devices = None;
    let node = Node::on(ReceiverConfig::default(), |config, hash, policies| {
        let open =
            || Devices::simulated(Arc::clone(&machine), config.clone(), hash.clone(), policies.clone());
        devices = Some(open());
        open()
    });
    let device = devices.unwrap().open(&"d1".parse().unwrap()).unwrap();
    let paths: Vec<_> = node.objects(0).take(3).collect();
    let mut talk = node.open(grpc(0)).await;
    for path in &paths {
        talk.outcome(put(path, at(1), b"x")).await;
    }
    talk.close().await;
    let items = paths.iter().flat_map(|path| {
        let at = release_open(0).partition;
        device.list_suffix(at.policy, at.partition, node.hash_of(path).suffix()).unwrap()
    });
    let items = items.map(|local| ReleaseItem {
        offer: local.offer,
        files: local.files,
        confirmed_by: vec![CONFIRMED],
    });
    let items: Vec<_> = items.collect();
    node.ring.set(Some(false));
    // A session has left the file.
    disk.take_away(Path::new("objects/0/.lock-replication"));
    disk.leave_blocks(0);
    assert_eq!(node.receiver.release(release_open(0)).await.unwrap_err().reason, Reason::DeviceFull);
    disk.leave_blocks(1000);
    device.keep_reserve().unwrap();
    disk.leave_blocks(0);
    let mut held = node.receiver.release(release_open(0)).await.unwrap();
    held.items.send(items).await.unwrap();
    let results = held.results.recv().await.unwrap().unwrap();
    assert!(results.iter().all(|result| result.outcome == ReleaseOutcome::Released), "{results:?}");
    drop(held.items);
    assert!(held.results.recv().await.is_none());
    assert!(!disk.paths().iter().any(|path| path.starts_with("objects/0/")), "{:?}", disk.paths());
    let counters = node.receiver.counters();
    assert_eq!((counters.objects_released, counters.removals_unrecorded), (3, 0));
}
