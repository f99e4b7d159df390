//! What holds for any bytes that a disk may give, checked by the fuzz targets and by a test of their corpora (tests/fuzz).

use ssync_types::{FragmentIndex, Suffix, Timestamp};

use crate::{
    PolicyKind, attributes,
    hashes::{self, Hashes},
    name::{self, Extension, FileName},
};

const FRAGMENTS: u16 = 14;
const KINDS: [PolicyKind; 2] = [PolicyKind::Replication, PolicyKind::ErasureCoding { fragments: FRAGMENTS }];
/// Ticks are below this.
const TICKS_END: u64 = 1_000_000_000_000_000;

/// A name that is understood is printed as one that is understood alike, and printed the same again. Names of one kind are
/// in the order of their times. The input is two names, or more, one a line.
pub fn file_name(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut parsed = Vec::new();
    for line in text.lines().take(4) {
        // Whatever it is, it is answered.
        let _ = name::is_rsync_temporary(line);
        for kind in KINDS {
            let Some(name) = FileName::parse(line, kind) else { continue };
            let Some(printed) = print(&name) else { continue };
            let again = FileName::parse(&printed, kind).expect("a name that we print");
            assert_eq!(print(&again).as_ref(), Some(&printed), "from {line:?}");
            assert_eq!(again, FileName { name: printed, ..name.clone() }, "from {line:?}");
            parsed.push(name);
        }
    }
    for (a, b) in parsed.iter().zip(parsed.iter().skip(1)) {
        // The offset in a name with the time of a content type is not padded, so such names are in no order.
        let in_order = a.extension == b.extension && [a, b].iter().all(|name| name.content_type.is_none());
        if in_order && a.timestamp < b.timestamp {
            assert!(print(a) < print(b), "{a:?} does not come before {b:?}");
        }
    }
}

/// The name that Swift would give a file of which this is known; `None` for one that it never makes.
fn print(parsed: &FileName) -> Option<String> {
    let time = parsed.timestamp;
    Some(match (&parsed.extension, parsed.fragment) {
        (Extension::Data, None) => name::data(time),
        (Extension::Data, Some(index)) => name::fragment(time, index, parsed.durable),
        (Extension::Meta, _) => name::meta(time, parsed.content_type),
        (Extension::Tombstone, _) => name::tombstone(time),
        (Extension::Durable, _) => format!("{}.durable", time.internal()),
        (Extension::Other(_), _) => return None,
    })
}

/// A time that we print is read as the same time, in names too, and texts are in the order of the times. The input is two
/// texts, one a line; its bytes are taken for times as well.
pub fn timestamp(data: &[u8]) {
    let mut times: Vec<_> =
        data.split(|b| *b == b'\n').take(4).filter_map(|line| Timestamp::parse(line).ok()).collect();
    for digits in data.as_chunks::<16>().0.iter().take(4) {
        let number = u128::from_le_bytes(*digits);
        let (ticks, offset) = ((number as u64) % TICKS_END, (number >> 64) as u64);
        times.push(Timestamp::new(ticks, offset).expect("a time within the range"));
    }
    for &time in &times {
        assert_eq!(Timestamp::parse(time.internal().as_bytes()).ok(), Some(time));
        assert_eq!(Timestamp::parse(time.short().as_bytes()).ok(), Some(time));
        assert_eq!(Timestamp::parse(time.normal().as_bytes()).ok(), Some(time.without_offset()));
        let index = FragmentIndex::new((time.ticks() % u64::from(FRAGMENTS)) as u16);
        let [whole, coded] = KINDS;
        let parse = |text: &str, kind| FileName::parse(text, kind).expect("a name that we print");
        assert_eq!(parse(&name::data(time), whole).timestamp, time);
        let fragment = parse(&name::fragment(time, index, time.offset() % 2 == 0), coded);
        assert_eq!((fragment.timestamp, fragment.fragment), (time, Some(index)));
        assert_eq!(fragment.durable, time.offset() % 2 == 0);
    }
    for (&a, &b) in times.iter().zip(times.iter().skip(1)) {
        assert_eq!(a.cmp(&b), a.internal().cmp(&b.internal()));
        let [whole, _] = KINDS;
        let meta = FileName::parse(&name::meta(a, Some(b)), whole).expect("a name that we print");
        // The offset of a content type's time is not in the name.
        let content_type = if a.ticks() == b.ticks() { a } else { b.without_offset() };
        assert_eq!((meta.timestamp, meta.content_type), (a, Some(content_type)));
    }
}

/// `hashes.pkl`: what is understood is written, read as the same, and written the same again.
pub fn hashes(data: &[u8]) {
    let decoded = Hashes::decode(data);
    assert!(decoded.suffixes.len() <= Suffix::COUNT);
    let encoded = decoded.encode();
    let again = Hashes::decode(&encoded);
    assert_eq!(again.valid, decoded.valid);
    assert_eq!(again.updated.to_bits(), decoded.updated.to_bits());
    assert_eq!(again.suffixes, decoded.suffixes);
    assert_eq!(again.encode(), encoded);
}

/// `hashes.invalid`: no damage before a note takes it away, and no note is taken away by one after it.
pub fn notes(data: &[u8]) {
    let before = hashes::stale(data);
    assert!(before.len() <= Suffix::COUNT);
    let note = Suffix::from_low_bits(
        data.iter().fold(0, |sum: u16, &b| sum.wrapping_mul(31).wrapping_add(b.into())),
    );
    let followed = [data, format!("{note}\n").as_bytes()].concat();
    let after = hashes::stale(&followed);
    assert!(after.contains(&note), "{note} is lost after {data:?}");
    // What has not ended in a line feed may not be whole.
    let ended = data.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let whole = hashes::stale(data.get(..ended).unwrap_or_default());
    assert!(whole.is_subset(&after));
    assert!(after.len() <= whole.len() + 1, "{after:?} has more than one note more than {whole:?}");
}

/// The pickle of metadata: what is understood is written, by which it is Python 3's, and read as the same.
pub fn attributes(data: &[u8]) {
    let Ok(decoded) = attributes::decode(data) else { return };
    // Nobody writes a header without a name. Of it Swift, too, would take its own pickle for Python 2's.
    if decoded.metadata.iter().any(|(name, _)| name.as_bytes().is_empty()) {
        return;
    }
    let encoded = attributes::encode(&decoded);
    let again = attributes::decode(&encoded).expect("metadata that we write");
    assert_eq!(again, decoded);
    assert_eq!(attributes::encode(&again), encoded);
}

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;

#[cfg(test)]
#[test]
fn corpora() {
    replay::replay("file_name", file_name);
    replay::replay("timestamp", timestamp);
    replay::replay("hashes", hashes);
    replay::replay("notes", notes);
    replay::replay("attributes", attributes);
}
