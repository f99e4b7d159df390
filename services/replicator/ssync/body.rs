//! The body of an HTTP/1.1 response: how it is framed, decoded piece by piece, free of I/O.

use bytes::{Buf as _, Bytes, BytesMut};
use ssync_types::{Reason, Refusal};

/// Longest line of a chunk's size, with extensions.
const SIZE_LINE_MAX: usize = 1024;

/// How a body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Chunks; this much of the current one is still to come.
    Chunked(ChunkState),
    /// So many bytes more.
    Length(u64),
    /// Nothing more.
    Ended,
}

/// Where in the chunks the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChunkState {
    /// Before a size line.
    Size,
    /// Within data.
    Data(u64),
    /// Before the line end behind data.
    DataEnd,
    /// Behind the zero chunk: trailers, which are passed over, and an empty line.
    Trailers,
}

/// What can be had from the bytes that have come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// A piece of the body.
    Piece(Bytes),
    /// More bytes must come first.
    NeedMore,
    /// The body is complete.
    End,
}

fn broken(problem: &str) -> Refusal {
    Refusal::new(Reason::ProtocolOrder, format!("the peer's answer is no HTTP: {problem}"))
}

impl Framing {
    /// Takes the next piece out of `buffer`.
    pub(super) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, Refusal> {
        loop {
            match *self {
                Self::Ended | Self::Length(0) => return Ok(Decoded::End),
                Self::Length(left) => {
                    let piece = take(buffer, left);
                    *self = Self::Length(left - piece.len() as u64);
                    return Ok(if piece.is_empty() { Decoded::NeedMore } else { Decoded::Piece(piece) });
                }
                Self::Chunked(ChunkState::Data(left)) => {
                    let piece = take(buffer, left);
                    let left = left - piece.len() as u64;
                    *self =
                        Self::Chunked(if left == 0 { ChunkState::DataEnd } else { ChunkState::Data(left) });
                    return Ok(if piece.is_empty() { Decoded::NeedMore } else { Decoded::Piece(piece) });
                }
                Self::Chunked(state) => {
                    let Some(line) = line(buffer)? else { return Ok(Decoded::NeedMore) };
                    *self = after_line(state, &line)?;
                }
            }
        }
    }
}

fn after_line(state: ChunkState, line: &[u8]) -> Result<Framing, Refusal> {
    match state {
        ChunkState::Size => Ok(Framing::Chunked(match size(line)? {
            0 => ChunkState::Trailers,
            size => ChunkState::Data(size),
        })),
        ChunkState::DataEnd if line.is_empty() => Ok(Framing::Chunked(ChunkState::Size)),
        ChunkState::DataEnd | ChunkState::Data(_) => Err(broken("a chunk is longer than it says")),
        ChunkState::Trailers if line.is_empty() => Ok(Framing::Ended),
        ChunkState::Trailers => Ok(Framing::Chunked(ChunkState::Trailers)),
    }
}

fn take(buffer: &mut BytesMut, most: u64) -> Bytes {
    let length = buffer.len().min(usize::try_from(most).unwrap_or(usize::MAX));
    buffer.split_to(length).freeze()
}

fn line(buffer: &mut BytesMut) -> Result<Option<Bytes>, Refusal> {
    let Some(end) = buffer.iter().take(SIZE_LINE_MAX).position(|&b| b == b'\n') else {
        return if buffer.len() >= SIZE_LINE_MAX { Err(broken("a line without end")) } else { Ok(None) };
    };
    let mut line = buffer.split_to(end + 1).freeze();
    line.truncate(line.trim_ascii_end().len());
    Ok(Some(line))
}

/// Hex digits, before an extension if there is one.
fn size(line: &[u8]) -> Result<u64, Refusal> {
    let digits = line.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
    let plain = !digits.is_empty() && digits.len() <= 15 && digits.iter().all(u8::is_ascii_hexdigit);
    plain
        .then(|| std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok()))
        .flatten()
        .ok_or_else(|| broken("a chunk without size"))
}

/// Drops what is left of a head that was read.
pub(super) fn skip(buffer: &mut BytesMut, length: usize) {
    buffer.advance(length.min(buffer.len()));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes bytes that come one at a time.
    fn decode(mut framing: Framing, input: &[u8]) -> Result<(Vec<u8>, bool), Refusal> {
        let (mut buffer, mut body) = (BytesMut::new(), Vec::new());
        for &byte in input {
            buffer.extend_from_slice(&[byte]);
            loop {
                match framing.decode(&mut buffer)? {
                    Decoded::Piece(piece) => body.extend_from_slice(&piece),
                    Decoded::NeedMore => break,
                    Decoded::End => return Ok((body, true)),
                }
            }
        }
        Ok((body, false))
    }

    #[test]
    fn joins_chunks_whatever_they_hold() {
        let chunked = Framing::Chunked(ChunkState::Size);
        assert_eq!(
            decode(chunked, b"3;x=y\r\na\r\n\r\n1\r\nb\r\n0\r\n\r\n").unwrap(),
            (b"a\r\nb".to_vec(), true)
        );
        assert_eq!(decode(chunked, b"2\r\nab\r\n0\r\nTrailer: x\r\n\r\n").unwrap(), (b"ab".to_vec(), true));
        assert_eq!(decode(chunked, b"2\r\na").unwrap(), (b"a".to_vec(), false));
        assert_eq!(decode(Framing::Length(2), b"abc").unwrap(), (b"ab".to_vec(), true));
    }

    #[test]
    fn refuses_what_is_not_framed() {
        let chunked = Framing::Chunked(ChunkState::Size);
        for bad in
            [&b"x\r\n"[..], b"\r\n", b"-1\r\n", b"1\r\nabc\r\n", b"fffffffffffffffff\r\n", &[b'1'; 2000]]
        {
            assert!(decode(chunked, bad).is_err(), "{bad:?}");
        }
    }
}
