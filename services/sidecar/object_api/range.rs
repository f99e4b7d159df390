//! Which bytes of an object a GET asks for (Swift: common/swob.py Range and `_response_iter`; RFC 9110, section 14).

use ssync_types::{ByteRange, Metadata};

/// The Range header of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Spec>);

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
pub(super) enum Part {
    /// All of it, as if there were no header.
    Whole,
    /// These bytes; the object has them all.
    One(ByteRange),
    /// Several ranges that the object has.
    Several,
    /// Nothing that the object has.
    Nothing,
}

impl Ranges {
    /// The ranges that a request asks for; `None` when it asks for none. A header with a mistake anywhere counts for
    /// nothing, as RFC 9110 demands (14.2).
    pub(super) fn of(headers: &Metadata) -> Option<Self> {
        let header: String = headers.get_str("Range")?.chars().filter(|&c| c != ' ').collect();
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
    pub(super) fn part(&self, length: u64) -> Part {
        let mut parts = self.0.iter().filter_map(|spec| spec.within(length));
        match (parts.next(), parts.next()) {
            (None, _) => Part::Nothing,
            // The last bytes of nothing: no Content-Range can be written for them.
            (Some(_), _) if length == 0 => Part::Whole,
            (Some(range), None) => Part::One(range),
            (Some(_), Some(_)) => Part::Several,
        }
    }
}

impl Spec {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        match (first, last) {
            ("", last) => number(last).map(Self::Last),
            (first, "") => Some(Self::Bytes(ByteRange { first: number(first)?, last: u64::MAX })),
            (first, last) => {
                let range = ByteRange { first: number(first)?, last: number(last)? };
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

/// Digits. A number beyond 64 bits is beyond the end of every object.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(header: &'static str, length: u64) -> Part {
        let mut headers = Metadata::new();
        headers.set("Range", header);
        Ranges::of(&headers).map_or(Part::Whole, |ranges| ranges.part(length))
    }

    #[test]
    fn finds_the_bytes_that_swift_finds() {
        let one = |first, last| Part::One(ByteRange { first, last });
        let vectors = [
            ("bytes=1-2", 5, one(1, 2)),
            ("bytes=2-", 5, one(2, 4)),
            ("bytes=-2", 5, one(3, 4)),
            ("bytes=-9", 5, one(0, 4)),
            ("bytes=0-99", 5, one(0, 4)),
            ("BYTES= 1 - 2", 5, one(1, 2)),
            ("bytes=1-99999999999999999999", 5, one(1, 4)),
            ("bytes=0-1,7-", 5, one(0, 1)),
            ("bytes=5-", 5, Part::Nothing),
            ("bytes=5-9", 5, Part::Nothing),
            ("bytes=-0", 5, Part::Nothing),
            ("bytes=99999999999999999999-", 5, Part::Nothing),
            ("bytes=9-,8-", 5, Part::Nothing),
            ("bytes=0-1,3-3", 5, Part::Several),
            ("bytes=-2", 0, Part::Whole),
            ("bytes=-1,-2", 0, Part::Whole),
            ("bytes=0-", 0, Part::Nothing),
            ("bytes=-0", 0, Part::Nothing),
        ];
        for (header, length, expected) in vectors {
            assert_eq!(part(header, length), expected, "{header} of {length}");
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
        ] {
            assert_eq!(part(header, 5), Part::Whole, "{header}");
        }
    }
}
