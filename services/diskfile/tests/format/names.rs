//! Identity, times, names of files, of suffixes and of partitions.

use std::fs;

use ssync_types::{FragmentIndex, HashPathConfig, ObjectHash, ObjectPath, Suffix, Timestamp};

use super::document::{Block, Document, unescape};
use crate::{
    PolicyKind,
    name::{self, Extension, FileName},
    tests::bed::{Bed, WHOLE},
};

pub(super) fn kind_of(word: &str) -> PolicyKind {
    match word {
        "replication" => PolicyKind::Replication,
        "fragments" => PolicyKind::ErasureCoding { fragments: 6 },
        other => panic!("{other}"),
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn hash(_: &Document, block: &Block) {
    let config = HashPathConfig::new(block.args[0].as_str(), block.args[1].as_str()).unwrap();
    let power = block.args[2].parse().unwrap();
    for row in block.table() {
        let hash = config.hash(&ObjectPath::parse(unescape(row[0])).unwrap());
        let found = [hash.to_string(), hash.partition(power).to_string(), hash.suffix().to_string()];
        assert_eq!(found, row[1..], "{row:?}");
    }
}

pub(super) fn timestamps(_: &Document, block: &Block) {
    for row in block.table() {
        let read = Timestamp::parse(row[0].as_bytes()).unwrap();
        let numbers = [read.ticks().to_string(), read.offset().to_string()];
        assert_eq!(numbers, row[1..3], "{row:?}");
        assert_eq!([read.normal(), read.internal(), read.short()], row[3..], "{row:?}");
    }
}

pub(super) fn timestamps_refused(_: &Document, block: &Block) {
    for row in block.table() {
        assert!(Timestamp::parse(row[0].as_bytes()).is_err(), "{row:?}");
    }
}

pub(super) fn names(_: &Document, block: &Block) {
    for row in block.table() {
        let read = FileName::parse(row[0], kind_of(block.arg())).unwrap();
        let written = match (&read.extension, read.fragment) {
            (Extension::Data, None) => Some(name::data(read.timestamp)),
            (Extension::Data, Some(index)) => Some(name::fragment(read.timestamp, index, read.durable)),
            (Extension::Meta, _) => Some(name::meta(read.timestamp, read.content_type)),
            (Extension::Tombstone, _) => Some(name::tombstone(read.timestamp)),
            _ => None,
        };
        let kind = match (&read.extension, read.fragment) {
            (Extension::Data, None) => "body",
            (Extension::Data, Some(_)) => "fragment",
            (Extension::Meta, _) => "metadata",
            (Extension::Tombstone, _) => "tombstone",
            (Extension::Durable, _) => "mark",
            (Extension::Other(_), _) => "other",
        };
        let known = [
            kind.to_owned(),
            if written.as_deref() == Some(row[0]) { "written" } else { "read" }.to_owned(),
            read.timestamp.internal(),
            read.content_type.map_or("-".to_owned(), Timestamp::internal),
            read.fragment.map_or("-".to_owned(), |index: FragmentIndex| index.to_string()),
            if read.durable { "yes" } else { "-" }.to_owned(),
        ];
        assert_eq!(known, row[1..], "{row:?}");
    }
}

pub(super) fn names_refused(_: &Document, block: &Block) {
    for row in block.table() {
        assert_eq!(FileName::parse(row[0], kind_of(block.arg())), None, "{row:?}");
    }
}

pub(super) fn order(_: &Document, block: &Block) {
    let rows = block.table();
    assert!(rows.is_sorted_by(|a, b| a[0] < b[0]), "not in the order of bytes");
    for row in &rows {
        let kind = if row[0].contains('#') { "fragments" } else { "replication" };
        let read = FileName::parse(row[0], kind_of(kind)).unwrap();
        assert_eq!(read.timestamp.internal(), row[1], "{row:?}");
    }
    // The warning would be idle otherwise.
    assert!(!rows.is_sorted_by_key(|row| time(row[1])), "the names sort by time after all");
}

pub(super) fn suffixes(_: &Document, block: &Block) {
    for row in block.table() {
        let known = Suffix::from_name(row[0].as_bytes()).is_some();
        assert_eq!(if known { "yes" } else { "no" }, row[1], "{row:?}");
    }
}

pub(super) fn partitions(_: &Document, block: &Block) {
    let bed = Bed::new();
    for row in block.table() {
        let path = bed.real("objects").join(row[0]);
        match row[1] {
            "directory" => fs::create_dir_all(path).unwrap(),
            _ => fs::write(path, "").unwrap(),
        }
    }
    let found = bed.device.partitions(WHOLE).unwrap();
    for row in block.table() {
        let what = match row[0].parse::<u32>() {
            Ok(number) if found.partitions.iter().any(|partition| partition.get() == number) => "partition",
            _ if found.unexpected.iter().any(|name| name == row[0]) => "reported",
            _ => "skipped",
        };
        assert_eq!(what, row[2], "{row:?}");
    }
}

pub(super) fn power(document: &Document, block: &Block) {
    for row in block.table() {
        let hash: ObjectHash = row[0].parse().unwrap();
        for (power, partition) in [(row[1], row[2]), (row[3], row[4])] {
            assert_eq!(hash.partition(power.parse().unwrap()).to_string(), partition, "{row:?}");
        }
        let (old, new): (u32, u32) = (row[2].parse().unwrap(), row[4].parse().unwrap());
        assert_eq!(new / 2, old, "{row:?}");
    }
    super::device::is_linked_for_power(document);
}
