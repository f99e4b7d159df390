//! `hashes.pkl` and `hashes.invalid`.

use std::{collections::BTreeMap, fs, path::Path};

use ssync_pickle::Value;
use ssync_types::{FragmentIndex, Suffix, SuffixHash, Timestamp};

use super::document::{Block, Document};
use crate::{hashes::Hashes, tests::bed::Bed};

const PARTITION: &str = "objects/312";
/// The time that `updated` holds, from the end: SETITEMS and STOP come after it.
const UPDATED: std::ops::Range<usize> = 2..10;

/// A device with an empty partition.
fn bed() -> Bed {
    let bed = Bed::new();
    fs::create_dir_all(bed.real(PARTITION)).unwrap();
    bed
}

/// What a `hashes-say` block says.
fn said(block: &Block) -> Hashes {
    let mut hashes = Hashes::unknown();
    let mut fragments = BTreeMap::<Suffix, BTreeMap<Option<FragmentIndex>, String>>::new();
    for row in block.table() {
        match row[..] {
            ["valid", value] => hashes.valid = value == "True",
            ["updated", value] => hashes.updated = value.parse().unwrap(),
            [suffix, "None"] => drop(hashes.suffixes.insert(suffix.parse().unwrap(), None)),
            [suffix, hash] => {
                let hash = SuffixHash::Replicated(hash.to_owned());
                hashes.suffixes.insert(suffix.parse().unwrap(), Some(hash));
            }
            [suffix, index, hash] => {
                let index = (index != "None").then(|| FragmentIndex::new(index.parse().unwrap()));
                fragments.entry(suffix.parse().unwrap()).or_default().insert(index, hash.to_owned());
            }
            ref other => panic!("{other:?}"),
        }
    }
    hashes
        .suffixes
        .extend(fragments.into_iter().map(|(suffix, hashes)| (suffix, Some(SuffixHash::Fragments(hashes)))));
    hashes
}

/// The document's bytes and its words are the same thing.
fn holds(dump: &Block, words: &Block) {
    let (bytes, says) = (dump.bytes(), said(words));
    let bed = bed();
    let file = bed.real(PARTITION).join("hashes.pkl");
    fs::write(&file, &bytes).unwrap();
    assert_eq!(bed.device.read_hashes(Path::new(PARTITION)), says, "what is read");
    bed.device.write_hashes(Path::new(PARTITION), &mut says.clone()).unwrap();
    let written = fs::read(&file).unwrap();
    assert_eq!(written.len(), bytes.len(), "what is written");
    // The writer puts its own time there.
    let timeless = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let end = bytes.len();
        bytes[end - UPDATED.end..end - UPDATED.start].fill(0);
        bytes
    };
    assert_eq!(timeless(&written), timeless(&bytes), "what is written");
}

pub(super) fn hashes(document: &Document, block: &Block) {
    holds(block, document.find("hashes-say", block.arg()));
}

pub(super) fn hashes_say(document: &Document, block: &Block) {
    holds(document.find("hashes", block.arg()), block);
}

pub(super) fn keys(_: &Document, block: &Block) {
    for row in block.table() {
        let bed = bed();
        let pairs = vec![
            (Value::text("abc"), Value::text("3e9785500a5fa2e1d89a06987beeee58")),
            (Value::text(row[0]), Value::None),
        ];
        fs::write(bed.real(PARTITION).join("hashes.pkl"), ssync_pickle::write(&Value::Dict(pairs))).unwrap();
        let read = bed.device.read_hashes(Path::new(PARTITION)).valid;
        assert_eq!(if read { "read" } else { "all unknown" }, row[1], "{row:?}");
    }
}

pub(super) fn invalid(document: &Document, block: &Block) {
    let bed = Bed::new();
    let time: Timestamp = document.headers("data").get_str("X-Timestamp").unwrap().parse().unwrap();
    bed.put("o", b"first", time);
    bed.put("o", b"second", time.shifted(1, 0).unwrap());
    assert_eq!(bed.notes("o").as_bytes(), block.bytes());
}

pub(super) fn notes(_: &Document, block: &Block) {
    let bed = bed();
    let mut before = Hashes { valid: true, ..Hashes::unknown() };
    bed.device.write_hashes(Path::new(PARTITION), &mut before).unwrap();
    let file = bed.real(PARTITION).join("hashes.invalid");
    let lines: String = block.table().iter().map(|row| format!("{}\n", row[0])).collect();
    fs::write(&file, lines).unwrap();
    let hashes = bed.device.consolidate(Path::new(PARTITION)).unwrap().unwrap();
    for row in block.table() {
        let stale = row[0].parse().is_ok_and(|suffix: Suffix| hashes.suffixes.get(&suffix) == Some(&None));
        assert_eq!(if stale { "stale" } else { "skipped" }, row[1], "{row:?}");
    }
    assert_eq!(fs::read(file).unwrap(), b"", "notes that were taken over");
}
