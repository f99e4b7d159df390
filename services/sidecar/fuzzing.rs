//! What holds for any bytes that a client may send, checked by the fuzz targets and by a test of their corpora (tests/fuzz).

use bytes::{Bytes, BytesMut};
use ssync_types::Metadata;

use crate::{
    http::{Chunked, Documents, HttpError, MimeHead, MimeStep, RequestHead, Step, head_length},
    object_api::{Ranges, Wanted},
};

/// Beginnings are tried up to here: each costs as much as the whole.
const BEGINNINGS_MAX: usize = 256;
const BOUNDARY: &[u8] = b"B";

/// The end of a head is found in whatever pieces it comes, and what is understood is printed, by which it is read as the
/// same.
pub fn http_head(data: &[u8]) {
    let found = head_length(data);
    for end in 0..data.len().min(BEGINNINGS_MAX) {
        match (head_length(&data[..end]), &found) {
            (Ok(None), _) | (Err(_), Err(_)) => {}
            (Ok(Some(early)), Ok(Some(length))) => assert_eq!(early, *length),
            (early, found) => panic!("{early:?} of a beginning, {found:?} of all"),
        }
    }
    let Ok(Some(length)) = found else { return };
    let Ok(head) = RequestHead::parse(&Bytes::copy_from_slice(&data[..length])) else { return };
    let printed = print(&head);
    let again = match RequestHead::parse(&printed) {
        // One length told twice is one, which a list of both is not.
        Err(_) if head.headers.get("Content-Length").is_some_and(|length| length.contains(&b',')) => return,
        again => again.expect("a head that we print"),
    };
    assert_eq!((&again.method, &again.target, again.is_http11), (&head.method, &head.target, head.is_http11));
    assert_eq!(again.headers, head.headers);
    assert_eq!((again.keep_alive, again.expects_continue), (head.keep_alive, head.expects_continue));
    assert_eq!(again.framing.length(), head.framing.length());
    assert_eq!(again.framing.is_done(), head.framing.is_done());
}

fn print(head: &RequestHead) -> Bytes {
    let version: &[u8] = if head.is_http11 { b"HTTP/1.1" } else { b"HTTP/1.0" };
    let mut printed = [head.method.as_ref(), b" ", &head.target, b" ", version, b"\r\n"].concat();
    for (name, value) in head.headers.iter() {
        printed.extend([name.as_bytes(), b": ", value.as_ref(), b"\r\n"].concat());
    }
    printed.extend(b"\r\n");
    printed.into()
}

/// A body in chunks is the same in whatever pieces it comes. The first byte is the size of the pieces.
pub fn http_chunks(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else { return };
    let whole = chunks(stream, stream.len().max(1));
    assert_eq!(chunks(stream, usize::from(size).max(1)), whole);
    assert!(whole.0.len() <= stream.len());
}

/// The body, and whether it has ended, or failed.
fn chunks(stream: &[u8], size: usize) -> (Vec<u8>, Option<bool>) {
    let mut chunked = Chunked::new();
    let (mut body, mut input) = (Vec::new(), BytesMut::new());
    for piece in stream.chunks(size) {
        input.extend_from_slice(piece);
        loop {
            match chunked.step(&mut input) {
                Ok(Step::Piece(piece)) => body.extend_from_slice(&piece),
                Ok(Step::More) => break,
                Ok(Step::End) => return (body, Some(true)),
                Err(_) => return (body, Some(false)),
            }
        }
    }
    (body, None)
}

/// Documents are the same in whatever pieces they come. The first byte is the size of the pieces.
pub fn mime(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else { return };
    let whole = documents(stream, stream.len().max(1));
    assert_eq!(documents(stream, usize::from(size).max(1)), whole);
    let bytes: usize = whole.0.iter().map(|(_, body)| body.len()).sum();
    assert!(bytes <= stream.len());
}

type Read = (Vec<(MimeHead, Vec<u8>)>, bool);

fn documents(stream: &[u8], size: usize) -> Read {
    let mut documents = Documents::new(BOUNDARY).expect("a boundary");
    let mut read = Vec::new();
    for piece in stream.chunks(size) {
        documents.feed(Bytes::copy_from_slice(piece));
        if take(&mut documents, &mut read).is_err() {
            return (read, false);
        }
    }
    documents.finish();
    let whole = take(&mut documents, &mut read).is_ok();
    (read, whole)
}

fn take(documents: &mut Documents, read: &mut Vec<(MimeHead, Vec<u8>)>) -> Result<(), HttpError> {
    loop {
        match documents.step()? {
            MimeStep::More | MimeStep::Over => return Ok(()),
            MimeStep::Head(head) => read.push((head, Vec::new())),
            MimeStep::Piece(piece) => {
                assert!(!piece.is_empty(), "a piece of nothing");
                read.last_mut().expect("a document has begun").1.extend_from_slice(&piece);
            }
            MimeStep::End => {}
        }
    }
}

/// No range is beyond the object, and those that are sent are asked for again by their own numbers. The input is a Range
/// header.
pub fn range(data: &[u8]) {
    let Some(ranges) = ranges(data) else { return };
    // Files have lengths of 63 bits.
    for length in [0, 1, 10, 1000, u64::from(u32::MAX), i64::MAX as u64] {
        let sent = ranges.wanted(length);
        let parts = match &sent {
            Wanted::Whole | Wanted::Nothing => continue,
            Wanted::One(range) => std::slice::from_ref(range),
            Wanted::Several(ranges) => {
                assert!(ranges.len() > 1, "several are more than one");
                ranges
            }
        };
        let numbers: Vec<String> = parts
            .iter()
            .map(|range| {
                assert!(range.first <= range.last && range.last < length, "{range:?} of {length}");
                format!("{}-{}", range.first, range.last)
            })
            .collect();
        let again =
            self::ranges(format!("bytes={}", numbers.join(",")).as_bytes()).expect("ranges that we print");
        assert_eq!(again.wanted(length), sent);
    }
}

fn ranges(value: &[u8]) -> Option<Ranges> {
    let mut headers = Metadata::new();
    headers.set("Range", Bytes::copy_from_slice(value));
    Ranges::of(&headers)
}

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;

#[cfg(test)]
#[test]
fn corpora() {
    replay::replay("http_head", http_head);
    replay::replay("http_chunks", http_chunks);
    replay::replay("mime", mime);
    replay::replay("range", range);
}
