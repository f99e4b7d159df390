//! Multipart bodies, whole and broken, in pieces of every size.

use super::*;

/// What a body was taken apart to: the two headers that matter, and the body, of each document.
type Read = Vec<(Option<String>, Option<String>, Vec<u8>)>;

fn read(stream: &[u8], size: usize) -> Result<Read, HttpError> {
    let mut documents = Documents::new(b"B0").unwrap();
    let mut pieces = stream.chunks(size);
    let mut read = Read::new();
    loop {
        match documents.step()? {
            MimeStep::More => match pieces.next() {
                Some(piece) => documents.feed(Bytes::copy_from_slice(piece)),
                None => documents.finish(),
            },
            MimeStep::Head(head) => {
                let text = |name| head.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
                read.push((text("x-document"), text("Content-MD5"), Vec::new()));
            }
            MimeStep::Piece(piece) => {
                assert!(!piece.is_empty());
                read.last_mut().unwrap().2.extend_from_slice(&piece);
            }
            MimeStep::End => {}
            MimeStep::Over => return Ok(read),
        }
        assert!(documents.untaken() <= size + HEAD_BYTES_MAX);
    }
}

/// The same whatever the pieces.
fn reads(stream: &[u8]) -> Read {
    let whole = read(stream, stream.len().max(1)).unwrap();
    for size in 1..stream.len() {
        assert_eq!(read(stream, size).unwrap(), whole, "in pieces of {size}");
    }
    whole
}

fn document(name: &str, body: &[u8]) -> (Option<String>, Option<String>, Vec<u8>) {
    (Some(name.to_owned()), None, body.to_vec())
}

#[test]
fn takes_a_put_with_footers_and_commit_apart() {
    let stream = b"--B0\r\nX-Document: object body\r\n\r\nda\r\n--B\r\nta\r\n\r\n--B0\r\n\
        x-document:object metadata\r\nContent-MD5: abc\r\n\r\n{}\r\n--B0\r\n\
        X-Document: put commit\r\n\r\nput_commit_confirmation\r\n--B0--\r\nepilogue";
    let footer = (Some("object metadata".to_owned()), Some("abc".to_owned()), b"{}".to_vec());
    assert_eq!(
        reads(stream),
        [
            document("object body", b"da\r\n--B\r\nta\r\n"),
            footer,
            document("put commit", b"put_commit_confirmation")
        ]
    );
}

#[test]
fn empty_lines_may_come_first_and_bodies_may_be_empty() {
    assert_eq!(reads(b"\r\n\r\n--B0\r\nX-Document: a\r\n\r\n\r\n--B0--"), [document("a", b"")]);
    assert_eq!(reads(b"--B0\r\nX-Document: a\r\n\r\n--B0--"), [document("a", b"")]);
    assert_eq!(reads(b"--B0\r\nX-Document: a\r\n--B0--"), [document("a", b"")]);
    assert_eq!(reads(b"--B0\r\n\r\n--B0--"), [(None, None, vec![])]);
}

#[test]
fn what_is_cut_off_ends_what_is_open() {
    assert_eq!(reads(b"--B0\r\nX-Document: a\r\n\r\nabc\r\n--B"), [document("a", b"abc\r\n--B")]);
    assert_eq!(reads(b"--B0\r\nX-Document: a\r\n"), [document("a", b"")]);
    assert_eq!(reads(b"--B0\r\nX-Document: a"), [document("a", b"")]);
    assert_eq!(
        reads(b"--B0\r\nX-Document: a\r\n\r\nx\r\n--B0"),
        [document("a", b"x"), (None, None, vec![])],
        "without dashes another document follows, as empty as it is"
    );
}

#[test]
fn what_stands_behind_the_last_document_is_not_taken() {
    let mut documents = Documents::new(b"B0").unwrap();
    documents.feed(Bytes::from("--B0\r\n\r\nx\r\n--B0--\r\nmore"));
    for _ in 0..3 {
        assert_ne!(documents.step().unwrap(), MimeStep::Over);
    }
    assert_eq!(documents.step().unwrap(), MimeStep::Over);
    assert_eq!(documents.untaken(), 6);
}

#[test]
fn refuses_what_does_not_begin_as_it_should() {
    for bad in [&b""[..], b"--B1\r\n", b"-", b"hello", b"--B0--\r\n", b"\r\r\n--B0\r\n", b"\n--B0\r\n"] {
        for size in [1, 100] {
            assert!(read(bad, size).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}

#[test]
fn every_size_has_a_bound() {
    assert!(Documents::new(b"").is_none());
    assert!(Documents::new(&[b'x'; BOUNDARY_BYTES_MAX + 1]).is_none());
    assert!(Documents::new(&[b'x'; BOUNDARY_BYTES_MAX]).is_some());
    let long = |part: &[u8]| [b"--B0\r\n", &part.repeat(5000)[..]].concat();
    for size in [1, 7, 100_000] {
        assert!(read(&b"\r\n".repeat(5000), size).is_err());
        assert!(read(&long(b"xy"), size).is_err());
        assert!(read(&long(b"x:y\r\n"), size).is_err());
    }
}
