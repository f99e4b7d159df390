//! Chunked bodies, read strictly (RFC 9112, section 7.1).

use bytes::{Bytes, BytesMut};

use super::HttpError;

/// Longest chunk head, with extensions and its end.
const CHUNK_LINE_BYTES_MAX: usize = 1024;
/// Hex digits of a chunk's size.
const SIZE_DIGITS_MAX: usize = 15;
/// Most bytes of trailers, which are read and dropped.
const TRAILER_BYTES_MAX: usize = 8192;

/// How far a chunked body has been read.
#[derive(Debug)]
pub(crate) struct Chunked {
    state: State,
    trailer_bytes: usize,
}

#[derive(Debug)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    Done,
}

/// One step of reading.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A piece of the body.
    Piece(Bytes),
    /// More must come first.
    More,
    /// The body has ended.
    End,
}

impl Chunked {
    pub(crate) fn new() -> Self {
        Self { state: State::Size, trailer_bytes: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes what it can from `input`.
    pub(crate) fn step(&mut self, input: &mut BytesMut) -> Result<Step, HttpError> {
        loop {
            match self.state {
                State::Size => {
                    let Some(line) = line(input, CHUNK_LINE_BYTES_MAX)? else { return Ok(Step::More) };
                    self.state = match chunk_size(&line)? {
                        0 => State::Trailers,
                        size => State::Data(size),
                    };
                }
                State::Data(left) => {
                    if input.is_empty() {
                        return Ok(Step::More);
                    }
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    self.state = match left - length as u64 {
                        0 => State::DataEnd,
                        left => State::Data(left),
                    };
                    return Ok(Step::Piece(input.split_to(length).freeze()));
                }
                State::DataEnd => match input.get(..2) {
                    None if input.first().is_none_or(|&b| b == b'\r') => return Ok(Step::More),
                    Some(b"\r\n") => {
                        let _ = input.split_to(2);
                        self.state = State::Size;
                    }
                    _ => return Err(HttpError::bad("a chunk is longer than its size")),
                },
                State::Trailers => {
                    let Some(line) = line(input, TRAILER_BYTES_MAX)? else { return Ok(Step::More) };
                    self.trailer_bytes += line.len() + 2;
                    if self.trailer_bytes > TRAILER_BYTES_MAX {
                        return Err(HttpError::bad("trailers too large"));
                    }
                    if line.is_empty() {
                        self.state = State::Done;
                    }
                }
                State::Done => return Ok(Step::End),
            }
        }
    }
}

/// A line without its CR LF.
fn line(input: &mut BytesMut, bytes_max: usize) -> Result<Option<Bytes>, HttpError> {
    let Some(end) = input.iter().take(bytes_max).position(|&b| b == b'\n') else {
        let too_long = input.len() >= bytes_max;
        return if too_long { Err(HttpError::bad("a chunk's head is too long")) } else { Ok(None) };
    };
    let line = input.split_to(end + 1).freeze();
    match &line[..] {
        [text @ .., b'\r', b'\n'] if !text.iter().any(|b| matches!(b, b'\r' | 0)) => {
            Ok(Some(line.slice(..end - 1)))
        }
        _ => Err(HttpError::bad("a chunk's head does not end with CR LF")),
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, HttpError> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (size, extension) = line.split_at(digits);
    let extension = extension.trim_ascii();
    if digits == 0 || digits > SIZE_DIGITS_MAX || !(extension.is_empty() || extension.starts_with(b";")) {
        return Err(HttpError::bad("invalid chunk size"));
    }
    let size = std::str::from_utf8(size).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
    size.ok_or(HttpError::bad("invalid chunk size"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: &[u8], size: usize) -> Result<(Vec<u8>, bool), HttpError> {
        let mut chunked = Chunked::new();
        let mut input = BytesMut::new();
        let mut body = Vec::new();
        for piece in stream.chunks(size) {
            input.extend_from_slice(piece);
            loop {
                match chunked.step(&mut input)? {
                    Step::Piece(piece) => body.extend_from_slice(&piece),
                    Step::More => break,
                    Step::End => return Ok((body, input.is_empty())),
                }
            }
        }
        Ok((body, false))
    }

    #[test]
    fn reads_chunks_whatever_the_pieces() {
        let stream = b"3\r\nabc\r\n00A;ext=\"x\"\r\n0123\r\n6789\r\n0\r\nTrailer: x\r\n\r\n";
        for size in 1..=stream.len() {
            assert_eq!(read(stream, size).unwrap(), (b"abc0123\r\n6789".to_vec(), true));
        }
    }

    #[test]
    fn refuses_what_is_not_strict() {
        let bad: [&[u8]; 11] = [
            b"zz\r\nabc\r\n0\r\n\r\n",
            b"\r\n",
            b"-3\r\nabc\r\n",
            b"0x3\r\nabc\r\n",
            b"3 3\r\nabc\r\n",
            b"3\nabc\r\n0\r\n\r\n",
            b"3\r\nabcd\r\n0\r\n\r\n",
            b"3\r\nabc\n\n0\r\n\r\n",
            b"fffffffffffffffff\r\n",
            b"3;\rx\r\nabc\r\n",
            b"0\r\nTrailer: x\n\r\n",
        ];
        for stream in bad {
            assert!(read(stream, stream.len()).is_err(), "{}", String::from_utf8_lossy(stream));
        }
        assert!(read(&[b"3;".to_vec(), vec![b'x'; CHUNK_LINE_BYTES_MAX]].concat(), 9999).is_err());
        assert!(read(&[b"0\r\n".to_vec(), b"a: b\r\n".repeat(2000)].concat(), 99).is_err());
    }
}
