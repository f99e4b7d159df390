//! What the sender says: lines, and bodies of known length, out of the request's chunks.

use bytes::Bytes;
use ssync_protocol::{LineBuffer, Marker, repr_bytes};

use super::fault::Fault;
use crate::http::{Exchange, HttpError};

/// How much of an unexpected line is quoted.
const QUOTED_BYTES_MAX: usize = 1024;

/// The sender's side of a conversation. After an error it gives nothing more: nobody knows where the next line begins.
pub(super) struct Input<'e, 'c> {
    exchange: &'e mut Exchange<'c>,
    buffer: LineBuffer,
    ended: bool,
    poisoned: bool,
}

impl<'e, 'c> Input<'e, 'c> {
    pub(super) fn new(exchange: &'e mut Exchange<'c>) -> Self {
        Self { exchange, buffer: LineBuffer::new(), ended: false, poisoned: false }
    }

    /// To write to, between reads.
    pub(super) fn exchange(&mut self) -> &mut Exchange<'c> {
        self.exchange
    }

    /// The next line; `None` at the end of the request. `context` says where the conversation is, for messages.
    pub(super) async fn line(&mut self, context: &str) -> Result<Option<Bytes>, Fault> {
        loop {
            let missing = |error| Fault::Unreadable(format!("{context}: {error}"));
            if let Some(line) = self.buffer.line().map_err(missing)? {
                return Ok(Some(line));
            }
            if !self.more(context).await? {
                self.buffer.end().map_err(missing)?;
                return Ok(None);
            }
        }
    }

    /// At most `bytes_max` bytes of a body. The end of the request within it is an error.
    pub(super) async fn piece(&mut self, bytes_max: u64, context: &str) -> Result<Bytes, Fault> {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        loop {
            let piece = self.buffer.take(bytes_max);
            if !piece.is_empty() {
                return Ok(piece);
            }
            if !self.more(context).await? {
                return Err(Fault::Unreadable(format!("Early termination for {context}")));
            }
        }
    }

    /// Reads on; false at the end of the request.
    async fn more(&mut self, context: &str) -> Result<bool, Fault> {
        if self.poisoned {
            return Err(Fault::Unreadable(format!("{context}: an earlier read failed")));
        }
        if self.ended {
            return Ok(false);
        }
        match self.exchange.read_body().await {
            Ok(Some(piece)) => {
                self.buffer.push(piece);
                Ok(true)
            }
            Ok(None) => {
                self.ended = true;
                Ok(false)
            }
            Err(error) => {
                self.poisoned = true;
                Err(self.fault(&error, context))
            }
        }
    }

    fn fault(&self, error: &HttpError, context: &str) -> Fault {
        match error {
            // As Python writes a float of seconds.
            HttpError::Timeout => {
                let limit = self.exchange.read_limit().as_secs_f64();
                let plural = if limit == 1.0 { "" } else { "s" };
                Fault::Silent(format!("{limit:?} second{plural}: {context}"))
            }
            error => Fault::Unreadable(format!("{context}: {error}")),
        }
    }

    /// The line that must stand here.
    pub(super) async fn expect(&mut self, marker: Marker, context: &str) -> Result<(), Fault> {
        match self.line(context).await? {
            // Swift: SsyncClientDisconnected.
            None => Err(Fault::Left(marker.text())),
            Some(line) if Marker::of(&line) == Some(marker) => Ok(()),
            Some(line) => {
                let quoted = match line.get(..QUOTED_BYTES_MAX) {
                    Some(head) if line.len() > QUOTED_BYTES_MAX => repr_bytes(&[head, b"..."].concat()),
                    _ => repr_bytes(&line),
                };
                Err(Fault::text(0, format!("Looking for {} got {quoted}", marker.text())))
            }
        }
    }
}
