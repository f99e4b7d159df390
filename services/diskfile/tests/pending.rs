//! What is kept for Swift's object updater, and that it lasts.

use std::fs;

use rustix::io::Errno;
use ssync_pickle::Value;
use ssync_types::{
    ContainerPath, ListingOp, Metadata, ObjectPath, PendingUpdate, PolicyIndex, Reason, Refusal,
};

use super::bed::{Bed, CODED, WHOLE};

const DIRECTORY: &str = "async_pending/e31";
const FILE: &str = "4e2772c453cbe15a19b26fbfbb223e31-0000000005.00000";

fn update(policy: PolicyIndex) -> PendingUpdate {
    let mut headers = Metadata::new();
    headers.set("X-Timestamp", "0000000005.00000");
    headers.set("X-Content-Type", "text/caf\u{e9}");
    PendingUpdate {
        device: "sda".parse().unwrap(),
        policy,
        op: ListingOp::Put,
        path: ObjectPath::of("AUTH_test", "c", "o").unwrap(),
        headers,
        container_path: None,
        db_state: None,
    }
}

fn kept(bed: &Bed, path: &str) -> Value {
    ssync_pickle::read(&fs::read(bed.real(path)).unwrap()).unwrap()
}

#[test]
fn is_kept_under_the_hash_of_the_row_and_its_time() {
    let bed = Bed::new();
    bed.device.write_pending(&update(WHOLE)).unwrap();
    assert_eq!(bed.names(DIRECTORY), [FILE]);
    let pickle = kept(&bed, &format!("{DIRECTORY}/{FILE}"));
    for (key, value) in [("op", "PUT"), ("account", "AUTH_test"), ("container", "c"), ("obj", "o")] {
        assert_eq!(pickle.get(key), Some(&Value::text(value)), "{key}");
    }
    assert_eq!(pickle.get("db_state"), Some(&Value::None));
    assert_eq!(pickle.get("container_path"), None);
    // Each byte of a header is a character.
    let headers = pickle.get("headers").unwrap();
    assert_eq!(headers.get("X-Content-Type"), Some(&Value::text("text/caf\u{c3}\u{a9}")));
    assert_eq!(bed.names("tmp"), [""; 0]);
}

#[test]
fn the_time_of_metadata_names_the_file_and_the_policy_the_directory() {
    let bed = Bed::new();
    let mut update = update(CODED);
    update.op = ListingOp::Delete;
    update.headers.set("X-Meta-Timestamp", "6");
    update.container_path = Some(ContainerPath::parse(".shards_a/\u{2603}").unwrap());
    update.db_state = Some("sharded".into());
    bed.device.write_pending(&update).unwrap();
    assert_eq!(bed.names("async_pending-1/e31"), [FILE.replace("05.0", "06.0")]);
    let pickle = kept(&bed, &format!("async_pending-1/e31/{}", FILE.replace("05.0", "06.0")));
    assert_eq!(pickle.get("op"), Some(&Value::text("DELETE")));
    assert_eq!(pickle.get("container_path"), Some(&Value::text(".shards_a/\u{2603}")));
    assert_eq!(pickle.get("db_state"), Some(&Value::text("sharded")));
}

#[test]
fn a_later_one_of_the_same_time_replaces_it() {
    let bed = Bed::new();
    bed.device.write_pending(&update(WHOLE)).unwrap();
    let mut second = update(WHOLE);
    second.headers.set("X-Size", "7");
    bed.device.write_pending(&second).unwrap();
    assert_eq!(bed.names(DIRECTORY), [FILE]);
    let pickle = kept(&bed, &format!("{DIRECTORY}/{FILE}"));
    assert_eq!(pickle.get("headers").unwrap().get("X-Size"), Some(&Value::text("7")));
}

#[test]
fn it_is_durable_before_it_is_acknowledged() {
    let bed = Bed::new();
    bed.device.write_pending(&update(WHOLE)).unwrap();
    let log = bed.watch.take();
    let place = |operation: &str| {
        log.iter()
            .rposition(|line| line.starts_with(operation))
            .unwrap_or_else(|| panic!("no {operation} in {log:#?}"))
    };
    let renamed = place("rename async_pending/");
    assert!(place("sync tmp/") < renamed, "{log:#?}");
    for directory in [DIRECTORY, "async_pending"] {
        assert!(place(&format!("sync_dir {directory}")) > renamed, "{directory} in {log:#?}");
    }
}

#[test]
fn the_updater_may_remove_the_directory_meanwhile() {
    let bed = Bed::new();
    let directory = bed.real(DIRECTORY);
    bed.watch.before("rename async_pending/", move || fs::remove_dir(directory).unwrap());
    bed.device.write_pending(&update(WHOLE)).unwrap();
    assert_eq!(bed.names(DIRECTORY), [FILE]);
}

#[test]
fn what_fails_leaves_nothing_behind() {
    for failing in ["sync tmp/", "rename async_pending/"] {
        let bed = Bed::new();
        bed.watch.fail(failing, Errno::IO);
        let error = bed.device.write_pending(&update(WHOLE)).unwrap_err();
        assert_eq!(Refusal::from(error).reason, Reason::ObjectIo, "{failing}");
        assert_eq!(bed.names("tmp"), [""; 0], "{failing}");
        assert_eq!(bed.names(DIRECTORY), [""; 0], "{failing}");
    }
}

#[test]
fn nothing_is_kept_that_no_updater_could_deliver() {
    let bed = Bed::new();
    let mut nameless = update(WHOLE);
    nameless.path = ObjectPath::parse(&b"/a/c/\xff"[..]).unwrap();
    let mut timeless = update(WHOLE);
    timeless.headers.set("X-Timestamp", "soon");
    for bad in [nameless, timeless, update(PolicyIndex::new(7))] {
        assert!(bed.device.write_pending(&bad).is_err());
    }
    assert_eq!(bed.names(""), [""; 0]);
}
