//! What stands where on a device, what is locked, moved and linked, and in which order it is written.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use ssync_types::{FragmentIndex, Partition, Timestamp};

use super::{
    document::{Block, Document, columns},
    pending,
};
use crate::{
    DataFile, MetaFile, layout,
    tests::bed::{Bed, CODED, WHOLE, path},
};

pub(super) const BODY: &[u8] = b"hello, world";
pub(super) const DATA: &str = "1380144470.00000.data";
pub(super) const META: &str = "1380144472.22222-1b207.meta";
pub(super) const TOMBSTONE: &str = "1380144480.00000.ts";

fn time(document: &Document, of: &str, header: &str) -> Timestamp {
    document.headers(of).get_str(header).unwrap().parse().unwrap()
}

/// The document's body, with its metadata.
pub(super) fn put(bed: &Bed, document: &Document) {
    let (time, metadata) = (time(document, "data", "X-Timestamp"), document.headers("data"));
    bed.put_with("o", BODY, time, metadata).unwrap();
}

/// The document's POST.
pub(super) fn post(bed: &Bed, document: &Document) {
    let meta = MetaFile {
        timestamp: time(document, "meta", "X-Timestamp"),
        metadata: document.headers("meta"),
        content_type: Some(time(document, "meta", "Content-Type-Timestamp")),
        next_part_power: None,
    };
    bed.device.write_meta(&bed.location("o"), &path("o"), &meta).unwrap();
}

/// All that is below a directory; directories end in a slash.
fn walk(top: &Path, below: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(top.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{below}{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            walk(top, &format!("{name}/"), found);
            found.insert(format!("{name}/"));
        } else {
            found.insert(name);
        }
    }
}

pub(super) fn tree(document: &Document, block: &Block) {
    let mut drawn = BTreeSet::new();
    let mut above = Vec::new();
    for line in &block.lines {
        let row = columns(line);
        above.truncate((line.len() - line.trim_start().len()) / 2);
        above.push(row[0].to_owned());
        if !row.get(1).is_some_and(|comment| comment.starts_with('*')) {
            drawn.insert(above.concat());
        }
    }

    let bed = Bed::new();
    // The second one replaces the first, and needs a name in tmp for it.
    put(&bed, document);
    put(&bed, document);
    post(&bed, document);
    bed.put_fragment("o", time(document, "data", "X-Timestamp"), 3, true);
    bed.put("damaged", BODY, time(document, "data", "X-Timestamp"));
    let damaged = bed.location("damaged");
    bed.device.quarantine(WHOLE, &layout::object(&damaged)).unwrap();
    bed.hashes(damaged.partition);
    bed.hashes(bed.location("o").partition);
    bed.device.write_pending(&pending::update()).unwrap();
    let wait = Duration::from_millis(100);
    bed.device.lock_partition(WHOLE, bed.location("o").partition, wait).unwrap();
    let _first = bed.device.lock_device(2, wait).unwrap();
    let _second = bed.device.lock_device(2, wait).unwrap();

    let mut found = BTreeSet::new();
    walk(&bed.real(""), "", &mut found);
    assert_eq!(found, drawn);
}

pub(super) fn locks(_: &Document, block: &Block) {
    let wait = Duration::from_millis(100);
    let partition = Partition::new(312);
    for row in block.table() {
        let bed = Bed::new();
        fs::create_dir_all(bed.real("objects/312")).unwrap();
        let is_held = || {
            let file = File::open(bed.real(row[1])).unwrap();
            assert_eq!(flock(&file, FlockOperation::NonBlockingLockExclusive), Err(Errno::WOULDBLOCK));
        };
        match row[0] {
            "hashes" => {
                let _lock = bed.device.lock_hashes(Path::new("objects/312")).unwrap().unwrap();
                is_held();
            }
            "partition" => {
                let _lock = bed.device.lock_partition(WHOLE, partition, wait).unwrap();
                is_held();
            }
            slot => {
                let _first = bed.device.lock_device(2, wait).unwrap();
                let _second = (slot == "device, second").then(|| bed.device.lock_device(2, wait).unwrap());
                is_held();
            }
        }
    }
}

pub(super) fn quarantine(_: &Document, block: &Block) {
    let bed = Bed::new();
    for row in block.table() {
        fs::create_dir_all(bed.real(row[0])).unwrap();
        fs::write(bed.real(row[0]).join("f"), "").unwrap();
        let policy = if row[0].starts_with("objects-1/") { CODED } else { WHOLE };
        let to = bed.device.quarantine(policy, Path::new(row[0])).unwrap();
        let to = to.to_str().unwrap();
        match row[1].strip_suffix("<32 hex>") {
            None => assert_eq!(to, row[1]),
            Some(head) => {
                let tail = to.strip_prefix(head).unwrap();
                assert_eq!(tail.len(), 32);
                assert!(tail.bytes().all(|b| b.is_ascii_hexdigit()), "{tail}");
            }
        }
        assert!(bed.real(to).join("f").exists());
    }
}

/// A PUT while the power grows gives one file two names.
pub(super) fn is_linked_for_power(document: &Document) {
    let bed = Bed::new();
    let mut writer = bed.device.create(&bed.location("o"), &path("o"), None).unwrap();
    writer.write(BODY).unwrap();
    let file = DataFile {
        timestamp: time(document, "data", "X-Timestamp"),
        metadata: document.headers("data"),
        fragment: None::<(FragmentIndex, bool)>,
        next_part_power: Some(11),
    };
    writer.commit(file).unwrap();
    let mut found = BTreeSet::new();
    walk(&bed.real(""), "", &mut found);
    let names: Vec<_> = found.iter().filter(|name| name.ends_with(DATA)).collect();
    assert_eq!(names.len(), 2);
    let inodes: BTreeSet<_> = names.iter().map(|name| fs::metadata(bed.real(name)).unwrap().ino()).collect();
    assert_eq!(inodes.len(), 1);
}

pub(super) fn writes(document: &Document, block: &Block) {
    let bed = Bed::new();
    put(&bed, document);
    let mut steps: Vec<String> = bed.watch.take().iter().filter_map(|call| step(call)).collect();
    // An attribute for each piece, and one for the checksum.
    steps.dedup_by(|a, b| a == b && a == "set the attributes");
    if block.arg() == "ssync" {
        assert_eq!(steps, block.lines);
    } else {
        // What stock Swift does is for its own test; that this does no less is for this one.
        for line in &block.lines {
            assert!(steps.contains(line), "{line}");
        }
    }
}

/// A call in the document's words, where it is about order.
fn step(call: &str) -> Option<String> {
    let (operation, path) = call.split_once(' ')?;
    let note = path.ends_with("hashes.invalid");
    Some(match operation {
        "set_attribute" => "set the attributes".to_owned(),
        "write" if note => "note in hashes.invalid".to_owned(),
        "sync" if note => "flush the note".to_owned(),
        "sync" => "flush the file".to_owned(),
        "link" => "link the file".to_owned(),
        "sync_dir" => {
            let level = Path::new(path).components().count();
            let directory = ["device", "objects", "partition", "suffix", "object"][level];
            format!("flush the {directory} directory")
        }
        _ => return None,
    })
}
