//! Lines, and bodies of known length, out of a stream that comes in pieces of any size.

use bytes::{Bytes, BytesMut};

/// Longest line, with its end: Swift's network_chunk_size.
pub const LINE_BYTES_MAX: usize = 65_536;

/// Why there is no line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Longer than [`LINE_BYTES_MAX`], or the stream ended within it. (Swift has one text for both.)
    #[error("missing newline")]
    MissingNewline,
}

/// What has come and was not yet taken. It holds at most one line and one piece.
#[derive(Debug, Default)]
pub struct LineBuffer {
    /// The beginning of a line, from earlier pieces.
    begun: BytesMut,
    /// The rest of the newest piece.
    piece: Bytes,
}

impl LineBuffer {
    /// Nothing has come yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a piece. Ask for one only when [`line`](Self::line) or [`take`](Self::take) had nothing to give.
    pub fn push(&mut self, piece: Bytes) {
        self.begun.extend_from_slice(&self.piece);
        self.piece = piece;
    }

    /// The next line, with its end; `None` when more must come first.
    pub fn line(&mut self) -> Result<Option<Bytes>, LineError> {
        let end = self.piece.iter().position(|&b| b == b'\n').map(|at| at + 1);
        if self.begun.len() + end.unwrap_or(self.piece.len()) > LINE_BYTES_MAX {
            return Err(LineError::MissingNewline);
        }
        let Some(end) = end else {
            self.begun.extend_from_slice(&self.piece);
            self.piece = Bytes::new();
            return Ok(None);
        };
        let tail = self.piece.split_to(end);
        if self.begun.is_empty() {
            return Ok(Some(tail));
        }
        self.begun.extend_from_slice(&tail);
        Ok(Some(self.begun.split().freeze()))
    }

    /// At most `bytes_max` bytes of what has come, without regard to lines; empty when more must come first.
    pub fn take(&mut self, bytes_max: usize) -> Bytes {
        if self.begun.is_empty() {
            return self.piece.split_to(bytes_max.min(self.piece.len()));
        }
        self.begun.split_to(bytes_max.min(self.begun.len())).freeze()
    }

    /// The stream has ended: an error when it ended within a line.
    pub fn end(&self) -> Result<(), LineError> {
        let empty = self.begun.is_empty() && self.piece.is_empty();
        empty.then_some(()).ok_or(LineError::MissingNewline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_lines_and_bodies_whatever_the_pieces() {
        let stream = b":UPDATES: START\r\nPUT /a/c/o\r\n\r\nbo\ndyDELETE /a/c/p\r\n";
        for size in 1..=stream.len() {
            let mut pieces = stream.chunks(size);
            let mut buffer = LineBuffer::new();
            let mut line = |buffer: &mut LineBuffer| loop {
                match buffer.line().unwrap() {
                    Some(line) => break line,
                    None => buffer.push(Bytes::copy_from_slice(pieces.next().unwrap())),
                }
            };
            assert_eq!(line(&mut buffer), &b":UPDATES: START\r\n"[..]);
            assert_eq!(line(&mut buffer), &b"PUT /a/c/o\r\n"[..]);
            assert_eq!(line(&mut buffer), &b"\r\n"[..]);
            let mut body = Vec::new();
            while body.len() < 5 {
                let part = buffer.take(5 - body.len());
                if part.is_empty() {
                    buffer.push(Bytes::copy_from_slice(pieces.next().unwrap()));
                }
                body.extend(part);
            }
            assert_eq!(body, b"bo\ndy");
            let mut rest = |buffer: &mut LineBuffer| loop {
                match buffer.line().unwrap() {
                    Some(line) => break line,
                    None => buffer.push(Bytes::copy_from_slice(pieces.next().unwrap())),
                }
            };
            assert_eq!(rest(&mut buffer), &b"DELETE /a/c/p\r\n"[..]);
            assert_eq!(buffer.end(), Ok(()));
        }
    }

    #[test]
    fn gives_a_begun_line_as_body_too() {
        let mut buffer = LineBuffer::new();
        buffer.push(Bytes::from_static(b"abc"));
        assert_eq!(buffer.line(), Ok(None));
        buffer.push(Bytes::from_static(b"def"));
        assert_eq!(buffer.take(2), &b"ab"[..]);
        assert_eq!(buffer.take(9), &b"c"[..]);
        assert_eq!(buffer.take(9), &b"def"[..]);
        assert_eq!(buffer.take(9), Bytes::new());
    }

    #[test]
    fn bounds_a_line() {
        let longest = [vec![b'x'; LINE_BYTES_MAX - 1], b"\n".to_vec()].concat();
        let mut buffer = LineBuffer::new();
        buffer.push(Bytes::from(longest.clone()));
        assert_eq!(buffer.line().unwrap().unwrap().len(), LINE_BYTES_MAX);
        for pieces in [vec![vec![b'x'; LINE_BYTES_MAX + 1]], vec![b"x".to_vec(), longest]] {
            let mut buffer = LineBuffer::new();
            let last = pieces.into_iter().map(|piece| {
                buffer.push(Bytes::from(piece));
                buffer.line()
            });
            assert_eq!(last.last(), Some(Err(LineError::MissingNewline)));
        }
    }

    #[test]
    fn knows_an_end_within_a_line() {
        let mut buffer = LineBuffer::new();
        buffer.push(Bytes::from_static(b"PUT"));
        assert_eq!(buffer.end(), Err(LineError::MissingNewline));
        assert_eq!(buffer.line(), Ok(None));
        assert_eq!(buffer.end(), Err(LineError::MissingNewline));
    }
}
