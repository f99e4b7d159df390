//! Several ranges in one body: multipart/byteranges (Swift: common/swob.py `_prepare_for_ranges`, multi_range_iterator;
//! RFC 9110, 14.6).

use bytes::Bytes;
use ssync_types::ByteRange;

use super::get::CONTENT_TYPE;
use crate::http::{Part, is_one_line};

/// A body of several ranges, without their bytes.
#[derive(Debug)]
pub(super) struct Multipart {
    /// The content type of the whole.
    pub(super) content_type: String,
    /// What is sent: the head of each part, and how many bytes of the object follow it.
    pub(super) parts: Vec<Part>,
}

impl Multipart {
    /// For ranges of an object of `length` bytes. `boundary` must not be guessable: a client tells the parts apart by it.
    pub(super) fn new(ranges: &[ByteRange], content_type: &[u8], length: u64, boundary: u128) -> Self {
        let boundary = format!("{boundary:032x}");
        // What stands on a disk may hold anything.
        let content_type = if is_one_line(content_type) { content_type } else { CONTENT_TYPE.as_bytes() };
        let mut parts: Vec<Part> = Vec::with_capacity(ranges.len() + 1);
        let mut line_end = "";
        for &ByteRange { first, last } in ranges {
            let mut head = format!("{line_end}--{boundary}\r\nContent-Type: ").into_bytes();
            head.extend_from_slice(content_type);
            head.extend_from_slice(
                format!("\r\nContent-Range: bytes {first}-{last}/{length}\r\n\r\n").as_bytes(),
            );
            parts.push(Part { head: head.into(), bytes: last - first + 1 });
            line_end = "\r\n";
        }
        parts.push(Part { head: Bytes::from(format!("{line_end}--{boundary}--")), bytes: 0 });
        Self { content_type: format!("multipart/byteranges;boundary={boundary}"), parts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_ranges_as_swift_does() {
        let ranges = [ByteRange { first: 0, last: 1 }, ByteRange { first: 3, last: 3 }];
        let multipart = Multipart::new(&ranges, b"t/\xe4", 5, 0xabc);
        let boundary = "00000000000000000000000000000abc";
        assert_eq!(multipart.content_type, format!("multipart/byteranges;boundary={boundary}"));
        let head = |start: &str, range: &str| {
            let mut head = format!("{start}--{boundary}\r\nContent-Type: t/").into_bytes();
            head.extend_from_slice(format!("_\r\nContent-Range: bytes {range}\r\n\r\n").as_bytes());
            head.into_iter().map(|byte| if byte == b'_' { 0xe4 } else { byte }).collect::<Bytes>()
        };
        let expected = [
            Part { head: head("", "0-1/5"), bytes: 2 },
            Part { head: head("\r\n", "3-3/5"), bytes: 1 },
            Part { head: format!("\r\n--{boundary}--").into(), bytes: 0 },
        ];
        assert_eq!(multipart.parts, expected);
    }

    #[test]
    fn a_stored_type_adds_nothing_to_the_head_of_a_part() {
        let ranges = [ByteRange { first: 0, last: 1 }, ByteRange { first: 3, last: 3 }];
        for bad in ["x\r\nSet-Cookie: a=b", "x\n\n", "x\0"] {
            let bad = Multipart::new(&ranges, bad.as_bytes(), 5, 0xabc);
            assert_eq!(bad.parts, Multipart::new(&ranges, CONTENT_TYPE.as_bytes(), 5, 0xabc).parts);
        }
    }
}
