//! Which files count, what is cleaned, and the hash of a suffix.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use md5::{Digest as _, Md5};
use ssync_types::{FragmentIndex, Partition, Suffix, SuffixHash};

use super::{
    document::{Block, Document},
    names::kind_of,
};
use crate::{
    PolicyKind,
    choice::{Choice, Preference},
    digest,
    name::FileName,
    tests::bed::{Bed, CODED, WHOLE, ago},
};

/// What became of a name, in the document's words.
fn role(choice: &Choice, name: &str) -> String {
    let is = |file: &Option<FileName>| file.as_ref().is_some_and(|file| file.name == name);
    let among = |files: &[FileName]| files.iter().any(|file| file.name == name);
    let durable = choice.fragments.iter().filter(|set| Some(set.timestamp) == choice.durable);
    let words = [
        (is(&choice.data), "data"),
        (is(&choice.meta), "meta"),
        (is(&choice.content_type), "type"),
        (is(&choice.tombstone), "tombstone"),
        (durable.into_iter().any(|set| among(&set.files)), "durable"),
        (among(&choice.obsolete), "obsolete"),
        (among(&choice.stray), "stray"),
        (choice.unexpected.iter().any(|other| other == name), "unexpected"),
    ];
    let words: Vec<_> = words.into_iter().filter(|(so, _)| *so).map(|(_, word)| word).collect();
    if words.is_empty() { "kept".to_owned() } else { words.join(", ") }
}

pub(super) fn files(_: &Document, block: &Block) {
    let option = |name| {
        block.args.iter().find_map(|arg| arg.split_once('=').filter(|(key, _)| *key == name)).map(|(_, v)| v)
    };
    let preference = Preference {
        fragment: option("index").map(|index| FragmentIndex::new(index.parse().unwrap())),
        fragments: option("prefer").map(|_| &[][..]),
    };
    for case in block.cases() {
        let names: Vec<_> = case.rows.iter().map(|row| row[0].to_owned()).collect();
        let choice = Choice::of(&names, kind_of(block.arg()), preference);
        for row in &case.rows {
            assert_eq!(role(&choice, row[0]), row[1], "{}: {}", case.title, row[0]);
        }
    }
}

pub(super) fn reclaim(_: &Document, block: &Block) {
    let seconds = |text: &str| text.parse::<u64>().unwrap();
    let bed = Bed::with(|config| {
        config.reclaim_age = Duration::from_secs(seconds(&block.args[0]));
        config.commit_window = Duration::from_secs(seconds(&block.args[1]));
    });
    for row in block.table() {
        let time = ago(seconds(row[1])).internal();
        let name = match row[0] {
            "tombstone" => format!("{time}.ts"),
            "lone metadata" => format!("{time}.meta"),
            "fragment" => format!("{time}#3.data"),
            "durable fragment" => format!("{time}#3#d.data"),
            "data" => format!("{time}.data"),
            _ => "unknown".to_owned(),
        };
        let kind = kind_of(if row[0].contains("fragment") { "fragments" } else { "replication" });
        let file = bed.real("x").join(name);
        fs::create_dir(bed.real("x")).unwrap();
        let opened = fs::File::create(&file).unwrap();
        if row[2] != "-" {
            opened.set_modified(SystemTime::now() - Duration::from_secs(seconds(row[2]))).unwrap();
        }
        bed.device.clean_up(Path::new("x"), kind, Preference::default()).unwrap();
        assert_eq!(if file.exists() { "stays" } else { "goes" }, row[3], "{row:?}");
        let _ = fs::remove_dir_all(bed.real("x"));
    }
}

pub(super) fn suffix(_: &Document, block: &Block) {
    let policy = match kind_of(block.arg()) {
        PolicyKind::Replication => WHOLE,
        PolicyKind::ErasureCoding { .. } => CODED,
    };
    let (partition, suffix) = (Partition::new(312), "abc".parse::<Suffix>().unwrap());
    for case in block.cases() {
        let bed = Bed::new();
        let directory = bed.real(crate::layout::suffix(policy, partition, suffix));
        let (mut fed, mut expected) = (BTreeMap::new(), BTreeMap::new());
        for row in &case.rows {
            match row[0].split_once(' ') {
                Some(("fed", key)) => drop(fed.insert(key, row[1..].concat())),
                Some(("md5", key)) => drop(expected.insert(key, row[1].to_owned())),
                _ => {
                    let file = directory.join(row[0]);
                    fs::create_dir_all(file.parent().unwrap()).unwrap();
                    fs::write(file, "").unwrap();
                }
            }
        }
        let mut hashes = bed.device.suffix_hashes(policy, partition, &[], true).unwrap();
        let found: BTreeMap<String, String> = match hashes.remove(&suffix).unwrap() {
            SuffixHash::Replicated(hex) => BTreeMap::from([("None".to_owned(), hex)]),
            SuffixHash::Fragments(hashes) => {
                let key = |index: Option<FragmentIndex>| index.map_or("None".into(), |i| i.to_string());
                hashes.into_iter().map(|(index, hex)| (key(index), hex)).collect()
            }
            SuffixHash::Unknown => panic!("{}: cannot be read", case.title),
        };
        let texts = |map: BTreeMap<&str, String>| -> BTreeMap<String, String> {
            map.into_iter().map(|(key, text)| (key.to_owned(), text)).collect()
        };
        let expected = texts(expected);
        assert_eq!(found, expected, "{}", case.title);
        let md5 = |text: String| digest::hex(Md5::new_with_prefix(text));
        let fed: BTreeMap<_, _> = texts(fed).into_iter().map(|(key, text)| (key, md5(text))).collect();
        assert_eq!(fed, expected, "{}", case.title);
    }
}
