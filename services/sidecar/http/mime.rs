//! The documents of a multipart body, taken apart as it comes (RFC 2046, 5.1; Swift: utils iter_multipart_mime_documents).

use bytes::Bytes;
use memchr::{memchr, memmem, memrchr};

use super::HttpError;

/// Longest boundary: Swift's proxy makes one of 64 bytes.
const BOUNDARY_BYTES_MAX: usize = 256;
/// Most bytes before the first boundary, and most of the headers of a document.
const HEAD_BYTES_MAX: usize = 8192;
const LINE_END: &[u8] = b"\r\n";
const LAST: &[u8] = b"--";

/// A multipart body, one step after the other. It holds no more than what was fed last, and the beginnings of a boundary
/// or a head.
#[derive(Debug)]
pub(crate) struct Documents {
    /// What stands between two documents: a line end, two dashes and the boundary.
    delimiter: memmem::Finder<'static>,
    /// Fed, not yet taken.
    input: Bytes,
    /// Nothing more will be fed.
    ended: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Before the first boundary, of which so many bytes were passed over.
    Start(usize),
    /// In a document's headers.
    Head(MimeHead),
    /// Behind them.
    Body,
    /// Behind the last document.
    Over,
}

/// What came next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MimeStep {
    /// More must be fed, or the end be told.
    More,
    /// A document begins.
    Head(MimeHead),
    /// A piece of its body.
    Piece(Bytes),
    /// It has ended.
    End,
    /// There are no further documents.
    Over,
}

/// A document's headers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct MimeHead {
    lines: Vec<Bytes>,
    bytes: usize,
}

impl MimeHead {
    /// The first value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.lines.iter().find_map(|line| {
            let colon = memchr(b':', line)?;
            let (found, value) = (line.get(..colon)?, line.get(colon + 1..)?);
            found.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii_start())
        })
    }

    fn push(&mut self, line: Bytes) -> Result<(), HttpError> {
        self.bytes += line.len() + LINE_END.len();
        if self.bytes > HEAD_BYTES_MAX {
            return Err(head_too_long());
        }
        self.lines.push(line);
        Ok(())
    }
}

const fn head_too_long() -> HttpError {
    HttpError::bad("the headers of a MIME document are too long")
}

impl Documents {
    /// `None` for a boundary that is empty or too long.
    pub(crate) fn new(boundary: &[u8]) -> Option<Self> {
        if boundary.is_empty() || boundary.len() > BOUNDARY_BYTES_MAX {
            return None;
        }
        let delimiter = [LINE_END, LAST, boundary].concat();
        let delimiter = memmem::Finder::new(&delimiter).into_owned();
        Some(Self { delimiter, input: Bytes::new(), ended: false, state: State::Start(0) })
    }

    /// More of the body.
    pub(crate) fn feed(&mut self, piece: Bytes) {
        self.input =
            if self.input.is_empty() { piece } else { Bytes::from([&self.input[..], &piece].concat()) };
    }

    /// The body has ended. What is open ends with it.
    pub(crate) fn finish(&mut self) {
        self.ended = true;
    }

    /// Bytes that were fed and not taken.
    pub(crate) fn untaken(&self) -> usize {
        self.input.len()
    }

    /// Takes what it can.
    pub(crate) fn step(&mut self) -> Result<MimeStep, HttpError> {
        if !self.start()? {
            return Ok(MimeStep::More);
        }
        match self.state {
            State::Start(_) | State::Head(_) => self.head(),
            State::Body => Ok(self.body()),
            State::Over => Ok(MimeStep::Over),
        }
    }

    /// Passes over empty lines and the first boundary; false when more must come.
    fn start(&mut self) -> Result<bool, HttpError> {
        let State::Start(passed) = &mut self.state else { return Ok(true) };
        while self.input.starts_with(LINE_END) {
            let _ = self.input.split_to(LINE_END.len());
            *passed += LINE_END.len();
        }
        let first = [&self.delimiter.needle()[LINE_END.len()..], LINE_END].concat();
        if self.input.starts_with(&first) {
            let _ = self.input.split_to(first.len());
            self.state = State::Head(MimeHead::default());
            return Ok(true);
        }
        let may_come = first.starts_with(&self.input) || LINE_END.starts_with(&self.input);
        match may_come && !self.ended && *passed <= HEAD_BYTES_MAX {
            true => Ok(false),
            false => Err(HttpError::bad("the body does not begin with its MIME boundary")),
        }
    }

    /// A document's headers end with an empty line, or with the document.
    fn head(&mut self) -> Result<MimeStep, HttpError> {
        loop {
            let State::Head(head) = &mut self.state else { return Ok(MimeStep::More) };
            let end = memmem::find(&self.input, LINE_END);
            let at_boundary = end.is_some() && end == self.delimiter.find(&self.input);
            let whole = match end {
                _ if at_boundary || self.ended => true,
                // The line end might be the first of a boundary.
                Some(end) => !may_begin(self.delimiter.needle(), &self.input[end..]),
                None => false,
            };
            if !whole {
                return match self.input.len() + head.bytes > HEAD_BYTES_MAX {
                    true if end.is_none() => Err(head_too_long()),
                    _ => Ok(MimeStep::More),
                };
            }
            let line = self.input.split_to(end.unwrap_or(self.input.len()));
            if !at_boundary && end.is_some() {
                let _ = self.input.split_to(LINE_END.len());
            }
            let last = line.is_empty() || at_boundary || end.is_none();
            if !line.is_empty() {
                head.push(line)?;
            }
            if last {
                let head = std::mem::take(head);
                self.state = State::Body;
                return Ok(MimeStep::Head(head));
            }
        }
    }

    fn body(&mut self) -> MimeStep {
        let needle = self.delimiter.needle();
        match self.delimiter.find(&self.input) {
            Some(0) => {
                let behind = self.input.get(needle.len()..).unwrap_or_default();
                if behind.len() < LAST.len() && !self.ended {
                    return MimeStep::More;
                }
                let over = behind.starts_with(LAST);
                let length = needle.len() + behind.len().min(LAST.len());
                let _ = self.input.split_to(length);
                self.state = if over { State::Over } else { State::Head(MimeHead::default()) };
                MimeStep::End
            }
            Some(at) => MimeStep::Piece(self.input.split_to(at)),
            None if self.ended && self.input.is_empty() => {
                self.state = State::Over;
                MimeStep::End
            }
            None => {
                let held = if self.ended { 0 } else { begun(needle, &self.input) };
                match self.input.len() - held {
                    0 => MimeStep::More,
                    free => MimeStep::Piece(self.input.split_to(free)),
                }
            }
        }
    }
}

/// Whether `input` is the beginning of `needle` and no more.
fn may_begin(needle: &[u8], input: &[u8]) -> bool {
    input.len() < needle.len() && needle.starts_with(input)
}

/// How many bytes at the end of `input` may be the beginning of `needle`, in which only the first byte is a CR.
fn begun(needle: &[u8], input: &[u8]) -> usize {
    let from = input.len().saturating_sub(needle.len());
    match memrchr(b'\r', &input[from..]) {
        Some(at) if may_begin(needle, &input[from + at..]) => input.len() - from - at,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
