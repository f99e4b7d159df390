//! One request and its answer on a connection.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::{
    Connection, HttpError, Part, RequestHead, Response, ResponseBody,
    body::Framing,
    chunked::{Chunked, Step},
};

/// What may be left unread of a body for the connection to be kept.
const DRAIN_BYTES_MAX: u64 = 1 << 20;

/// One request and its answer.
pub(crate) struct Exchange<'c> {
    connection: &'c mut Connection,
    /// The request's head.
    pub(crate) head: RequestHead,
    /// The peer waits for `100 Continue`, and has not got one yet.
    continue_due: bool,
    /// What was read cannot be trusted to end where it should: close.
    broken: bool,
    /// Bytes of the answer's body that were written.
    bytes_written: u64,
    /// When an answer in chunks began.
    begun: Option<Instant>,
}

impl<'c> Exchange<'c> {
    pub(crate) fn new(connection: &'c mut Connection, head: RequestHead) -> Self {
        let continue_due = head.expects_continue && !head.framing.is_done();
        Self { connection, head, continue_due, broken: false, bytes_written: 0, begun: None }
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.connection.peer()
    }

    /// How long a read may take.
    pub(crate) fn read_limit(&self) -> std::time::Duration {
        self.connection.limits().read
    }

    /// The next piece of the request's body; `None` at its end. Sends `100 Continue` first where the peer waits for it.
    pub(crate) async fn read_body(&mut self) -> Result<Option<Bytes>, HttpError> {
        if self.continue_due {
            self.send_continue(&[]).await?;
        }
        let piece = self.read_piece().await;
        self.broken |= piece.is_err();
        piece
    }

    /// The whole body, where it is not long and has come with its head, so that nobody need wait for it.
    pub(crate) fn take_body(&mut self, bytes_max: u64) -> Option<Bytes> {
        let Framing::Length(length) = &mut self.head.framing else { return None };
        let input = self.connection.input();
        let bytes = usize::try_from(*length).ok().filter(|&bytes| bytes <= input.len())?;
        if self.head.expects_continue || *length > bytes_max {
            return None;
        }
        *length = 0;
        Some(input.split_to(bytes).freeze())
    }

    async fn read_piece(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let input = self.connection.input();
            match &mut self.head.framing {
                Framing::None | Framing::Length(0) => return Ok(None),
                Framing::Length(left) if !input.is_empty() => {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    *left -= length as u64;
                    return Ok(Some(input.split_to(length).freeze()));
                }
                Framing::Length(_) => {}
                Framing::Chunked(chunked) => match chunked.step(input)? {
                    Step::Piece(piece) => return Ok(Some(piece)),
                    Step::End => return Ok(None),
                    Step::More => {}
                },
            }
            if self.connection.fill().await? == 0 {
                return Err(HttpError::Disconnected);
            }
        }
    }

    /// Sends `100 Continue`, with headers if the protocol above asks for them; it may be sent more than once.
    pub(crate) async fn send_continue(&mut self, headers: &[(&str, &str)]) -> Result<(), HttpError> {
        self.continue_due = false;
        let mut head = b"HTTP/1.1 100 Continue\r\n".to_vec();
        for (name, value) in headers {
            head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        self.connection.write(&head).await?;
        self.connection.flush().await
    }

    /// Sends `100 Continue` again, in the middle of a request. A body in chunks that has ended goes on with another, as
    /// eventlet's server has it and Swift's proxy counts on (proxy/controllers/obj.py MIMEPutter).
    pub(crate) async fn continue_again(&mut self, headers: &[(&str, &str)]) -> Result<(), HttpError> {
        self.send_continue(headers).await?;
        if let Framing::Chunked(chunked) = &mut self.head.framing
            && chunked.is_done()
        {
            *chunked = Chunked::new();
        }
        Ok(())
    }

    /// Sends a whole answer.
    pub(crate) async fn respond(&mut self, response: Response) -> Result<(), HttpError> {
        let is_head = self.head.method.as_ref() == b"HEAD";
        let length = self.announced(&response);
        self.settle_keep_alive();
        self.connection.write(&response.head(length, self.connection_header())).await?;
        match response.body {
            ResponseBody::Full(bytes) | ResponseBody::Page(bytes) if !is_head => {
                self.write_body(&bytes).await?;
            }
            ResponseBody::Stream(bytes, body) if !is_head => {
                self.stream(&[Part { head: Bytes::new(), bytes }], body).await?;
            }
            ResponseBody::Parts(parts, body) if !is_head => self.stream(&parts, body).await?,
            _ => {}
        }
        self.connection.flush().await
    }

    async fn stream(&mut self, parts: &[Part], mut body: ssync_store::Body) -> Result<(), HttpError> {
        let mut piece = Bytes::new();
        for part in parts {
            self.write_body(&part.head).await?;
            let mut left = part.bytes;
            while left > 0 {
                if piece.is_empty() {
                    piece = next_piece(&mut body).await?.ok_or_else(|| broken("less"))?;
                }
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
                self.write_body(&piece.split_to(length)).await?;
                left -= length as u64;
            }
        }
        // The store says last whether the whole was sound.
        match next_piece(&mut body).await? {
            None if piece.is_empty() => Ok(()),
            _ => Err(broken("more")),
        }
    }

    async fn write_body(&mut self, piece: &[u8]) -> Result<(), HttpError> {
        self.connection.write(piece).await?;
        self.bytes_written += piece.len() as u64;
        Ok(())
    }

    /// When an answer in chunks began, if one did.
    pub(crate) fn begun(&self) -> Option<std::time::Instant> {
        self.begun.map(Instant::into_std)
    }

    /// The length of an answer's body, as its head says.
    pub(crate) fn announced(&self, response: &Response) -> Option<u64> {
        response.body.length(self.head.method.as_ref() == b"HEAD")
    }

    /// Bytes of the answer's body that were sent.
    pub(crate) fn bytes_sent(&self) -> u64 {
        self.bytes_written.saturating_sub(self.connection.unsent())
    }

    /// Begins an answer in chunks, which may go on while the request's body is read.
    pub(crate) async fn begin(&mut self, response: &Response) -> Result<(), HttpError> {
        // This is the answer: a `100 Continue` would come in the middle of it.
        self.continue_due = false;
        self.begun = Some(Instant::now());
        let mut framing = vec![("Transfer-Encoding", "chunked")];
        framing.extend(self.connection_header());
        self.connection.write(&response.head(None, &framing)).await
    }

    /// Adds one chunk.
    pub(crate) async fn send_chunk(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        if bytes.is_empty() {
            // It would end the answer.
            return Ok(());
        }
        self.connection.write(format!("{:x}\r\n", bytes.len()).as_bytes()).await?;
        self.connection.write(bytes).await?;
        self.connection.write(b"\r\n").await
    }

    /// Sends what was gathered.
    pub(crate) async fn flush(&mut self) -> Result<(), HttpError> {
        self.connection.flush().await
    }

    /// Ends an answer in chunks.
    pub(crate) async fn finish_chunks(&mut self) -> Result<(), HttpError> {
        self.connection.write(b"0\r\n\r\n").await?;
        self.connection.flush().await
    }

    /// The connection is not to be used again.
    pub(crate) fn give_up(&mut self) {
        self.broken = true;
    }

    /// Decides, before the head is sent, whether the connection can be kept.
    fn settle_keep_alive(&mut self) {
        let too_much = self.head.framing.length().is_some_and(|left| left > DRAIN_BYTES_MAX);
        // A peer that never got its 100 may send the body or not: nobody knows where the next request begins.
        if self.continue_due || self.broken || too_much {
            self.head.keep_alive = false;
        }
    }

    fn connection_header(&self) -> &'static [(&'static str, &'static str)] {
        if self.head.keep_alive { &[] } else { &[("Connection", "close")] }
    }

    /// Reads what is left of the body. Whether the connection can serve another request.
    pub(crate) async fn finish(mut self) -> bool {
        if !self.head.keep_alive || self.broken || self.continue_due {
            return false;
        }
        let deadline = Instant::now() + self.read_limit();
        let mut drained: u64 = 0;
        loop {
            match timeout_at(deadline, self.read_body()).await {
                Ok(Ok(None)) => return true,
                Ok(Ok(Some(piece))) => drained += piece.len() as u64,
                Ok(Err(_)) | Err(_) => return false,
            }
            if drained > DRAIN_BYTES_MAX {
                return false;
            }
        }
    }
}

async fn next_piece(body: &mut ssync_store::Body) -> Result<Option<Bytes>, HttpError> {
    body.recv().await.transpose().map_err(|refusal| std::io::Error::other(refusal.to_string()).into())
}

fn broken(how: &str) -> HttpError {
    std::io::Error::other(format!("the store sent {how} than it announced")).into()
}
