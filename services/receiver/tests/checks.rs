//! Offers and their answers; suffix hashes.

use ssync_store::{CheckAnswer, Store as _};
use ssync_types::{
    FragmentIndex, ObjectKind, Offer, Outcome, PartitionRef, PolicyIndex, PutUpdate, Reason, Refusal, Rehash,
    SessionOpen, UpdateOp,
};
use tokio::sync::mpsc;

use super::support::{Node, at, delete, grpc, partition, post, put};

async fn check(
    node: &Node,
    partition: PartitionRef,
    batches: Vec<Vec<Offer>>,
) -> Result<Vec<CheckAnswer>, Refusal> {
    let (offers, incoming) = mpsc::channel(64);
    for batch in batches {
        offers.send(batch).await.unwrap();
    }
    drop(offers);
    let mut answers = node.receiver.missing_check(partition, incoming).await?;
    let mut all = Vec::new();
    while let Some(answer) = answers.recv().await {
        all.push(answer?);
    }
    Ok(all)
}

#[tokio::test]
async fn wants_what_is_lacking_and_writes_nothing() {
    let node = Node::new();
    let (here, posted, dead, lacking) = (node.object(0), node.object(1), node.object(2), node.object(3));
    let mut talk = node.open(grpc(0)).await;
    talk.outcome(put(&here, at(1), b"x")).await;
    talk.outcome(put(&posted, at(1), b"x")).await;
    talk.outcome(post(&posted, at(2))).await;
    talk.outcome(delete(&dead, at(3))).await;
    talk.close().await;
    let before = node.all_files();
    let offer = |path, time| Offer::of_one_time(node.hash_of(path), at(time), Some(ObjectKind::Data));
    let later = |path, data, metadata| Offer { metadata: at(metadata), ..offer(path, data) };
    let batches = vec![
        vec![offer(&here, 1), later(&posted, 1, 2), offer(&dead, 3), offer(&lacking, 1)],
        Vec::new(),
        vec![offer(&here, 2), later(&posted, 1, 3), offer(&dead, 4)],
    ];
    let answers = check(&node, partition(0), batches).await.unwrap();
    let wants = |answer: &CheckAnswer| -> Vec<(bool, bool)> {
        answer.wants.iter().map(|want| (want.data, want.metadata)).collect()
    };
    assert_eq!(answers.iter().map(|answer| answer.answered_offers).collect::<Vec<_>>(), [4, 7]);
    assert_eq!(wants(&answers[0]), [(true, true)]);
    assert_eq!(answers[0].wants[0].hash, node.hash_of(&lacking));
    assert_eq!(wants(&answers[1]), [(true, true), (false, true), (true, false)]);
    assert_eq!(node.all_files(), before);
}

#[tokio::test]
async fn many_offers_are_answered_in_their_order() {
    let node = Node::new();
    let paths: Vec<_> = node.objects(0).take(2000).collect();
    let offers: Vec<Offer> =
        paths.iter().map(|path| Offer::of_one_time(node.hash_of(path), at(1), None)).collect();
    let batches = offers.chunks(500).map(<[Offer]>::to_vec).collect();
    let answers = check(&node, partition(0), batches).await.unwrap();
    let wanted: Vec<_> = answers.iter().flat_map(|answer| &answer.wants).map(|want| want.hash).collect();
    assert_eq!(wanted, offers.iter().map(|offer| offer.hash).collect::<Vec<_>>());
    assert_eq!(node.receiver.counters().offers_wanted, 2000);
}

#[tokio::test]
async fn bad_questions_are_refused() {
    let node = Node::new();
    let unknown = PartitionRef { policy: PolicyIndex::new(7), ..partition(0) };
    let absent = PartitionRef { device: "d9".parse().unwrap(), ..partition(0) };
    let elsewhere = node.objects(1).next().unwrap();
    let offer = |path| Offer::of_one_time(node.hash_of(path), at(1), None);
    let first = node.object(0);
    let good = offer(&first);
    let table = [
        (partition(4), vec![], Reason::RingMismatch),
        (unknown, vec![], Reason::PolicyUnknown),
        (absent, vec![], Reason::DeviceUnmounted),
        (partition(0), vec![vec![good.clone(), offer(&elsewhere)]], Reason::RingMismatch),
        (partition(0), vec![vec![good; 1001]], Reason::InvalidArgument),
    ];
    for (partition, batches, expected) in table {
        assert_eq!(check(&node, partition, batches).await.unwrap_err().reason, expected);
    }
    assert_eq!(std::fs::read_dir(node.device()).unwrap().count(), 0, "nothing changed on the disk");
}

#[tokio::test]
async fn hashes_of_suffixes_follow_what_is_stored() {
    let node = Node::new();
    let path = node.object(0);
    let hashes = || node.receiver.suffix_hashes(partition(0), Rehash::default());
    assert!(hashes().await.unwrap().is_empty());
    assert_eq!(std::fs::read_dir(node.device()).unwrap().count(), 0, "a partition is not made by asking");
    let mut talk = node.open(grpc(0)).await;
    talk.outcome(put(&path, at(1), b"x")).await;
    let one = hashes().await.unwrap();
    assert_eq!(one.keys().copied().collect::<Vec<_>>(), [node.hash_of(&path).suffix()]);
    talk.outcome(post(&path, at(2))).await;
    let two = hashes().await.unwrap();
    assert_ne!(one, two);
    // A file from outside is seen when the suffix is invalidated.
    let file = node.all_files().into_iter().find(|file| file.extension().unwrap() == "meta").unwrap();
    std::fs::remove_file(file).unwrap();
    assert_eq!(hashes().await.unwrap(), two);
    node.receiver.invalidate_suffixes(partition(0), vec![node.hash_of(&path).suffix()]).await.unwrap();
    assert_eq!(hashes().await.unwrap(), one);
    assert_eq!(
        node.receiver.suffix_hashes(partition(4), Rehash::default()).await.unwrap_err().reason,
        Reason::RingMismatch
    );
}

/// A node may hold several fragments of an object; another one does not stand for the one that is offered (Swift:
/// ssync_receiver.py _check_local: the session's index must be among the fragments of the offered time).
#[tokio::test]
async fn another_fragment_of_the_same_time_is_not_the_one_that_is_offered() {
    let coded = |index| PartitionRef {
        policy: PolicyIndex::new(1),
        fragment: Some(FragmentIndex::new(index)),
        ..partition(0)
    };
    for durable in [false, true] {
        let node = Node::new();
        let path = node.object(0);
        let UpdateOp::Put(three) = put(&path, at(1), b"fragment 3") else { unreachable!() };
        let mut talk = node.open(SessionOpen { partition: coded(3), ..grpc(0) }).await;
        assert_eq!(talk.outcome(UpdateOp::Put(PutUpdate { durable, ..three })).await, Outcome::Applied);
        talk.close().await;

        let offer = Offer { durable, ..Offer::of_one_time(node.hash_of(&path), at(1), None) };
        let answers = check(&node, coded(1), vec![vec![offer.clone()]]).await.unwrap();
        let [want] = answers[0].wants[..] else {
            panic!("durable {durable}: nothing is wanted: {answers:?}")
        };
        assert!(want.data && !want.durable_mark, "durable {durable}: {want:?}");
        let answers = check(&node, coded(3), vec![vec![offer]]).await.unwrap();
        assert!(answers[0].wants.is_empty(), "durable {durable}: {answers:?}");

        // Nor can the mark be given to it: its sender would remove the only fragment 1 there is.
        let mut talk = node.open(SessionOpen { partition: coded(1), ..grpc(0) }).await;
        let outcome = talk.outcome(UpdateOp::Commit { hash: node.hash_of(&path), timestamp: at(1) }).await;
        assert_eq!(outcome, Outcome::NotFound, "durable {durable}");
        talk.close().await;
    }
}
