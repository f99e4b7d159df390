//! The lines of the log of removals: text, so that operators can grep it for a hash.
//!
//! ```text
//! 1700000000.00000 removing 43b598753b11d9b4af67a5d5646e7b03 policy=0 partition=4 kind=data data=1380144470.00000
//!     by=10.0.0.7:6200/sdb1=confirmed,10.0.0.8:6200/sdc1=superseded@1380144471.00000 ring=5d41.. path=/a/c/o .
//! 1700000000.00000 kept 43b598753b11d9b4af67a5d5646e7b03 .
//! 1700000000.00000 failed 0c0f0e3b0f1f6a2c8f2d4d6e8a1b3c5d .
//! 1700000000.00000 done .
//! ```
//!
//! (The first is one line.) A line counts if it ends with its full stop: what a crash has cut does not.

use std::fmt::Write as _;

use ssync_types::{
    Assurance, Certainty, DeviceName, ObjectHash, ObjectKind, ObjectPath, Offer, Primary, ReleaseItem,
    ReleaseOpen, Removal, Timestamp,
};

/// Longest line that is read; what is written is shorter.
pub(super) const LINE_BYTES_MAX: usize = 96 * 1024;
/// Most bytes of an address, or of a device's name, of somebody else.
const TEXT_BYTES_MAX: usize = 128;

/// What a line of the log says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// An object is about to go.
    Begun(Box<Removal>),
    /// It stayed.
    Kept(Timestamp),
    /// It went wrong, and is not certain.
    Failed(Timestamp),
    /// All that began at this time has come to its end.
    Done(Timestamp),
}

pub(super) fn begun(at: Timestamp, open: &ReleaseOpen, item: &ReleaseItem, name: Option<&[u8]>) -> String {
    let offer = &item.offer;
    let kind = match offer.kind {
        Some(ObjectKind::Data) => "data",
        Some(ObjectKind::Tombstone) => "tombstone",
        None => "unknown",
    };
    let (policy, partition) = (open.partition.policy, open.partition.partition);
    let mut line = format!(
        "{} removing {} policy={policy} partition={partition} kind={kind} data={}",
        at.normal(),
        offer.hash,
        offer.data
    );
    for (key, time) in [("meta", offer.metadata), ("type", offer.content_type)] {
        if time != offer.data {
            let _ = write!(line, " {key}={time}");
        }
    }
    let _ = write!(line, " by={}", confirmations(open, item));
    if let Some(digest) = &open.ring_digest {
        line.push_str(" ring=");
        for byte in digest {
            let _ = write!(line, "{byte:02x}");
        }
    }
    if let Some(name) = name {
        let _ = write!(line, " path={}", quoted(name, b"/"));
    }
    line.push_str(" .\n");
    line
}

pub(super) fn kept(at: Timestamp, hash: &ObjectHash) -> String {
    format!("{} kept {hash} .\n", at.normal())
}

pub(super) fn failed(at: Timestamp, hash: &ObjectHash) -> String {
    format!("{} failed {hash} .\n", at.normal())
}

pub(super) fn done(at: Timestamp) -> String {
    format!("{} done .\n", at.normal())
}

fn confirmations(open: &ReleaseOpen, item: &ReleaseItem) -> String {
    let mut text = String::new();
    for confirmed in &item.confirmed_by {
        let Some(primary) = open.primaries.get(confirmed.primary) else { continue };
        let separator = if text.is_empty() { "" } else { "," };
        let (address, device) = (cut(&primary.address), cut(&primary.device));
        let _ = write!(text, "{separator}{}/{}=", quoted(address, b":[]"), quoted(device, b""));
        match confirmed.assurance {
            Assurance::Applied => text.push_str("applied"),
            Assurance::Confirmed => text.push_str("confirmed"),
            Assurance::Superseded(time) => {
                let _ = write!(text, "superseded@{time}");
            }
        }
    }
    text
}

fn cut(text: &str) -> &[u8] {
    let bytes = text.as_bytes();
    bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes)
}

/// What a line says of an object; `None` for one of another object, and for one that is cut or not understood.
pub(super) fn parse(line: &[u8], hash: &ObjectHash, device: &DeviceName) -> Option<Line> {
    parse_of(line, Some(hash), device).map(|(_, line)| line)
}

/// As [`parse`], of any object where none is given; with the object's hash, where the line is of one.
pub(super) fn parse_of(
    line: &[u8],
    hash: Option<&ObjectHash>,
    device: &DeviceName,
) -> Option<(Option<ObjectHash>, Line)> {
    let (at, rest) = split(line, b' ')?;
    let said = rest.strip_suffix(b" .")?;
    if said == b"done" {
        return Some((None, Line::Done(Timestamp::parse(at).ok()?)));
    }
    // Most lines are of other objects, and end here.
    let (verb, said) = split(said, b' ')?;
    let (found, fields) = split(said, b' ').unwrap_or((said, b""));
    let found: ObjectHash = std::str::from_utf8(found).ok()?.parse().ok()?;
    if hash.is_some_and(|hash| found != *hash) {
        return None;
    }
    let at = Timestamp::parse(at).ok()?;
    let line = match verb {
        b"kept" => Line::Kept(at),
        b"failed" => Line::Failed(at),
        b"removing" => Line::Begun(Box::new(removal(at, found, device, fields)?)),
        _ => return None,
    };
    Some((Some(found), line))
}

fn removal(at: Timestamp, hash: ObjectHash, device: &DeviceName, fields: &[u8]) -> Option<Removal> {
    let field = |key: &[u8]| {
        let mut fields = fields.split(|&byte| byte == b' ');
        fields.find_map(|field| field.strip_prefix(key)?.strip_prefix(b"="))
    };
    let text = |key| std::str::from_utf8(field(key)?).ok();
    let number = |key| text(key)?.parse::<u32>().ok();
    let data = Timestamp::parse(field(b"data")?).ok()?;
    let time = |key| field(key).map_or(Some(data), |text| Timestamp::parse(text).ok());
    let kind = match field(b"kind")? {
        b"data" => Some(ObjectKind::Data),
        b"tombstone" => Some(ObjectKind::Tombstone),
        _ => None,
    };
    Some(Removal {
        at,
        device: device.clone(),
        policy: ssync_types::PolicyIndex::new(number(b"policy")?),
        partition: ssync_types::Partition::new(number(b"partition")?),
        offer: Offer {
            hash,
            data,
            metadata: time(b"meta")?,
            content_type: time(b"type")?,
            kind,
            durable: true,
        },
        path: field(b"path").and_then(|path| ObjectPath::parse(unquoted(path)).ok()),
        confirmed_by: field(b"by")?.split(|&byte| byte == b',').filter_map(confirmation).collect(),
        ring_digest: text(b"ring").and_then(unhexed),
        certainty: Certainty::Begun,
    })
}

fn confirmation(text: &[u8]) -> Option<(Primary, Assurance)> {
    let (primary, assurance) = split(text, b'=')?;
    let (address, device) = split(primary, b'/')?;
    let assurance = match assurance {
        b"applied" => Assurance::Applied,
        b"confirmed" => Assurance::Confirmed,
        other => Assurance::Superseded(Timestamp::parse(other.strip_prefix(b"superseded@")?).ok()?),
    };
    let text = |quoted| String::from_utf8_lossy(&unquoted(quoted)).into_owned();
    Some((Primary { address: text(address), device: text(device) }, assurance))
}

fn split(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let place = text.iter().position(|&byte| byte == separator)?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

/// Percent-encoded, but for letters, digits, `-`, `.`, `_`, `~` and what is `safe`: nothing that a terminal or a line of
/// fields would take for something else.
fn quoted(bytes: &[u8], safe: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || safe.contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

fn unquoted(text: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((&byte, after)) = rest.split_first() {
        let escaped =
            (byte == b'%').then(|| std::str::from_utf8(after.get(..2)?).ok().and_then(hex_byte)).flatten();
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    bytes
}

fn unhexed(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2).and_then(hex_byte))
        .collect()
}

fn hex_byte(digits: &str) -> Option<u8> {
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use ssync_types::{Confirmed, Partition, PartitionRef, PolicyIndex};

    use super::*;

    const HASH: &str = "4e2772c453cbe15a19b26fbfbb223e31";

    fn open() -> ReleaseOpen {
        let primary =
            |address: &str, device: &str| Primary { address: address.into(), device: device.into() };
        ReleaseOpen {
            partition: PartitionRef {
                device: "sdb1".parse().unwrap(),
                partition: Partition::new(312),
                policy: PolicyIndex::new(2),
                fragment: None,
            },
            ring_digest: Some(vec![0, 0xab, 0xff]),
            primaries: vec![
                primary("10.0.0.7:6200", "d 1"),
                primary("[fd00::7]:6200", "d=2,/"),
                primary("x", "y"),
            ],
        }
    }

    fn item() -> ReleaseItem {
        let at = Timestamp::from_seconds;
        let confirmed = |primary, assurance| Confirmed { primary, assurance };
        ReleaseItem {
            offer: Offer {
                metadata: Timestamp::new(5, 255).unwrap(),
                ..Offer::of_one_time(HASH.parse().unwrap(), at(3), Some(ObjectKind::Data))
            },
            files: Vec::new(),
            confirmed_by: vec![
                confirmed(0, Assurance::Applied),
                confirmed(1, Assurance::Superseded(at(9))),
                confirmed(2, Assurance::Confirmed),
            ],
        }
    }

    fn read(line: &str) -> Option<Line> {
        parse(
            line.strip_suffix('\n').unwrap_or(line).as_bytes(),
            &HASH.parse().unwrap(),
            &"sdb1".parse().unwrap(),
        )
    }

    #[test]
    fn what_is_written_is_read() {
        let (open, item) = (open(), item());
        let name = "/a/c/o b\n=%\u{e4}\u{7f}".as_bytes();
        let line = begun(Timestamp::from_seconds(1), &open, &item, Some(name));
        assert!(line.ends_with(" .\n") && line.matches('\n').count() == 1 && line.is_ascii(), "{line}");
        let Some(Line::Begun(removal)) = read(&line) else { panic!("{line}") };
        assert_eq!(removal.at, Timestamp::from_seconds(1));
        assert_eq!((removal.policy, removal.partition), (open.partition.policy, open.partition.partition));
        assert_eq!(removal.offer, item.offer);
        assert_eq!(removal.path.unwrap().as_bytes(), name);
        assert_eq!(removal.ring_digest, open.ring_digest);
        let by: Vec<_> =
            open.primaries.into_iter().zip(item.confirmed_by.iter().map(|by| by.assurance)).collect();
        assert_eq!(removal.confirmed_by, by);
        let hash = HASH.parse().unwrap();
        assert_eq!(
            read(&kept(Timestamp::from_seconds(1), &hash)),
            Some(Line::Kept(Timestamp::from_seconds(1)))
        );
        assert_eq!(
            read(&failed(Timestamp::from_seconds(1), &hash)),
            Some(Line::Failed(Timestamp::from_seconds(1)))
        );
        assert_eq!(read(&done(Timestamp::from_seconds(1))), Some(Line::Done(Timestamp::from_seconds(1))));
    }

    #[test]
    fn a_line_that_was_cut_anywhere_says_nothing() {
        let at = Timestamp::from_seconds(1);
        for line in [begun(at, &open(), &item(), Some(b"/a/c/o")), kept(at, &HASH.parse().unwrap()), done(at)]
        {
            let whole = line.trim_end();
            assert!(read(whole).is_some());
            for end in 0..whole.len() {
                assert_eq!(read(&whole[..end]), None, "{}", &whole[..end]);
            }
        }
    }

    #[test]
    fn lines_of_others_and_of_no_sense_say_nothing() {
        for line in [
            "",
            " .",
            "x done .",
            "1.0 removing 00000000000000000000000000000000 policy=0 .",
            "1700000000.00000 removing 4e2772c453cbe15a19b26fbfbb223e31 policy=0 .",
            "1700000000.00000 removing 4e2772c453cbe15a19b26fbfbb223e31 policy=x partition=1 kind=data data=1.0 by= .",
            "1700000000.00000 lost 4e2772c453cbe15a19b26fbfbb223e31 .",
            "\0\0\0\0",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn the_longest_line_is_read() {
        let primary = Primary { address: "\u{1}".repeat(1024), device: "\u{1}".repeat(1024) };
        let open = ReleaseOpen { primaries: vec![primary; ReleaseOpen::PRIMARIES_MAX], ..open() };
        let time = Timestamp::new(1 << 48, u64::MAX).unwrap();
        let by = |primary| Confirmed { primary, assurance: Assurance::Superseded(time) };
        let item = ReleaseItem { confirmed_by: (0..ReleaseOpen::PRIMARIES_MAX).map(by).collect(), ..item() };
        let name = [b"/a/c/".to_vec(), vec![1; 8192]].concat();
        let line = begun(Timestamp::from_seconds(1), &open, &item, Some(&name));
        assert!(line.len() <= LINE_BYTES_MAX, "{}", line.len());
    }
}
