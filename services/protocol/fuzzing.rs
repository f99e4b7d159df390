//! What holds for any bytes that a peer may say in SSYNC, checked by the fuzz targets and by a test of their corpora (tests/fuzz).

use bytes::Bytes;

use crate::{
    ErrorLine, LineBuffer, LineError, SubHead, SubRequest, decode_offer, decode_want, encode_offer,
    encode_want, quote, unquote,
};

/// What a line says is printed as a line that says the same, and lines are the same in whatever pieces they come. The first
/// byte is the size of the pieces.
pub fn ssync(data: &[u8]) {
    let Some((&size, text)) = data.split_first() else { return };
    let whole = lines(text, text.len().max(1));
    assert_eq!(lines(text, usize::from(size).max(1)), whole);
    let (lines, _) = whole;
    for line in &lines {
        offer(line);
        want(line);
        error_line(line);
        assert_eq!(unquote(&quote(line)), &line[..]);
    }
    let mut lines = lines.iter();
    while let Some(line) = lines.next() {
        if let Ok(head) = SubHead::from_request_line(line) {
            sub_request(head, &mut lines);
        }
    }
}

fn lines(text: &[u8], size: usize) -> (Vec<Bytes>, Option<LineError>) {
    let mut buffer = LineBuffer::new();
    let mut lines = Vec::new();
    for piece in text.chunks(size) {
        buffer.push(Bytes::copy_from_slice(piece));
        loop {
            match buffer.line() {
                Ok(Some(line)) => lines.push(line),
                Ok(None) => break,
                Err(error) => return (lines, Some(error)),
            }
        }
    }
    (lines, buffer.end().err())
}

fn offer(line: &[u8]) {
    let Ok(mut offer) = decode_offer(line) else { return };
    // The time of a content type is told beside that of metadata alone.
    if offer.metadata == offer.data {
        offer.content_type = offer.data;
    }
    let printed = encode_offer(&offer);
    let again = decode_offer(printed.as_bytes()).expect("an offer that we print");
    assert_eq!(again, offer, "by {printed:?}");
}

fn want(line: &[u8]) {
    let Ok(Some(want)) = decode_want(line) else { return };
    let printed = encode_want(&want).expect("what a peer wants has letters");
    assert_eq!(decode_want(printed.as_bytes()).ok().flatten(), Some(want), "by {printed:?}");
}

fn error_line(line: &[u8]) {
    let Some(error) = ErrorLine::decode(line) else { return };
    let printed = error.encode();
    assert_eq!(ErrorLine::decode(&printed), Some(error), "by {:?}", String::from_utf8_lossy(&printed));
}

/// A head that names a method and an object is printed, by which it is read as the same.
fn sub_request<'l>(mut head: SubHead, lines: &mut impl Iterator<Item = &'l Bytes>) {
    while lines.next().is_some_and(|line| matches!(head.push_header_line(line), Ok(true))) {}
    let (Ok((method, length)), Ok(path)) = (head.method(), head.path()) else { return };
    let headers = head.headers().to_vec();
    let printed = SubRequest { method, path: path.clone(), headers: headers.clone() }.encode();
    let mut printed = printed.split_inclusive(|&b| b == b'\n');
    let line = printed.next().expect("a request line");
    let mut again = SubHead::from_request_line(line).expect("a request line that we print");
    for line in printed {
        let _ = again.push_header_line(line).expect("a header line that we print");
    }
    assert_eq!(again.path().ok(), Some(path));
    // Of two values of one name the last counts; printing keeps their order.
    assert_eq!(again.method().ok(), Some((method, length)));
    assert_eq!(again.headers().len(), headers.len());
}

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;

#[cfg(test)]
#[test]
fn corpora() {
    replay::replay("ssync", ssync);
}
