//! Which bytes of an object a GET asks for (Swift: common/swob.py Range and `_response_iter`; RFC 9110, section 14).

use ssync_types::{ByteRange, Metadata, python_integer};

use crate::python_text::latin1;

/// Ranges of one request. More are refused, as all that follows, because they cost the server much and the client nothing.
const RANGES_MAX: usize = 50;
/// Pairs of ranges that may overlap.
const OVERLAPS_MAX: usize = 2;
/// Ranges, if each begins behind the one before; else there must be fewer.
const DISORDERED_MAX: usize = 7;

/// The Range header of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<Spec>);

/// One range of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spec {
    /// `5-9`, and `5-` with no byte after the last.
    Bytes(ByteRange),
    /// `-5`: so many at the end.
    Last(u64),
}

/// What a header asks for of an object of a certain length.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it, as if there were no header.
    Whole,
    /// These bytes; the object has them all.
    One(ByteRange),
    /// Several ranges, each of which the object has.
    Several(Vec<ByteRange>),
    /// Nothing that the object has; or too much.
    Nothing,
}

impl Ranges {
    /// The ranges that a request asks for; `None` when it asks for none. A header with a mistake anywhere counts for
    /// nothing, as RFC 9110 demands (14.2).
    pub(crate) fn of(headers: &Metadata) -> Option<Self> {
        let header: String = latin1(headers.get("Range")?).chars().filter(|&c| c != ' ').collect();
        let (unit, set) = header.split_once('=')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        set.split(',').map(Spec::parse).collect::<Option<_>>().map(Self)
    }

    /// A single range that means the same whatever the length is, so that it can be read at once.
    pub(super) fn of_any_length(&self) -> Option<ByteRange> {
        match self.0[..] {
            [Spec::Bytes(range)] => Some(range),
            _ => None,
        }
    }

    /// What is to be sent of an object of `length` bytes.
    pub(crate) fn wanted(&self, length: u64) -> Wanted {
        let parts: Vec<ByteRange> = self.0.iter().filter_map(|spec| spec.within(length)).collect();
        match parts[..] {
            [] => Wanted::Nothing,
            _ if is_abuse(&parts) => Wanted::Nothing,
            // The last bytes of nothing: no Content-Range can be written for them.
            _ if length == 0 => Wanted::Whole,
            [range] => Wanted::One(range),
            _ => Wanted::Several(parts),
        }
    }
}

/// Swift: Range.ranges_for_length.
fn is_abuse(parts: &[ByteRange]) -> bool {
    if parts.len() > RANGES_MAX {
        return true;
    }
    let pairs = parts
        .iter()
        .enumerate()
        .flat_map(|(at, first)| parts[at + 1..].iter().map(move |second| (first, second)));
    let overlaps = pairs.filter(|(first, second)| overlap(first, second)).count();
    let ascends = parts.is_sorted_by_key(|part| (part.first, part.last));
    overlaps > OVERLAPS_MAX || (!ascends && parts.len() > DISORDERED_MAX)
}

/// Whether an end of the one lies within the other. To Swift a range does not lie within itself, so that one which is asked
/// for twice overlaps nothing.
fn overlap(one: &ByteRange, other: &ByteRange) -> bool {
    let ends_within = |this: &ByteRange, that: &ByteRange| {
        (that.first < this.first && this.first <= that.last)
            || (that.first <= this.last && this.last < that.last)
    };
    ends_within(one, other) || ends_within(other, one)
}

impl Spec {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        match (first, last) {
            ("", last) => digits(last).map(Self::Last),
            (first, "") => Some(Self::Bytes(ByteRange { first: number(first)?, last: u64::MAX })),
            (first, last) => {
                let range = ByteRange { first: number(first)?, last: digits(last)? };
                (range.first <= range.last).then_some(Self::Bytes(range))
            }
        }
    }

    fn within(self, length: u64) -> Option<ByteRange> {
        match self {
            Self::Bytes(range) => within(range, length),
            Self::Last(0) => None,
            Self::Last(count) => {
                Some(ByteRange { first: length.saturating_sub(count), last: length.saturating_sub(1) })
            }
        }
    }
}

/// The bytes of a range that an object of `length` bytes has; `None` when it has none.
pub(super) fn within(range: ByteRange, length: u64) -> Option<ByteRange> {
    (range.first < length)
        .then(|| ByteRange { first: range.first, last: range.last.min(length.saturating_sub(1)) })
}

/// What Python's int() reads. A number beyond 63 bits is beyond the end of every object.
fn number(text: &str) -> Option<u64> {
    python_integer(text, 10).and_then(|number| u64::try_from(number).ok())
}

/// Of the last byte Swift wants digits alone.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| number(text)).flatten()
}
#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(header: &'static str, length: u64) -> Wanted {
        let mut headers = Metadata::new();
        headers.set("Range", header);
        Ranges::of(&headers).map_or(Wanted::Whole, |ranges| ranges.wanted(length))
    }

    #[test]
    fn finds_the_bytes_that_swift_finds() {
        let one = |first, last| Wanted::One(ByteRange { first, last });
        let several = |ranges: &[(u64, u64)]| {
            Wanted::Several(ranges.iter().map(|&(first, last)| ByteRange { first, last }).collect())
        };
        let vectors = [
            ("bytes=1-2", 5, one(1, 2)),
            ("bytes=2-", 5, one(2, 4)),
            ("bytes=-2", 5, one(3, 4)),
            ("bytes=-9", 5, one(0, 4)),
            ("bytes=0-99", 5, one(0, 4)),
            ("BYTES= 1 - 2", 5, one(1, 2)),
            ("bytes=1-99999999999999999999", 5, one(1, 4)),
            ("bytes=0-1,7-", 5, one(0, 1)),
            ("bytes=5-", 5, Wanted::Nothing),
            ("bytes=5-9", 5, Wanted::Nothing),
            ("bytes=-0", 5, Wanted::Nothing),
            ("bytes=99999999999999999999-", 5, Wanted::Nothing),
            ("bytes=9-,8-", 5, Wanted::Nothing),
            ("bytes=0-1,3-3,9-9", 5, several(&[(0, 1), (3, 3)])),
            ("bytes=-1,0-0", 5, several(&[(4, 4), (0, 0)])),
            ("bytes=+1-2", 5, one(1, 2)),
            ("bytes=1_0-", 50, one(10, 49)),
            ("bytes=-2", 0, Wanted::Whole),
            ("bytes=-1,-2", 0, Wanted::Whole),
            ("bytes=0-", 0, Wanted::Nothing),
            ("bytes=-0", 0, Wanted::Nothing),
        ];
        for (header, length, expected) in vectors {
            assert_eq!(wanted(header, length), expected, "{header} of {length}");
        }
    }

    #[test]
    fn refuses_what_costs_too_much() {
        let asked = |ranges: Vec<String>| {
            let mut headers = Metadata::new();
            headers.set("Range", format!("bytes={}", ranges.join(",")));
            match Ranges::of(&headers).unwrap().wanted(5000) {
                Wanted::Several(ranges) => ranges.len(),
                Wanted::Nothing => 0,
                other => panic!("{other:?}"),
            }
        };
        let apart = |count: u32| (0..count).map(|n| format!("{}-{}", n * 10, n * 10 + 5)).collect::<Vec<_>>();
        let reversed = |count| apart(count).into_iter().rev().collect();
        let listed = |text: &str| text.split(' ').map(str::to_owned).collect();
        assert_eq!(asked(apart(50)), 50);
        assert_eq!(asked(apart(51)), 0);
        assert_eq!(asked([apart(50), listed("9000-9999")].concat()), 50, "what is not there does not count");
        assert_eq!(asked(reversed(7)), 7);
        assert_eq!(asked(reversed(8)), 0);
        let overlapping = [
            ("0-2 1-3", 2),
            ("0-2 1-3 2-4", 0),
            ("0-1 1-2 2-3", 3),
            ("0-1 1-2 2-3 3-4", 0),
            ("0-10 5-7", 2),
            ("0-10 0-5 5-10", 0),
            ("0- 0- 0- 0-", 4),
            ("-1 -2 -3", 0),
        ];
        for (ranges, count) in overlapping {
            assert_eq!(asked(listed(ranges)), count, "{ranges}");
        }
    }

    #[test]
    fn a_header_with_a_mistake_counts_for_nothing() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=1",
            "bytes=3-2",
            "bytes=x-2",
            "bytes=1-x",
            "bytes=--1",
            "bytes=1-2-3",
            "bytes=1-2,x",
            "bytes=1-2,",
            "octets=0-1",
            "xbytes=0-1",
            "bytes=1-+2",
            "bytes=1-2_0",
            "bytes=\u{663}-",
        ] {
            assert_eq!(wanted(header, 5), Wanted::Whole, "{header}");
        }
    }
}
