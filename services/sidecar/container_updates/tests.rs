//! Which updates follow from which change.

use bytes::Bytes;
use ssync_types::{
    ContainerPath, Deleted, HashPathConfig, HeaderName, ListingOp, Metadata, ObjectInfo, ObjectPath,
    ObjectRef, Partition, PartitionRef, PolicyIndex, Posted, Stored, Timestamp,
};

use super::*;
use crate::{http::RequestHead, path::Path};

mod delivery;

const ETAG: &str = "5d41402abc4b2a76b9719d911017c592";
const CONTAINER: &str = "X-Container-Host: 10.0.0.1:6201, 10.0.0.2:6201\r\nX-Container-Device: sdc, sdd\r\n\
    X-Container-Partition: 77\r\nX-Container-Root-Db-State: unsharded\r\n";
const QUEUE: &str = "X-Delete-At: 1700009999\r\nX-Delete-At-Host: 10.0.0.3:6201\r\nX-Delete-At-Device: sde\r\n\
    X-Delete-At-Partition: 5\r\nX-Delete-At-Container: 1699999999\r\n";

/// A request, and the object that it has changed.
struct Asked {
    request: RequestHead,
    path: Path,
    object: ObjectRef,
}

impl Asked {
    fn of(method: &str, headers: &str) -> Self {
        let head = format!(
            "{method} /sda/1/a/c/o%20p?x=1 HTTP/1.1\r\nHost: 10.0.0.9:6200\r\nX-Trans-Id: tx1\r\n\
             Content-Type: text/plain\r\nX-Timestamp: 1700000005\r\n{headers}\r\n"
        );
        let request = RequestHead::parse(&Bytes::from(head)).unwrap();
        let partition = PartitionRef {
            device: "sda".parse().unwrap(),
            partition: Partition::new(1),
            policy: PolicyIndex::new(2),
            fragment: None,
        };
        let path = Path::of_target(&request.target);
        Self { request, path, object: ObjectRef { partition, path: ObjectPath::parse("/a/c/o p").unwrap() } }
    }

    fn change(&self) -> Change<'_> {
        let timestamp = Timestamp::parse(self.request.headers.get("X-Timestamp").unwrap()).unwrap();
        let Self { request, path, object } = self;
        Change { request, path, headers: &request.headers, object, timestamp }
    }
}

fn updates() -> Updates {
    let queue =
        ExpirerQueue::new("expiring_objects", 86_400, HashPathConfig::new("changeme", "changeme").unwrap());
    Updates::new(queue, delivery::deliveries(Default::default()))
}

fn stored(previous: Option<Metadata>) -> Stored {
    Stored { etag: ETAG.into(), content_length: 5, previous }
}

fn metadata(items: &[(&str, &str)]) -> Metadata {
    let item = |&(name, value): &(&str, &str)| {
        (HeaderName::new(name.as_bytes()).unwrap(), Bytes::copy_from_slice(value.as_bytes()))
    };
    items.iter().map(item).collect()
}

fn put(headers: &str, footers: &[(&str, &str)], previous: Option<Metadata>) -> Plan {
    let asked = Asked::of("PUT", headers);
    updates().plan_put(&asked.change(), &metadata(footers), &stored(previous))
}

fn post(headers: &str, now: &[(&str, &str)], content_type: u64, previous: &[(&str, &str)]) -> Plan {
    updates().plan_post(&Asked::of("POST", headers).change(), &posted(now, content_type, previous))
}

/// A POST of time 1700000005 to an object that was stored at 1700000001 and changed at 1700000002.
fn posted(now: &[(&str, &str)], content_type: u64, previous: &[(&str, &str)]) -> Posted {
    let mut before = metadata(&[
        ("Content-Type", "text/plain"),
        ("Content-Length", "5"),
        ("ETag", ETAG),
        ("X-Timestamp", "1700000002.00000"),
    ]);
    before.extend(metadata(previous));
    let at = Timestamp::from_seconds;
    let info = ObjectInfo {
        metadata: metadata(now),
        timestamp: at(1_700_000_005),
        data: at(1_700_000_001),
        content_type: at(content_type),
        durable: None,
        content_length: 5,
        fragments: Vec::new(),
    };
    let body_type = "text/plain;swift_bytes=900".into();
    Posted { info, previous: before, body_type }
}

/// The headers, but those that every update has.
fn told(update: &Update) -> Vec<(String, String)> {
    let signature = ["Referer", "User-Agent", "X-Backend-Storage-Policy-Index", "X-Trans-Id"];
    let headers = update.update.headers.iter();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    headers
        .filter(|(name, _)| !signature.iter().any(|signed| name.is(signed)))
        .map(|(name, value)| (text(name.as_bytes()), text(value)))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn target(host: &str, device: &str, partition: &str) -> Option<Target> {
    Target::of(host.as_bytes(), device.as_bytes(), partition.as_bytes())
}

#[test]
fn a_put_is_listed_by_each_server_that_the_proxy_names() {
    let plan = put(CONTAINER, &[], None);
    assert_eq!(plan.queue, []);
    let [first, second] = &plan.listing[..] else { panic!("{plan:?}") };
    assert_eq!(first.target, target("10.0.0.1:6201", "sdc", "77"));
    assert_eq!(second.target, target("10.0.0.2:6201", "sdd", "77"));
    assert_eq!(first.update, second.update);
    let update = &first.update;
    assert_eq!((update.op, update.path.as_bytes()), (ListingOp::Put, &b"/a/c/o p"[..]));
    assert_eq!((update.device.as_str(), update.policy), ("sda", PolicyIndex::new(2)));
    assert_eq!((update.db_state.as_deref(), &update.container_path), (Some(&b"unsharded"[..]), &None));
    assert_eq!(
        update.headers,
        metadata(&[
            ("X-Size", "5"),
            ("X-Content-Type", "text/plain"),
            ("X-Timestamp", "1700000005.00000"),
            ("X-Etag", ETAG),
            ("X-Trans-Id", "tx1"),
            ("Referer", "PUT http://10.0.0.9:6200/sda/1/a/c/o%20p?x=1"),
            ("User-Agent", &format!("object-server {}", std::process::id())),
            ("X-Backend-Storage-Policy-Index", "2"),
        ])
    );
}

#[test]
fn without_a_partition_nobody_is_told() {
    let lists = "X-Container-Host: 10.0.0.1:6201\r\nX-Container-Device: sdc\r\n";
    assert_eq!(put(lists, &[], None), Plan::default());
    assert_eq!(put(&format!("{lists}X-Container-Partition:\r\n"), &[], None), Plan::default());
    let uneven = "X-Container-Host: a:1,b:1\r\nX-Container-Device: sdc\r\nX-Container-Partition: 1\r\n";
    assert_eq!(put(uneven, &[], None), Plan::default());
}

#[test]
fn what_has_no_server_is_kept() {
    let plan = put("X-Container-Partition: 77\r\n", &[], None);
    assert_eq!(plan.listing.iter().map(|update| update.target.clone()).collect::<Vec<_>>(), [None]);
    let gap =
        "X-Container-Host: 10.0.0.1:6201,\r\nX-Container-Device: sdc,sdd\r\nX-Container-Partition: 77\r\n";
    let targets: Vec<_> = put(gap, &[], None).listing.into_iter().map(|update| update.target).collect();
    assert_eq!(targets, [target("10.0.0.1:6201", "sdc", "77"), None]);
}

#[test]
fn too_many_servers_are_left_to_the_updater() {
    let names = |count: usize| vec!["10.0.0.1:6201"; count].join(",");
    let targets = |count: usize| {
        let (hosts, devices) = (names(count), vec!["sdc"; count].join(","));
        let container = format!(
            "X-Container-Host: {hosts}\r\nX-Container-Device: {devices}\r\nX-Container-Partition: 7\r\n"
        );
        let queue = format!(
            "X-Delete-At: 1700009999\r\nX-Delete-At-Host: {hosts}\r\nX-Delete-At-Device: {devices}\r\n\
             X-Delete-At-Partition: 5\r\nX-Delete-At-Container: 1699999999\r\n"
        );
        let plan = put(&format!("{container}{queue}"), &[], None);
        [plan.listing, plan.queue]
            .map(|updates| updates.into_iter().map(|update| update.target).collect::<Vec<_>>())
    };
    for told in targets(16) {
        assert_eq!(told.len(), 16);
        assert!(told.iter().all(Option::is_some));
    }
    assert_eq!(targets(17), [vec![None], vec![None]]);
}

#[test]
fn what_cannot_be_sent_is_not_told() {
    let asked = Asked::of("POST", CONTAINER);
    let mut posted = posted(&[("Content-Type", "text/plain")], 1_700_000_001, &[]);
    let override_of = |tail: &str| {
        HeaderName::canonical(format!("X-Object-Sysmeta-Container-Update-Override-{tail}").as_bytes())
    };
    for tail in ["A: 1\r\nX-Evil", "B C", "D\0", "E:"] {
        posted.previous.insert(override_of(tail), "1");
    }
    posted.previous.insert(override_of("Good"), "1");
    posted.previous.insert(override_of("Broken"), "1\r\nX-Evil: 1");
    posted.previous.set("ETag", "e\nX-Evil: 1");
    let plan = updates().plan_post(&asked.change(), &posted);
    let names: Vec<_> = told(&plan.listing[0]).into_iter().map(|(name, _)| name).collect();
    let expected =
        ["X-Content-Type", "X-Content-Type-Timestamp", "X-Good", "X-Meta-Timestamp", "X-Size", "X-Timestamp"];
    assert_eq!(names, expected);
}

#[test]
fn a_shard_is_told_instead_of_the_container() {
    let path = |headers: &str| {
        let plan = put(&format!("{CONTAINER}{headers}"), &[], None);
        plan.listing[0].update.container_path.clone()
    };
    let shard = |path: &str| Some(ContainerPath::parse(path.to_owned()).unwrap());
    assert_eq!(path("X-Backend-Container-Path: .shards_a/c-0\r\n"), shard(".shards_a/c-0"));
    let both =
        "X-Backend-Container-Path: x/y\r\nX-Backend-Quoted-Container-Path: .shards_a/c%20%E2%98%83\r\n";
    assert_eq!(path(both), shard(".shards_a/c \u{2603}"));
    assert_eq!(path("X-Backend-Container-Path: no-container\r\n"), None);
    // What is no text must not become another container's name.
    assert_eq!(path("X-Backend-Quoted-Container-Path: .shards_a/c%FF\r\n"), None);
}

#[test]
fn overrides_win_and_those_of_middlewares_most() {
    let headers = format!(
        "{CONTAINER}X-Backend-Container-Update-Override-Size: 1\r\nX-Backend-Container-Update-Override-Etag: e1\r\n\
         X-Object-Sysmeta-Container-Update-Override-Etag: e3\r\nX-Backend-Container-Update-Override-Foo: bar\r\n"
    );
    let footers = [
        ("X-Backend-Container-Update-Override-Size", "2"),
        ("X-Backend-Container-Update-Override-Etag", "e2"),
        ("X-Backend-Container-Update-Override-Content-Type", "a/b"),
        ("X-Object-Meta-X", "no"),
    ];
    let expected = [
        ("X-Content-Type", "a/b"),
        ("X-Etag", "e3"),
        ("X-Foo", "bar"),
        ("X-Size", "2"),
        ("X-Timestamp", "1700000005.00000"),
    ];
    assert_eq!(told(&put(&headers, &footers, None).listing[0]), pairs(&expected));
}

#[test]
fn a_post_tells_three_times() {
    let plan = post(CONTAINER, &[("Content-Type", "text/html")], 1_700_000_005, &[]);
    let expected = [
        ("X-Content-Type", "text/html;swift_bytes=900"),
        ("X-Content-Type-Timestamp", "1700000005.00000"),
        ("X-Etag", ETAG),
        ("X-Meta-Timestamp", "1700000005.00000"),
        ("X-Size", "5"),
        ("X-Timestamp", "1700000001.00000"),
    ];
    assert_eq!(told(&plan.listing[0]), pairs(&expected));
    assert_eq!(plan.listing[0].update.op, ListingOp::Put);
    // The body's own content type says so already.
    let plan = post(CONTAINER, &[("Content-Type", "text/plain;swift_bytes=900")], 1_700_000_001, &[]);
    assert_eq!(plan.listing[0].update.headers.get_str("X-Content-Type"), Some("text/plain;swift_bytes=900"));
}

#[test]
fn a_post_to_a_fragment_tells_of_the_object() {
    let sysmeta = [
        ("X-Object-Sysmeta-Ec-Etag", "of-the-object"),
        ("X-Object-Sysmeta-Ec-Content-Length", "4000"),
        ("X-Object-Sysmeta-Container-Update-Override-Etag", "of-a-middleware"),
    ];
    let now = [("Content-Type", "text/plain")];
    let headers = post(CONTAINER, &now, 1_700_000_001, &sysmeta[..2]).listing.remove(0).update.headers;
    assert_eq!((headers.get_str("X-Size"), headers.get_str("X-Etag")), (Some("4000"), Some("of-the-object")));
    let headers = post(CONTAINER, &now, 1_700_000_001, &sysmeta).listing.remove(0).update.headers;
    assert_eq!(headers.get_str("X-Etag"), Some("of-a-middleware"));
}

fn delete(headers: &str, newest: u64, previous: Option<Metadata>) -> Plan {
    let asked = Asked::of("DELETE", headers);
    let timestamp = Timestamp::from_seconds(newest);
    let written = timestamp == asked.change().timestamp;
    updates().plan_delete(&asked.change(), &Deleted { existed: true, written, timestamp, previous })
}

#[test]
fn a_delete_is_told_unless_something_newer_is_here() {
    let plan = delete(CONTAINER, 1_700_000_005, None);
    assert_eq!(plan.listing.len(), 2);
    assert_eq!(plan.listing[0].update.op, ListingOp::Delete);
    assert_eq!(told(&plan.listing[0]), pairs(&[("X-Timestamp", "1700000005.00000")]));
    assert_eq!(delete(CONTAINER, 1_700_000_006, None), Plan::default());
}

#[test]
fn an_expiry_is_queued() {
    let plan = put(QUEUE, &[], None);
    let [entry] = &plan.queue[..] else { panic!("{plan:?}") };
    assert_eq!(entry.target, target("10.0.0.3:6201", "sde", "5"));
    // The container is the proxy's; the policy of Swift's own accounts is the first.
    assert_eq!(entry.update.path.as_bytes(), b"/.expiring_objects/1699999999/1700009999-a/c/o p");
    assert_eq!(entry.update.headers.get_str("X-Backend-Storage-Policy-Index"), Some("0"));
    assert_eq!(entry.update.policy, PolicyIndex::new(2));
    let expected = [
        ("X-Content-Type", "text/plain;swift_expirer_bytes=5"),
        ("X-Content-Type-Timestamp", "1700000005.00000"),
        ("X-Etag", "d41d8cd98f00b204e9800998ecf8427e"),
        ("X-Size", "0"),
        ("X-Timestamp", "1700000005.00000"),
    ];
    assert_eq!(told(entry), pairs(&expected));
}

/// What Swift computes for this object: hash_path("a", "c", "o p") of `changeme` and `changeme`, modulo 100.
const OWN_CONTAINER: &str = "1700006331";

#[test]
fn the_queues_container_is_guessed_where_the_proxy_names_none() {
    for named in ["", "X-Delete-At-Container: soon\r\n", "X-Delete-At-Container:\r\n"] {
        let headers = QUEUE.replace("X-Delete-At-Container: 1699999999\r\n", named);
        let path = put(&headers, &[], None).queue[0].update.path.clone();
        assert_eq!(path.parts().1, OWN_CONTAINER.as_bytes(), "{named}");
    }
    let odd = QUEUE.replace("1699999999", " 5.7 ");
    assert_eq!(put(&odd, &[], None).queue[0].update.path.parts().1, b"0000000005");
}

#[test]
fn an_entry_is_queued_by_those_who_were_told() {
    let untold = QUEUE.replace("X-Delete-At-Host: 10.0.0.3:6201\r\n", "");
    assert_eq!(put(&untold, &[], None), Plan::default());
    let replicated = format!("{QUEUE}X-Backend-Replication: true\r\n");
    assert_eq!(put(&replicated, &[], None), Plan::default());
    for gone in ["X-Delete-At-Device: sde\r\n", "X-Delete-At-Partition: 5\r\n"] {
        let plan = put(&QUEUE.replace(gone, ""), &[], None);
        assert_eq!(plan.queue.iter().map(|entry| &entry.target).collect::<Vec<_>>(), [&None], "{gone}");
    }
}

#[test]
fn an_old_entry_is_taken_back_by_way_of_the_updater() {
    let expiring = || Some(metadata(&[("X-Delete-At", "1700009000")]));
    let removal = |plan: Plan| {
        let [removal] = &plan.queue[..] else { panic!("{plan:?}") };
        assert_eq!((&removal.target, removal.update.op), (&None, ListingOp::Delete));
        assert_eq!(told(removal), pairs(&[("X-Timestamp", "1700000005.00000")]));
        removal.update.path.clone()
    };
    let row = format!("/.expiring_objects/{OWN_CONTAINER}/1700009000-a/c/o p");
    assert_eq!(removal(put("", &[], expiring())).as_bytes(), row.as_bytes());
    assert_eq!(removal(delete("", 1_700_000_005, expiring())).as_bytes(), row.as_bytes());
    assert_eq!(
        removal(post("", &[], 1_700_000_001, &[("X-Delete-At", "1700009000")])).as_bytes(),
        row.as_bytes()
    );
    // A new one, and the end of the old one; the same one again.
    assert_eq!(put(QUEUE, &[], expiring()).queue.len(), 2);
    let same = Some(metadata(&[("X-Delete-At", "1700009999")]));
    assert_eq!(put(QUEUE, &[], same).queue.len(), 1);
    for refused in ["X-Backend-Clean-Expiring-Object-Queue: no\r\n", "X-Backend-Replication: yes\r\n"] {
        assert_eq!(put(refused, &[], expiring()), Plan::default(), "{refused}");
        assert_eq!(delete(refused, 1_700_000_005, expiring()), Plan::default(), "{refused}");
    }
    assert_eq!(put("X-Backend-Clean-Expiring-Object-Queue: true\r\n", &[], expiring()).queue.len(), 1);
}

#[test]
fn a_content_type_alone_changes_no_expiry() {
    let asked = [("X-Timestamp", "1700000005.00000"), ("X-Delete-At", "1700009000")];
    assert_eq!(post("", &[], 1_700_000_009, &asked).queue, []);
}

#[test]
fn times_are_brought_into_swifts_range() {
    let late = QUEUE.replace("1700009999", "99999999999");
    assert_eq!(put(&late, &[], None).queue[0].update.path.parts().2, b"9999999999-a/c/o p");
    let early = QUEUE.replace("1699999999", "-7");
    assert_eq!(put(&early, &[], None).queue[0].update.path.parts().1, b"0000000000");
}
