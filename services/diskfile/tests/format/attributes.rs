//! Extended attributes, and what they say.

use std::{ffi::OsStr, io, path::Path, sync::Mutex};

use bytes::Bytes;
use md5::{Digest as _, Md5};
use rustix::io::Errno;
use ssync_pickle::Value;
use ssync_types::{HeaderName, Metadata};

use super::{
    device::{BODY, DATA, META, TOMBSTONE, post, put},
    document::{Block, Document, hex},
};
use crate::{
    attributes::{self, Attributes},
    digest,
    disk::{DiskDir, DiskFile, OpenMode, Stat},
    layout,
    tests::bed::Bed,
};

const METADATA: &str = "user.swift.metadata";
const CHECKSUM: &str = "user.swift.metadata_checksum";

/// A file of nothing but attributes of any size: few file systems take more than one piece.
#[derive(Debug, Default)]
struct Kept(Mutex<Vec<(String, Vec<u8>)>>);

impl DiskFile for Kept {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }
    fn write_at(&self, bytes: &[u8], _: u64) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn truncate(&self) -> io::Result<()> {
        Ok(())
    }
    fn stat(&self) -> io::Result<Stat> {
        Err(Errno::NOENT.into())
    }
    fn start_sync(&self) {}
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn allocate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
    fn drop_cache(&self, _: u64, _: u64) {}
    fn attribute(&self, name: &str) -> io::Result<Vec<u8>> {
        let kept = self.0.lock().unwrap();
        let found = kept.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.clone()).ok_or_else(|| Errno::NODATA.into())
    }
    fn set_attribute(&self, name: &str, value: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().push((name.to_owned(), value.to_vec()));
        Ok(())
    }
    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }
    fn link(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn link_in(&self, _: &dyn DiskDir, _: &OsStr) -> io::Result<()> {
        Ok(())
    }
}

fn pickle_of(attributes: &Attributes) -> Vec<u8> {
    let file = Kept::default();
    attributes::write(&file, attributes).unwrap();
    file.attribute(METADATA).unwrap()
}

pub(super) fn xattr(document: &Document, block: &Block) {
    let bytes = block.bytes();
    let python2 = block.arg() == "python2";
    let says = document.metadata(if python2 { "data" } else { block.arg() });
    if !python2 {
        assert_eq!(pickle_of(&says), bytes, "what is written");
    }
    assert_eq!(ssync_pickle::written_by_python3(&bytes), !python2);
    let file = Kept::default();
    file.set_attribute(METADATA, &bytes).unwrap();
    file.set_attribute(CHECKSUM, digest::hex(Md5::new_with_prefix(&bytes)).as_bytes()).unwrap();
    assert_eq!(attributes::read(&file).unwrap(), says, "what is read");
}

pub(super) fn checksum(document: &Document, block: &Block) {
    let [expected] = &block.lines[..] else { panic!("{:?}", block.lines) };
    let pickle = pickle_of(&document.metadata(block.arg()));
    assert_eq!(digest::hex(Md5::new_with_prefix(pickle)), *expected);
}

pub(super) fn metadata(document: &Document, block: &Block) {
    let bed = Bed::new();
    put(&bed, document);
    let name = match block.arg() {
        "meta" => {
            post(&bed, document);
            META
        }
        "ts" => {
            let time = document.headers("ts").get_str("X-Timestamp").unwrap().parse().unwrap();
            bed.delete("o", time);
            TOMBSTONE
        }
        "view" => {
            post(&bed, document);
            let object = bed.object("o");
            let says = document.metadata("view");
            assert_eq!(Some(object.name.to_bytes()), says.name);
            assert_eq!(object.info.metadata, says.metadata);
            return assert_eq!(bed.body("o").unwrap(), BODY);
        }
        _ => DATA,
    };
    let file = layout::object(&bed.location("o")).join(name);
    let file = bed.device.disk.open(&file, OpenMode::Read).unwrap();
    assert_eq!(attributes::read(&*file).unwrap(), document.metadata(block.arg()));
    let checksum = &document.find("checksum", block.arg()).lines[0];
    assert_eq!(file.attribute(CHECKSUM).unwrap(), checksum.as_bytes(), "what is on the disk");
}

pub(super) fn pieces(_: &Document, block: &Block) {
    let padded = |length: usize| {
        let mut metadata = Metadata::new();
        metadata.set("X-Object-Meta-Long", "v".repeat(length));
        Attributes { name: None, metadata }
    };
    let overhead = pickle_of(&padded(1000)).len() - 1000;
    for row in block.table() {
        let total: usize = row[0].parse().unwrap();
        let file = Kept::default();
        attributes::write(&file, &padded(total - overhead)).unwrap();
        assert_eq!(attributes::read(&file).unwrap(), padded(total - overhead));
        let kept = file.0.into_inner().unwrap();
        let (checksum, pieces) = kept.split_last().unwrap();
        let pieces: Vec<_> = pieces.iter().map(|(name, value)| format!("{name} {}", value.len())).collect();
        assert_eq!(pieces, row[1..]);
        assert_eq!(checksum.0, CHECKSUM);
    }
}

pub(super) fn encode(_: &Document, block: &Block) {
    let rows = block.table();
    let step = |name: &str| rows.iter().find(|row| row[0] == name).map(|row| hex(row[1]));
    let attributes = match (step("bytes of the header"), step("bytes of the name")) {
        (Some(header), None) => {
            let mut metadata = Metadata::new();
            metadata.insert(HeaderName::from_static("X"), header);
            Attributes { name: None, metadata }
        }
        (None, Some(name)) => Attributes { name: Some(Bytes::from(name)), metadata: Metadata::new() },
        other => panic!("{other:?}"),
    };
    let pickle = pickle_of(&attributes);
    let read = ssync_pickle::read(&pickle).unwrap();
    let [(_, Value::Bytes(value))] = read.as_dict().unwrap() else { panic!("{read:?}") };
    assert_eq!(Some(value), step("value in the dict").as_ref());
    let text = step("bytes in the pickle").unwrap();
    let written = [&b"X"[..], &u32::try_from(text.len()).unwrap().to_le_bytes(), &text].concat();
    assert!(pickle.windows(written.len()).any(|window| window == written));
}
