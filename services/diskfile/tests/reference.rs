//! The reference of the rules that the search in `services/protocol/removal/model` uses is what this crate does.

use ssync_types::{ObjectHash, ObjectKind, Offer, Timestamp};

#[path = "../../protocol/removal/model/directory.rs"]
#[allow(dead_code, reason = "the search uses more of it")]
mod directory;

use self::directory::{Names, Standing, Version};
use crate::{
    Confirmation, PolicyKind,
    choice::{Choice, Preference},
    confirm::compare,
    name,
};

/// Times 0 to 2 of three kinds of files.
const TIMES: u8 = 3;

fn at(time: u8) -> Timestamp {
    Timestamp::from_seconds(100 + u64::from(time))
}

fn each(times: u8) -> impl Iterator<Item = Timestamp> {
    (0..TIMES).filter(move |time| times & 1 << time != 0).map(at)
}

fn files(names: Names) -> Vec<String> {
    let data = each(names.data).map(name::data);
    let meta = each(names.meta).map(|time| name::meta(time, None));
    let mut files: Vec<_> = data.chain(meta).chain(each(names.tombstone).map(name::tombstone)).collect();
    files.sort();
    files
}

#[test]
fn which_files_count() {
    let all = 1_u16 << (3 * TIMES);
    let part = |bits: u16, place: u8| (bits >> (place * TIMES)) as u8 & ((1 << TIMES) - 1);
    for bits in 0..all {
        let names = Names { data: part(bits, 0), meta: part(bits, 1), tombstone: part(bits, 2) };
        let choice = Choice::of(&files(names), PolicyKind::Replication, Preference::default());
        let mut kept = files(names);
        kept.retain(|name| !choice.obsolete.iter().any(|file| file.name == *name));
        assert_eq!(kept, files(names.settled()), "{names:?}");
        let version = match (&choice.data, &choice.tombstone) {
            (Some(data), _) => {
                let metadata = choice.meta.as_ref().map_or(data.timestamp, |meta| meta.timestamp);
                Some((ObjectKind::Data, data.timestamp, metadata))
            }
            (None, tombstone) => {
                tombstone.as_ref().map(|file| (ObjectKind::Tombstone, file.timestamp, file.timestamp))
            }
        };
        let expected = names.version().map(|version| match version {
            Version::Data { data, metadata } => (ObjectKind::Data, at(data), at(metadata)),
            Version::Tombstone(time) => (ObjectKind::Tombstone, at(time), at(time)),
        });
        assert_eq!(version, expected, "{names:?}");
    }
}

#[test]
fn what_stands_against_an_offer() {
    let bodies =
        (0..TIMES).flat_map(|data| (data..TIMES).map(move |metadata| Version::Data { data, metadata }));
    let versions: Vec<_> = bodies.chain((0..TIMES).map(Version::Tombstone)).collect();
    for own in &versions {
        for offered in &versions {
            let expected = match own.against(*offered) {
                Standing::Same => Confirmation::Confirmed,
                Standing::Newer(time) => Confirmation::Superseded(at(time)),
                Standing::Lacking => Confirmation::Lacking,
            };
            assert_eq!(compare(&offer(*own), &offer(*offered)), expected, "{own:?} against {offered:?}");
        }
    }
}

fn offer(version: Version) -> Offer {
    let hash = ObjectHash::from_bytes([1; 16]);
    match version {
        Version::Tombstone(time) => Offer::of_one_time(hash, at(time), Some(ObjectKind::Tombstone)),
        Version::Data { data, metadata } => {
            let body = Offer::of_one_time(hash, at(data), Some(ObjectKind::Data));
            Offer { metadata: at(metadata), ..body }
        }
    }
}
