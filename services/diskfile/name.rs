//! Names of an object's files (Swift: diskfile.py make_on_disk_filename and parse_on_disk_filename).

use ssync_types::{FragmentIndex, Timestamp, python_integer};

use crate::PolicyKind;

/// What follows the last dot of a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extension {
    /// A body.
    Data,
    /// Metadata of a POST.
    Meta,
    /// A tombstone.
    Tombstone,
    /// A durable mark as a file of its own: before Swift 2.11.
    Durable,
    /// With a time before it, but of no use. It grows obsolete like the others.
    Other(String),
}

impl Extension {
    fn of(text: &str) -> Self {
        match text {
            ".data" => Self::Data,
            ".meta" => Self::Meta,
            ".ts" => Self::Tombstone,
            ".durable" => Self::Durable,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// A name, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileName {
    pub(crate) name: String,
    pub(crate) timestamp: Timestamp,
    pub(crate) extension: Extension,
    /// `.meta`: the time of the content type, where the name says one.
    pub(crate) content_type: Option<Timestamp>,
    /// Erasure-coded `.data`: which fragment.
    pub(crate) fragment: Option<FragmentIndex>,
    /// Erasure-coded `.data`: whether the name has the durable mark.
    pub(crate) durable: bool,
}

impl FileName {
    /// Understands a name; `None` for one that this policy does not have.
    pub(crate) fn parse(name: &str, kind: PolicyKind) -> Option<Self> {
        let (stem, extension) = split_extension(name);
        let mut parsed = Self {
            name: name.to_owned(),
            timestamp: Timestamp::ZERO,
            extension: Extension::of(extension),
            content_type: None,
            fragment: None,
            durable: false,
        };
        match (&parsed.extension, kind) {
            (Extension::Data, PolicyKind::ErasureCoding { fragments }) => {
                let mut parts = stem.split('#');
                parsed.timestamp = timestamp(parts.next()?)?;
                parsed.fragment = Some(fragment_index(parts.next()?, fragments)?);
                parsed.durable = parts.next() == Some("d");
            }
            (Extension::Meta, _) => (parsed.timestamp, parsed.content_type) = decode_times(stem)?,
            _ => parsed.timestamp = timestamp(stem)?,
        }
        Some(parsed)
    }
}

/// The name of a whole body.
pub(crate) fn data(timestamp: Timestamp) -> String {
    format!("{}.data", timestamp.internal())
}

/// The name of a fragment.
pub(crate) fn fragment(timestamp: Timestamp, fragment: FragmentIndex, durable: bool) -> String {
    format!("{}#{fragment}{}.data", timestamp.internal(), if durable { "#d" } else { "" })
}

/// The name of a tombstone.
pub(crate) fn tombstone(timestamp: Timestamp) -> String {
    format!("{}.ts", timestamp.internal())
}

/// The name of a POST's metadata. The time of a content type goes into the name, so that two POSTs of one time with
/// different content types are two files.
pub(crate) fn meta(timestamp: Timestamp, content_type: Option<Timestamp>) -> String {
    match content_type {
        None => format!("{}.meta", timestamp.internal()),
        Some(content_type) => {
            let delta = content_type.ticks_since(timestamp);
            let sign = if delta < 0 { '-' } else { '+' };
            format!("{}{sign}{:x}.meta", timestamp.short(), delta.unsigned_abs())
        }
    }
}

/// Whether it looks like a file that rsync has not finished: `.name.XXXXXX`.
pub(crate) fn is_rsync_temporary(name: &str) -> bool {
    let Some((head, tail)) = name.strip_prefix('.').and_then(|rest| rest.rsplit_once('.')) else {
        return false;
    };
    !head.is_empty() && tail.len() == 6 && tail.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// As Python's splitext: dots at the beginning begin no extension.
fn split_extension(name: &str) -> (&str, &str) {
    let leading = name.len() - name.trim_start_matches('.').len();
    match name.rfind('.') {
        Some(dot) if dot >= leading => name.split_at(dot),
        _ => (name, ""),
    }
}

fn timestamp(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text.as_bytes()).ok()
}

fn fragment_index(text: &str, fragments: u16) -> Option<FragmentIndex> {
    let index = u16::try_from(python_integer(text, 10)?).ok()?;
    (index < fragments).then_some(FragmentIndex::new(index))
}

/// What goes before a difference of times.
const SIGNS: [char; 2] = ['+', '-'];

/// A time, and with a signed difference in hex the time of a content type (Swift: timestamp.py decode_timestamps).
fn decode_times(stem: &str) -> Option<(Timestamp, Option<Timestamp>)> {
    let Some(at) = stem.find(SIGNS) else { return Some((timestamp(stem)?, None)) };
    let (time, rest) = stem.split_at(at);
    let time = timestamp(time)?;
    let (content_type, rest) = next_time(time, rest)?;
    // A third time, as a container's database has it, must be one; what comes after it Swift does not look at.
    if !rest.is_empty() {
        next_time(content_type, rest)?;
    }
    Some((time, Some(content_type)))
}

/// The time that is a signed difference after another, and what follows the difference.
fn next_time(previous: Timestamp, text: &str) -> Option<(Timestamp, &str)> {
    let digits = text.get(1..)?;
    let (digits, rest) = digits.split_at(digits.find(SIGNS).unwrap_or(digits.len()));
    let time = match python_integer(digits, 16)? {
        0 => previous,
        delta => previous.shifted(if text.starts_with('-') { -delta } else { delta }, 0).ok()?,
    };
    Some((time, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: PolicyKind = PolicyKind::Replication;
    const CODED: PolicyKind = PolicyKind::ErasureCoding { fragments: 6 };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn writes_meta_names_as_swift_does() {
        let time = at("1380144472.22222");
        assert_eq!(meta(time, Some(at("1380144471.11111"))), "1380144472.22222-1b207.meta");
        assert_eq!(meta(time, Some(time)), "1380144472.22222+0.meta");
        assert_eq!(meta(time, None), "1380144472.22222.meta");
        assert_eq!(
            meta(at("1380144472.22222_abc"), Some(at("1380144471.11111"))),
            "1380144472.22222_abc-1b207.meta"
        );
    }

    #[test]
    fn reads_what_it_writes() {
        let (time, earlier) = (at("1380144472.22222_abc"), at("1380144471.11111"));
        let parsed = FileName::parse(&meta(time, Some(earlier)), WHOLE).unwrap();
        assert_eq!((parsed.timestamp, parsed.content_type), (time, Some(earlier)));
        let same = FileName::parse(&meta(time, Some(time)), WHOLE).unwrap();
        assert_eq!(same.content_type, Some(time), "a difference of zero keeps the offset");
        assert_eq!(FileName::parse(&data(time), WHOLE).unwrap().extension, Extension::Data);
        assert_eq!(FileName::parse(&tombstone(time), CODED).unwrap().extension, Extension::Tombstone);
        let coded = FileName::parse(&fragment(time, FragmentIndex::new(5), true), CODED).unwrap();
        assert_eq!((coded.fragment, coded.durable), (Some(FragmentIndex::new(5)), true));
    }

    #[test]
    fn refuses_what_swift_calls_unexpected() {
        for name in [
            "",
            "x.data",
            "1380144472.22222-.meta",
            "1380144472.22222+zz.meta",
            "1+1-x.meta",
            "1-1-186a0.meta",
            "1+1-.meta",
            "hashes.pkl",
            ".x.ABCDEF",
        ] {
            assert_eq!(FileName::parse(name, WHOLE), None, "{name}");
        }
        for name in [
            "1380144472.22222.data",
            "1380144472.22222#6.data",
            "1380144472.22222#x#d.data",
            "1380144472.22222#.data",
        ] {
            assert_eq!(FileName::parse(name, CODED), None, "{name}");
        }
    }

    #[test]
    fn a_second_difference_must_be_one_and_a_third_is_not_looked_at() {
        for name in ["2-1+1.meta", "2-1-30d3f.meta", "2-1+1-x.meta"] {
            let parsed = FileName::parse(name, WHOLE).unwrap();
            assert_eq!(parsed.content_type, Some(at("1.99999")), "{name}");
        }
    }

    #[test]
    fn knows_rsync_by_its_names() {
        assert!(is_rsync_temporary(".1380144472.22222.data.AbC_12"));
        assert!(!is_rsync_temporary("1380144472.22222.data"));
        assert!(!is_rsync_temporary(".ABCDEF"));
    }
}
