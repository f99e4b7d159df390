//! Values that are not of their form, or that name what is not there.

use anyhow::Result;
use ssync_api::v1::{MissingCheckRequest, PartitionRef, UpdatesRequest};
use tonic::Code;

use crate::{
    peer::{Peer, assert_refusal, open},
    scene::{PARTITION, Scene},
};

/// Offers in one message, by the contract.
const OFFERS_MAX: usize = 1000;
/// More than any message may have.
const TOO_MANY_BYTES: usize = 20 << 20;

/// Partitions that must be refused, and how.
fn bad_partitions() -> Vec<(&'static str, PartitionRef, Code, &'static str)> {
    let good = Peer::partition();
    let device = |name: &str| PartitionRef { device: name.to_owned(), ..good.clone() };
    let (invalid, precondition) = (Code::InvalidArgument, Code::FailedPrecondition);
    vec![
        ("a device that climbs", device("../x"), invalid, "INVALID_ARGUMENT"),
        ("a device that is the folder above", device(".."), invalid, "INVALID_ARGUMENT"),
        ("a device with a slash", device("sdb1/objects"), invalid, "INVALID_ARGUMENT"),
        ("a device with a zero byte", device("sdb1\0"), invalid, "INVALID_ARGUMENT"),
        ("no device", device(""), invalid, "INVALID_ARGUMENT"),
        ("a device that is not in this node", device("sdz9"), precondition, "DEVICE_UNMOUNTED"),
        (
            "a partition beyond the ring",
            PartitionRef { partition: 8, ..good.clone() },
            precondition,
            "RING_MISMATCH",
        ),
        (
            "the last partition that there is",
            PartitionRef { partition: u32::MAX, ..good.clone() },
            precondition,
            "RING_MISMATCH",
        ),
        ("an unknown policy", PartitionRef { policy_index: 9, ..good }, precondition, "POLICY_UNKNOWN"),
    ]
}

#[tokio::test]
async fn a_check_of_a_bad_partition_is_refused() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut peer = scene.peer().await?;
    let hash = "00000000000000000000000000000001";
    for (what, partition, code, reason) in bad_partitions() {
        let Err(status) = peer.check(vec![Peer::question(&partition, &[hash])]).await else {
            panic!("{what} was answered")
        };
        assert_refusal(&status, code, reason);
    }
    scene.assert_untouched("bad partitions").await
}

#[tokio::test]
async fn a_session_on_a_bad_partition_is_refused() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut peer = scene.peer().await?;
    for (what, partition, code, reason) in bad_partitions() {
        let went = peer.session(vec![open(partition)]).await?;
        assert!(!went.accepted, "{what} was accepted");
        went.assert_refused(code, reason);
    }
    scene.assert_untouched("bad partitions").await
}

#[tokio::test]
async fn malformed_offers_are_refused() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut peer = scene.peer().await?;
    let located = scene.located(1)?;
    let good = located[0].hash.as_str();
    let upper = good.to_uppercase();
    let long = format!("{good}0");
    for hash in ["", "xyz", "../../../../../../etc/passwd", &good[1..], &long, &upper] {
        let answer = peer.check(vec![Peer::question(&Peer::partition(), &[good, hash])]).await;
        let Err(status) = answer else { panic!("{hash:?} was answered") };
        assert_refusal(&status, Code::InvalidArgument, "INVALID_ARGUMENT");
    }

    let mut timeless = Peer::question(&Peer::partition(), &[good]);
    timeless.offers[0].data_timestamp = None;
    let Err(status) = peer.check(vec![timeless]).await else {
        panic!("an offer without a time was answered")
    };
    assert_refusal(&status, Code::InvalidArgument, "INVALID_ARGUMENT");

    let mut late = Peer::question(&Peer::partition(), &[good]);
    late.offers[0].data_timestamp = Some(ssync_api::v1::SwiftTimestamp { ticks: u64::MAX, offset: 0 });
    let Err(status) = peer.check(vec![late]).await else { panic!("a time beyond all was answered") };
    assert_refusal(&status, Code::InvalidArgument, "INVALID_ARGUMENT");
    scene.assert_untouched("malformed offers").await
}

#[tokio::test]
async fn an_offer_of_another_partition_is_refused() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut peer = scene.peer().await?;
    let elsewhere = scene.located_in(PARTITION + 1, 1)?;
    let answer = peer.check(vec![Peer::question(&Peer::partition(), &[&elsewhere[0].hash])]).await;
    let Err(status) = answer else { panic!("an offer of another partition was answered") };
    assert_refusal(&status, Code::FailedPrecondition, "RING_MISMATCH");
    scene.assert_untouched("an offer of another partition").await
}

#[tokio::test]
async fn too_much_is_refused() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut peer = scene.peer().await?;
    let located = scene.located(1)?;
    let hashes = vec![located[0].hash.as_str(); OFFERS_MAX + 1];
    let Err(status) = peer.check(vec![Peer::question(&Peer::partition(), &hashes)]).await else {
        panic!("{} offers in one message were answered", hashes.len())
    };
    assert_refusal(&status, Code::InvalidArgument, "INVALID_ARGUMENT");

    let mut huge = open(Peer::partition());
    if let Some(ssync_api::v1::updates_request::Message::Open(open)) = &mut huge.message {
        open.ring_digest = Some(vec![0; TOO_MANY_BYTES].into());
    }
    let went = peer.session(vec![huge]).await?;
    assert!(!went.accepted, "a message of {TOO_MANY_BYTES} bytes was accepted");
    let code = went.status.as_ref().map(tonic::Status::code);
    assert!(
        matches!(code, Some(Code::OutOfRange | Code::ResourceExhausted | Code::InvalidArgument)),
        "{went:?}"
    );
    scene.assert_untouched("too much").await
}

#[tokio::test]
async fn a_check_in_no_order_is_refused() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut peer = scene.peer().await?;
    let located = scene.located(1)?;
    let good = Peer::question(&Peer::partition(), &[&located[0].hash]);
    let without = MissingCheckRequest { partition: None, ..good.clone() };

    let Err(status) = peer.check(vec![without.clone()]).await else {
        panic!("a check of nowhere was answered")
    };
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let answer = peer.check(vec![good.clone(), good]).await;
    let Err(status) = answer else { panic!("a second partition was answered") };
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let went = peer.session(vec![UpdatesRequest { message: None }]).await?;
    assert_eq!(went.status.as_ref().map(tonic::Status::code), Some(Code::InvalidArgument), "{went:?}");
    scene.assert_untouched("a check in no order").await
}
