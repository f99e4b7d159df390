//! Tests of what survives the wire, and of what is refused under which name.

use bytes::Bytes;
use prost::Message as _;
use ssync_types::*;

use super::*;
use crate::v1;

const HASH: &str = "4e2772c453cbe15a19b26fbfbb223e31";

fn time(ticks: u64) -> Timestamp {
    Timestamp::new(ticks, 7).unwrap()
}

fn hash() -> ObjectHash {
    HASH.parse().unwrap()
}

fn path() -> ObjectPath {
    ObjectPath::parse(&b"/a/c/o\xff"[..]).unwrap()
}

fn partition() -> PartitionRef {
    PartitionRef {
        device: "sdb1".parse().unwrap(),
        partition: Partition::new(312),
        policy: PolicyIndex::new(1),
        fragment: Some(FragmentIndex::new(0)),
    }
}

fn object() -> ObjectRef {
    ObjectRef { partition: partition(), path: path() }
}

fn some_metadata() -> Metadata {
    let mut metadata = Metadata::new();
    metadata.set("Content-Type", "text/plain");
    metadata.insert(HeaderName::new(b"X-Object-Meta-T\xc3\xa8St").unwrap(), &b"\xff\xfe"[..]);
    metadata.set("X-Object-Meta-Empty", "");
    metadata
}

fn entry(name: &'static str) -> v1::MetadataEntry {
    v1::MetadataEntry { name: name.into(), value: Bytes::new() }
}

/// Out to bytes and back in, as a peer would see it.
fn wire<M: prost::Message + Default>(message: impl Into<M>) -> M {
    M::decode(message.into().encode_to_vec().as_slice()).unwrap()
}

fn field<T: std::fmt::Debug>(result: Result<T, Invalid>) -> String {
    result.unwrap_err().field
}

#[test]
fn offers_survive() {
    let plain = Offer::of_one_time(hash(), time(5), Some(ObjectKind::Tombstone));
    assert_eq!(v1::ObjectOffer::from(plain.clone()).metadata_timestamp, None);
    let full =
        Offer { metadata: time(6), content_type: time(4), kind: None, durable: false, ..plain.clone() };
    for offer in [plain, full] {
        assert_eq!(Offer::try_from(wire::<v1::ObjectOffer>(offer.clone())).unwrap(), offer);
    }
    let want = Want { hash: hash(), data: true, metadata: false, durable_mark: true };
    assert_eq!(Want::try_from(wire::<v1::ObjectWant>(want)).unwrap(), want);
}

#[test]
fn sessions_survive() {
    let open = SessionOpen {
        partition: partition(),
        sender: Sender {
            address: "10.0.0.7:6200".into(),
            device: "sdc".into(),
            job: Job::Revert,
            agent: "ssync/0.1.0".into(),
        },
        ring_digest: Some(vec![1; 16]),
        non_durable: true,
        failures_unlimited: true,
        protocol: SessionProtocol::Ssync,
    };
    for open in [open.clone(), SessionOpen { ring_digest: None, protocol: SessionProtocol::Grpc, ..open }] {
        assert_eq!(SessionOpen::try_from(wire::<v1::UpdatesRequest>(open.clone())).unwrap(), open);
    }
}

#[test]
fn updates_survive() {
    let put = |inline_body| {
        UpdateOp::Put(PutUpdate {
            path: path(),
            timestamp: time(5),
            content_length: 3,
            metadata: some_metadata(),
            durable: false,
            inline_body,
        })
    };
    let ops = [
        put(None),
        put(Some(InlineBody { data: "abc".into(), etag: Some("900150983cd24fb0d6963f7d28e17f72".into()) })),
        put(Some(InlineBody { data: Bytes::new(), etag: None })),
        UpdateOp::Post {
            path: path(),
            timestamp: time(6),
            metadata: some_metadata(),
            content_type: Some(time(6)),
        },
        UpdateOp::Delete { path: path(), timestamp: time(7) },
        UpdateOp::Commit { hash: hash(), timestamp: time(8) },
        UpdateOp::Confirm(vec![Offer::of_one_time(hash(), time(5), Some(ObjectKind::Data))]),
    ];
    let messages = ops.into_iter().map(|op| UpdateMessage::Update(Update { id: 9, op })).chain([
        UpdateMessage::Chunk("abc".into()),
        UpdateMessage::End(BodyEnd::Complete { etag: None, footers: some_metadata() }),
        UpdateMessage::End(BodyEnd::Abort("could not read".into())),
        UpdateMessage::Heartbeat,
    ]);
    for message in messages {
        assert_eq!(UpdateMessage::try_from(wire::<v1::UpdatesRequest>(message.clone())).unwrap(), message);
    }
}

#[test]
fn events_survive() {
    let outcomes = [
        Outcome::Applied,
        Outcome::AppliedUnflushed,
        Outcome::Confirmed,
        Outcome::Superseded(time(9)),
        Outcome::NotFound,
        Outcome::NotPrimary,
        Outcome::Failed(Refusal::new(Reason::ObjectIo, "sdb1: input/output error").at(time(3))),
    ];
    let results = outcomes.map(|outcome| UpdateResult { update_id: 4, hash: hash(), outcome }).to_vec();
    let accepted = |durability| Accepted {
        non_durable: true,
        inline_bytes_max: 65_536,
        outstanding_updates_max: 1000,
        durability,
        session_updates_max: 0,
        session_time_max: std::time::Duration::from_secs(1800),
    };
    let events = [
        SessionEvent::Opened { ring_differs: true },
        SessionEvent::Accepted(accepted(Durability::Object)),
        SessionEvent::Accepted(accepted(Durability::Batch)),
        SessionEvent::Accepted(accepted(Durability::None)),
        SessionEvent::Results(results),
        SessionEvent::Draining("SIGTERM".into()),
        SessionEvent::Heartbeat,
        SessionEvent::Summary(Summary { applied: 1, confirmed: 2, superseded: 3, failed: 4 }),
    ];
    for event in events {
        assert_eq!(SessionEvent::try_from(wire::<v1::UpdatesResponse>(event.clone())).unwrap(), event);
    }
}

fn released() -> Offer {
    Offer { metadata: time(2), ..Offer::of_one_time(hash(), time(1), Some(ObjectKind::Data)) }
}

#[test]
fn releases_survive() {
    let primary = |address: &str| Primary { address: address.into(), device: "sdb1".into() };
    let open = ReleaseOpen {
        partition: partition(),
        ring_digest: Some(vec![7; 32]),
        primaries: vec![primary("10.0.0.7:6200"), primary("[fd00::7]:6200")],
    };
    assert_eq!(ReleaseOpen::try_from(wire::<v1::ReleaseRequest>(open.clone())).unwrap(), open);
    let file = ReleaseFile { name: "1380144470.00000.data".into(), inode: u64::MAX };
    let assurances = [Assurance::Applied, Assurance::Confirmed, Assurance::Superseded(time(3))];
    let confirmed = |(primary, assurance)| Confirmed { primary, assurance };
    let confirmed_by = assurances.into_iter().enumerate().map(confirmed).collect();
    let items = vec![ReleaseItem { offer: released(), files: vec![file], confirmed_by }];
    assert_eq!(release_items(wire::<v1::ReleaseRequest>(items.clone())).unwrap(), items);
    let outcomes = [
        ReleaseOutcome::Released,
        ReleaseOutcome::Changed,
        ReleaseOutcome::Failed(Refusal::new(Reason::NotHandoff, "no")),
    ];
    let results = outcomes.map(|outcome| ReleaseResult { hash: hash(), outcome }).to_vec();
    let Some(v1::release_response::Message::Results(message)) =
        wire::<v1::ReleaseResponse>(results.clone()).message
    else {
        panic!("no results");
    };
    assert_eq!(release_results(message).unwrap(), results);
}

#[test]
fn suffix_hashes_survive_in_both_shapes() {
    let suffix = |name: &[u8]| Suffix::from_name(name).unwrap();
    let tombstones_only = SuffixHash::Fragments([(None, HASH.to_owned())].into());
    let fragments =
        SuffixHash::Fragments([(None, HASH.into()), (Some(FragmentIndex::new(0)), HASH.into())].into());
    let hashes = SuffixHashes::from([
        (suffix(b"0af"), SuffixHash::Replicated(HASH.into())),
        (suffix(b"fff"), tombstones_only),
        (suffix(b"abc"), fragments),
        (suffix(b"bad"), SuffixHash::Unknown),
    ]);
    let message: v1::GetSuffixHashesResponse = wire(to_suffix_hashes(hashes.clone()));
    assert_eq!(suffix_hashes(message).unwrap(), hashes);
    assert_eq!(rehash_suffixes(suffixes(vec![suffix(b"0af")])).unwrap(), [suffix(b"0af")]);
}

#[test]
fn objects_survive() {
    let put = ObjectPut {
        object: object(),
        timestamp: time(5),
        content_length: None,
        metadata: some_metadata(),
        if_none_match: vec!["*".into()],
        commit: CommitMode::SecondPhase,
        next_part_power: Some(11),
    };
    assert_eq!(ObjectPut::try_from(wire::<v1::PutObjectRequest>(put.clone())).unwrap(), put);
    let post = ObjectPost {
        object: object(),
        timestamp: time(5),
        metadata: some_metadata(),
        content_type: Some(time(5)),
        open_expired: true,
        next_part_power: None,
    };
    assert_eq!(ObjectPost::try_from(wire::<v1::PostObjectRequest>(post.clone())).unwrap(), post);
    let delete = ObjectDelete {
        object: object(),
        timestamp: time(5),
        if_delete_at: Some(1_700_000_000),
        next_part_power: None,
    };
    assert_eq!(ObjectDelete::try_from(wire::<v1::DeleteObjectRequest>(delete.clone())).unwrap(), delete);

    let range = ByteRange { first: 0, last: u64::MAX };
    assert_eq!(ByteRange::try_from(wire::<v1::ByteRange>(range)).unwrap(), range);
    let preference = FragmentPreference { timestamp: time(2), excluded: vec![FragmentIndex::new(3)] };
    for preferences in [None, Some(vec![]), Some(vec![preference])] {
        let options = ReadOptions {
            open_expired: true,
            now: Some(time(1)),
            fragment_preferences: preferences,
            private: true,
        };
        assert_eq!(ReadOptions::try_from(wire::<v1::ReadOptions>(options.clone())).unwrap(), options);
    }
}

#[test]
fn answers_survive() {
    for previous in [None, Some(some_metadata())] {
        let stored = Stored { etag: HASH.into(), content_length: 3, previous: previous.clone() };
        for step in [PutStep::Prepared, PutStep::Stored(stored)] {
            assert_eq!(PutStep::try_from(wire::<v1::PutObjectResponse>(step.clone())).unwrap(), step);
        }
        let deleted = Deleted { existed: true, written: true, timestamp: time(4), previous };
        assert_eq!(Deleted::try_from(wire::<v1::DeleteObjectResponse>(deleted.clone())).unwrap(), deleted);
    }
    let info = ObjectInfo {
        metadata: some_metadata(),
        timestamp: time(9),
        data: time(5),
        content_type: time(6),
        durable: None,
        content_length: 3,
        fragments: vec![FragmentSet {
            timestamp: time(5),
            indexes: vec![FragmentIndex::new(0)],
            durable: true,
        }],
    };
    assert_eq!(ObjectInfo::try_from(wire::<v1::ObjectInfo>(info.clone())).unwrap(), info);
    assert_eq!(field(ObjectInfo::try_from(v1::HeadObjectResponse { head: None })), "head");
}

#[test]
fn partitions_are_refused_by_field() {
    let good = v1::PartitionRef::from(partition());
    let refused = |bad: v1::PartitionRef| field(PartitionRef::try_from(bad));
    for device in ["", "../x", "a/b", ".."] {
        assert_eq!(refused(v1::PartitionRef { device: device.into(), ..good.clone() }), "device");
    }
    assert_eq!(refused(v1::PartitionRef { fragment_index: Some(65_536), ..good.clone() }), "fragment_index");
    assert_eq!(field(super::partition(None)), "partition");
    let bad = v1::PartitionRef { device: "../x".into(), ..good };
    assert_eq!(field(super::partition(Some(bad))), "partition.device");
}

#[test]
fn offers_are_refused_by_field() {
    let good = v1::ObjectOffer::from(Offer::of_one_time(hash(), time(5), None));
    let refused = |bad: v1::ObjectOffer| field(offers(vec![bad]));
    let late = Some(v1::SwiftTimestamp { ticks: u64::MAX, offset: 0 });
    for bad in ["", "../../etc/passwd", &HASH[1..], &HASH.to_uppercase()] {
        assert_eq!(
            refused(v1::ObjectOffer { object_hash: bad.into(), ..good.clone() }),
            "offers.object_hash"
        );
    }
    assert_eq!(refused(v1::ObjectOffer { data_timestamp: None, ..good.clone() }), "offers.data_timestamp");
    assert_eq!(
        refused(v1::ObjectOffer { data_timestamp: late, ..good.clone() }),
        "offers.data_timestamp.ticks"
    );
    assert_eq!(
        refused(v1::ObjectOffer { metadata_timestamp: late, ..good.clone() }),
        "offers.metadata_timestamp.ticks"
    );
    assert_eq!(refused(v1::ObjectOffer { kind: 3, ..good.clone() }), "offers.kind");
    assert!(offers(vec![good.clone(); OFFERS_MAX]).is_ok());
    assert_eq!(field(offers(vec![good; OFFERS_MAX + 1])), "offers");
}

#[test]
fn wants_are_refused_by_field() {
    let nothing = v1::ObjectWant { object_hash: HASH.into(), ..Default::default() };
    assert_eq!(field(wants(vec![nothing.clone()])), "wants.data");
    assert_eq!(field(wants(vec![nothing; WANTS_MAX + 1])), "wants");
    let bad = v1::ObjectWant { object_hash: "x".into(), data: true, ..Default::default() };
    assert_eq!(field(wants(vec![bad])), "wants.object_hash");
}

#[test]
fn metadata_is_refused_by_field() {
    let refused = |entries| field(metadata::metadata(entries, metadata::RESERVED_IN_BODY));
    for reserved in ["name", "etag", "CONTENT-LENGTH", "x-timestamp"] {
        assert_eq!(refused(vec![entry(reserved)]), "metadata.name");
    }
    for broken in ["", "a b", "a\r\nb"] {
        assert_eq!(refused(vec![entry(broken)]), "metadata.name");
    }
    assert_eq!(refused(vec![entry("X-Colour"), entry("x-colour")]), "metadata.name");
    assert_eq!(refused(vec![entry("X-A"); METADATA_ITEMS_MAX + 1]), "metadata");
    let large = v1::MetadataEntry { name: "X-A".into(), value: vec![b'x'; METADATA_BYTES_MAX].into() };
    assert_eq!(refused(vec![large]), "metadata");
    assert!(metadata::metadata(vec![entry("ETag")], metadata::RESERVED_IN_POST).is_ok());
    assert!(metadata::metadata(vec![entry("name")], metadata::RESERVED_IN_POST).is_err());
}

#[test]
fn bodies_are_refused_by_field() {
    let piece = |bytes: usize| v1::BodyChunk { data: vec![0; bytes].into() };
    assert_eq!(field(chunk(piece(0))), "chunk.data");
    assert_eq!(field(chunk(piece(CHUNK_BYTES_MAX + 1))), "chunk.data");
    let inline = v1::InlineBody { data: vec![0; INLINE_BYTES_MAX + 1].into(), etag: None };
    assert_eq!(field(InlineBody::try_from(inline)), "data");
    assert_eq!(field(BodyEnd::try_from(v1::BodyEnd { outcome: None })), "outcome");
    let complete = |etag: &str, name| {
        let complete = v1::BodyComplete { etag: Some(etag.into()), metadata: vec![entry(name)] };
        BodyEnd::try_from(v1::BodyEnd { outcome: Some(v1::body_end::Outcome::Complete(complete)) })
    };
    assert_eq!(field(complete(&"x".repeat(ETAG_BYTES_MAX + 1), "X-A")), "complete.etag");
    assert_eq!(field(complete(HASH, "X-Timestamp")), "complete.metadata.name");
}

fn update(path: &'static str, operation: Option<v1::update::Operation>) -> Result<Update, Invalid> {
    Update::try_from(v1::Update { update_id: 1, path: path.into(), operation })
}

#[test]
fn updates_are_refused_by_field() {
    use v1::update::Operation;
    let put = v1::PutUpdate { timestamp: Some(time(5).into()), ..Default::default() };
    let refused = |path, operation| field(update(path, Some(operation)));
    assert!(update("/a/c/o", Some(Operation::Put(put.clone()))).is_ok());
    assert_eq!(field(update("/a/c/o", None)), "operation");
    assert_eq!(refused("/a/c", Operation::Put(put.clone())), "path");
    assert_eq!(refused("/a/c/o", Operation::Put(v1::PutUpdate::default())), "put.timestamp");
    let huge = v1::PutUpdate { content_length: u64::MAX, ..put.clone() };
    assert_eq!(refused("/a/c/o", Operation::Put(huge)), "put.content_length");
    let named = v1::PutUpdate { metadata: vec![entry("ETag")], ..put };
    assert_eq!(refused("/a/c/o", Operation::Put(named)), "put.metadata.name");
    assert_eq!(refused("/a/c/o", Operation::Post(v1::PostUpdate::default())), "post.timestamp");
    assert_eq!(refused("/a/c/o", Operation::Delete(v1::DeleteUpdate::default())), "delete.timestamp");
    assert_eq!(refused("", Operation::Commit(v1::CommitUpdate::default())), "commit.object_hash");
    assert_eq!(refused("/a/c/o", Operation::Confirm(v1::ConfirmUpdate::default())), "path");
    let offers = vec![v1::ObjectOffer::default(); OFFERS_MAX + 1];
    assert_eq!(refused("", Operation::Confirm(v1::ConfirmUpdate { offers })), "confirm.offers");
}

#[test]
fn messages_out_of_order_are_no_form_errors() {
    let open = v1::UpdatesRequest {
        message: Some(v1::updates_request::Message::Open(v1::UpdatesOpen {
            partition: Some(partition().into()),
            sender: Some(v1::Sender::default()),
            ..Default::default()
        })),
    };
    let heartbeat = v1::UpdatesRequest::from(UpdateMessage::Heartbeat);
    assert_eq!(UpdateMessage::try_from(open.clone()).unwrap_err().reason, Reason::ProtocolOrder);
    assert_eq!(SessionOpen::try_from(heartbeat).unwrap_err().reason, Reason::ProtocolOrder);
    assert!(SessionOpen::try_from(open).is_ok());

    let chunk = v1::PutObjectRequest::from(BodyEvent::Chunk("x".into()));
    assert_eq!(ObjectPut::try_from(chunk).unwrap_err().reason, Reason::ProtocolOrder);
    let items = v1::ReleaseRequest::from(Vec::new());
    assert_eq!(ReleaseOpen::try_from(items).unwrap_err().reason, Reason::ProtocolOrder);
    let open =
        v1::ReleaseRequest { message: Some(v1::release_request::Message::Open(v1::ReleaseOpen::default())) };
    assert_eq!(release_items(open).unwrap_err().reason, Reason::ProtocolOrder);
    let empty = UpdateMessage::try_from(v1::UpdatesRequest { message: None }).unwrap_err();
    assert_eq!((empty.reason, empty.field.as_deref()), (Reason::InvalidArgument, Some("message")));
}

#[test]
fn opens_are_refused_by_field() {
    let good = v1::UpdatesOpen {
        partition: Some(partition().into()),
        sender: Some(v1::Sender::default()),
        ..Default::default()
    };
    let refused = |open: v1::UpdatesOpen| field(SessionOpen::try_from(open));
    assert_eq!(refused(v1::UpdatesOpen { partition: None, ..good.clone() }), "partition");
    assert_eq!(refused(v1::UpdatesOpen { sender: None, ..good.clone() }), "sender");
    let digest = Some(vec![0; RING_DIGEST_BYTES_MAX + 1].into());
    assert_eq!(refused(v1::UpdatesOpen { ring_digest: digest, ..good.clone() }), "ring_digest");
    let forged = v1::Sender { agent: "x\nERROR: all is lost".into(), ..Default::default() };
    assert_eq!(refused(v1::UpdatesOpen { sender: Some(forged), ..good.clone() }), "sender.agent");
    assert_eq!(refused(v1::UpdatesOpen { features: vec![0; FEATURES_MAX + 1], ..good.clone() }), "features");
    let later = v1::UpdatesOpen {
        features: vec![99],
        sender: Some(v1::Sender { job: 99, ..Default::default() }),
        ..good
    };
    let later = SessionOpen::try_from(later).unwrap();
    assert_eq!((later.non_durable, later.sender.job), (false, Job::Unknown));
}

#[test]
fn verdicts_of_a_later_version_license_nothing() {
    let result = |outcome| v1::UpdateResult { object_hash: HASH.into(), outcome, ..Default::default() };
    assert!(!UpdateResult::try_from(result(99)).unwrap().outcome.is_safe());
    assert_eq!(field(UpdateResult::try_from(result(0))), "outcome");
    let superseded = result(v1::UpdateOutcome::Superseded.into());
    assert_eq!(field(UpdateResult::try_from(superseded)), "winning_timestamp");
    let accepted = v1::UpdatesAccepted { durability: 99, ..Default::default() };
    assert_eq!(Accepted::try_from(accepted).unwrap().durability, Durability::None);
    assert_eq!(field(Accepted::try_from(v1::UpdatesAccepted::default())), "durability");
    assert_eq!(field(verdict::results(vec![])), "results");
    assert_eq!(field(verdict::results(vec![result(1); RESULTS_MAX + 1])), "results");
}

#[test]
fn releases_are_refused_by_field() {
    let confirmation = |primary, outcome: v1::UpdateOutcome| v1::Confirmation {
        primary,
        outcome: outcome.into(),
        winning_timestamp: None,
    };
    let good = v1::ReleaseItem {
        offer: Some(released().into()),
        files: vec![v1::ReleaseFile { name: "x".into(), inode: 1 }],
        confirmations: vec![confirmation(0, v1::UpdateOutcome::Applied)],
    };
    assert!(ReleaseItem::try_from(good.clone()).is_ok());
    let by = |confirmations: Vec<v1::Confirmation>| {
        field(ReleaseItem::try_from(v1::ReleaseItem { confirmations, ..good.clone() }))
    };
    assert_eq!(by(vec![]), "confirmations");
    assert_eq!(by(vec![confirmation(1, v1::UpdateOutcome::Confirmed); 2]), "confirmations.primary");
    assert_eq!(by(vec![confirmation(64, v1::UpdateOutcome::Confirmed)]), "confirmations.primary");
    for unsafe_answer in [
        v1::UpdateOutcome::Unspecified,
        v1::UpdateOutcome::AppliedUnflushed,
        v1::UpdateOutcome::NotFound,
        v1::UpdateOutcome::NotPrimary,
        v1::UpdateOutcome::Failed,
    ] {
        assert_eq!(by(vec![confirmation(0, unsafe_answer)]), "confirmations.outcome");
    }
    assert_eq!(by(vec![confirmation(0, v1::UpdateOutcome::Superseded)]), "confirmations.winning_timestamp");
    assert_eq!(field(ReleaseItem::try_from(v1::ReleaseItem { offer: None, ..good.clone() })), "offer");
    let item = |names: &[&str]| {
        let files = names.iter().map(|&name| v1::ReleaseFile { name: name.into(), inode: 1 }).collect();
        field(ReleaseItem::try_from(v1::ReleaseItem { files, ..good.clone() }))
    };
    for bad in ["", ".", "..", "../x.data", "a\0", &"x".repeat(256)] {
        assert_eq!(item(&[bad]), "files.name");
    }
    assert_eq!(item(&[]), "files");
    assert_eq!(item(&["x"; RELEASE_FILES_MAX + 1]), "files");
    let items = vec![v1::ReleaseItem::default(); RELEASE_ITEMS_MAX + 1];
    let batch = v1::release_request::Message::Batch(v1::ReleaseBatch { items });
    let refusal = release_items(v1::ReleaseRequest { message: Some(batch) }).unwrap_err();
    assert_eq!(refusal.field.as_deref(), Some("batch.items"));

    let opened = |open: v1::ReleaseOpen| field(ReleaseOpen::try_from(open));
    let primary = v1::Primary { address: "10.0.0.7:6200".into(), device: "sdb1".into() };
    let good = v1::ReleaseOpen {
        partition: Some(partition().into()),
        ring_digest: None,
        primaries: vec![primary.clone()],
    };
    assert!(ReleaseOpen::try_from(good.clone()).is_ok());
    assert_eq!(opened(v1::ReleaseOpen { primaries: vec![], ..good.clone() }), "primaries");
    let many = vec![primary.clone(); PRIMARIES_MAX + 1];
    assert_eq!(opened(v1::ReleaseOpen { primaries: many, ..good.clone() }), "primaries");
    let broken = v1::Primary { address: "a\nb".into(), ..primary };
    assert_eq!(opened(v1::ReleaseOpen { primaries: vec![broken], ..good.clone() }), "primaries.address");
    assert_eq!(opened(v1::ReleaseOpen { ring_digest: Some(vec![0; 65].into()), ..good }), "ring_digest");
}

#[test]
fn hashes_are_refused_by_field() {
    let part = |index, hash: &str| v1::FragmentHash { fragment_index: index, hash: hash.into() };
    let refused = |suffix: &str, hashes| {
        let suffix = v1::SuffixHash { suffix: suffix.into(), hashes, by_fragment: false, fresh: false };
        field(suffix_hashes(v1::GetSuffixHashesResponse { suffixes: vec![suffix], hashed_suffixes: 0 }))
    };
    assert_eq!(refused("FFF", vec![part(None, HASH)]), "suffixes.suffix");
    assert_eq!(refused("fff", vec![part(None, "abc")]), "suffixes.hashes.hash");
    assert_eq!(refused("fff", vec![part(None, HASH), part(None, HASH)]), "suffixes.hashes.fragment_index");
    assert_eq!(refused("fff", vec![part(Some(65_536), HASH)]), "suffixes.hashes.fragment_index");
    assert_eq!(refused("fff", vec![part(Some(1), HASH)]), "suffixes.hashes");
    let good = v1::SuffixHash {
        suffix: "fff".into(),
        hashes: vec![part(None, HASH)],
        by_fragment: false,
        fresh: false,
    };
    assert_eq!(
        field(suffix_hashes(v1::GetSuffixHashesResponse { suffixes: vec![good; 2], hashed_suffixes: 0 })),
        "suffixes.suffix"
    );
    assert_eq!(field(stale_suffixes(vec!["..".into()])), "suffixes");
    assert_eq!(field(rehash_suffixes(vec!["fff".into(); SUFFIXES_MAX + 1])), "rehash_suffixes");
}

#[test]
fn object_requests_are_refused_by_field() {
    let object = v1::ObjectRef::from(object());
    let put = |head| field(ObjectPut::try_from(head));
    let good = v1::PutObjectHead {
        object: Some(object.clone()),
        timestamp: Some(time(1).into()),
        ..Default::default()
    };
    assert_eq!(put(v1::PutObjectHead::default()), "object");
    let bad = v1::ObjectRef { path: "x".into(), ..object.clone() };
    assert_eq!(put(v1::PutObjectHead { object: Some(bad), ..good.clone() }), "object.path");
    let bad = v1::ObjectRef { partition: None, ..object.clone() };
    assert_eq!(put(v1::PutObjectHead { object: Some(bad), ..good.clone() }), "object.partition");
    assert_eq!(put(v1::PutObjectHead { timestamp: None, ..good.clone() }), "timestamp");
    assert_eq!(put(v1::PutObjectHead { next_part_power: Some(33), ..good.clone() }), "next_part_power");
    let tags = vec![String::new(); CONDITIONS_MAX + 1];
    assert_eq!(put(v1::PutObjectHead { if_none_match: tags, ..good.clone() }), "if_none_match");
    assert_eq!(put(v1::PutObjectHead { commit_mode: 9, ..good.clone() }), "commit_mode");
    assert_eq!(put(v1::PutObjectHead { content_length: Some(u64::MAX), ..good }), "content_length");

    let backwards = v1::GetObjectRequest {
        object: Some(object.clone()),
        ranges: vec![v1::ByteRange { first: 2, last: 1 }],
        options: None,
    };
    let get = |request| field(<(ObjectRef, Vec<ByteRange>, ReadOptions)>::try_from(request));
    assert_eq!(get(backwards), "ranges.last");
    let many = v1::GetObjectRequest {
        object: Some(object),
        ranges: vec![v1::ByteRange::default(); RANGES_MAX + 1],
        options: None,
    };
    assert_eq!(get(many), "ranges");
    let preferences = v1::FragmentPreferences { preferences: vec![v1::FragmentPreference::default()] };
    let options = v1::ReadOptions { fragment_preferences: Some(preferences), ..Default::default() };
    assert_eq!(field(ReadOptions::try_from(options)), "options.fragment_preferences.preferences.timestamp");
}

/// The largest of each kind of message has room below the limits that servers and clients set.
#[test]
fn the_largest_messages_fit() {
    let put = UpdateOp::Put(PutUpdate {
        path: ObjectPath::parse(format!("/a/c/{}", "x".repeat(8000))).unwrap(),
        timestamp: time(5),
        content_length: 1,
        metadata: Metadata::new(),
        durable: true,
        inline_body: Some(InlineBody { data: vec![0; INLINE_BYTES_MAX].into(), etag: Some(HASH.into()) }),
    });
    let put = v1::UpdatesRequest::from(UpdateMessage::Update(Update { id: u64::MAX, op: put }));
    assert!(put.encoded_len() + 2 * METADATA_BYTES_MAX < REQUEST_BYTES_MAX);
    let failed = Outcome::Failed(Refusal {
        field: Some("x".repeat(999)),
        ..Refusal::new(Reason::ObjectIo, "x".repeat(9999))
    });
    let result = UpdateResult { update_id: u64::MAX, hash: hash(), outcome: failed };
    let results = v1::UpdatesResponse::from(SessionEvent::Results(vec![result; RESULTS_MAX]));
    assert!(results.encoded_len() < RESPONSE_BYTES_MAX);
}

/// A line break in a value would be a request of its own to a peer that is told by SSYNC.
#[test]
fn a_value_of_several_lines_is_refused_from_a_client_and_left_out_of_what_is_stored() {
    let entry = |name: &'static str, value: &'static str| v1::MetadataEntry {
        name: name.into(),
        value: value.into(),
    };
    for value in ["x\r\n\r\nDELETE /a/c/victim", "x\ny", "x\r"] {
        let head = v1::PutObjectHead {
            object: Some(object().into()),
            timestamp: Some(time(1).into()),
            metadata: vec![entry("X-Object-Meta-A", value)],
            ..Default::default()
        };
        assert_eq!(field(ObjectPut::try_from(head)), "metadata.value");
        let stored = v1::PutStored {
            etag: HASH.into(),
            content_length: 0,
            previous_metadata: vec![
                entry("X-Object-Meta-A", value),
                entry("b ad", "x"),
                entry("X-Good", "y"),
            ],
        };
        let previous = Stored::try_from(stored).unwrap().previous.unwrap();
        assert_eq!((previous.len(), previous.get_str("x-good")), (1, Some("y")));
    }
}
