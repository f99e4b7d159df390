//! A client that does a step's moves and keeps every answer.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::step::Move;

/// A server that says nothing for so long has nothing to say, even on a busy machine.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Asked after a request, to see whether the connection is still good for one.
const PROBE: &[u8] = b"GET /healthcheck HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";

/// One answer, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: String,
    /// Each line, sorted.
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

/// What became of the connection after the last answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It took one more request.
    Kept,
    /// It did not.
    Closed,
    /// An answer was waited for, and did not come.
    Silent,
}

#[derive(Debug)]
struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

/// Does the moves, then reads answers: the one that is due, and for a conversation byte by byte all until it is closed.
pub(crate) fn converse(
    address: SocketAddr,
    moves: &[Move],
    is_head: bool,
    probed: bool,
) -> Result<(Vec<Reply>, Ending)> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_nodelay(true)?;
    let mut wire = Wire { stream, received: Vec::new() };
    let mut replies = Vec::new();
    for step in moves {
        match step {
            // Whoever has closed has said why.
            Move::Say(bytes) => drop(wire.stream.write_all(bytes)),
            Move::Finish => drop(wire.stream.shutdown(Shutdown::Write)),
            Move::Pause(time) => thread::sleep(*time),
            Move::Hear => match wire.reply(is_head)? {
                Heard::Reply(reply) if !reply.is_interim() && probed => {
                    replies.push(reply);
                    break;
                }
                Heard::Reply(reply) => replies.push(reply),
                Heard::End => return Ok((replies, Ending::Closed)),
                Heard::Nothing => return Ok((replies, Ending::Silent)),
            },
        }
    }
    if !probed {
        return wire.all(replies, is_head);
    }
    while replies.last().is_none_or(Reply::is_interim) {
        match wire.reply(is_head)? {
            Heard::Reply(reply) => replies.push(reply),
            Heard::End => return Ok((replies, Ending::Closed)),
            Heard::Nothing => return Ok((replies, Ending::Silent)),
        }
    }
    let ending = wire.probe(&mut replies)?;
    Ok((replies, ending))
}

enum Heard {
    Reply(Reply),
    End,
    Nothing,
}

impl Wire {
    fn all(&mut self, mut replies: Vec<Reply>, is_head: bool) -> Result<(Vec<Reply>, Ending)> {
        loop {
            match self.reply(is_head)? {
                Heard::Reply(reply) => replies.push(reply),
                Heard::End => return Ok((replies, Ending::Closed)),
                Heard::Nothing => return Ok((replies, Ending::Silent)),
            }
        }
    }

    /// One more request; an answer that is not to it was to something before.
    fn probe(&mut self, replies: &mut Vec<Reply>) -> Result<Ending> {
        drop(self.stream.write_all(PROBE));
        match self.reply(false)? {
            Heard::Reply(reply) if reply.body == b"OK" => Ok(Ending::Kept),
            Heard::Reply(reply) => {
                replies.push(reply);
                Ok(Ending::Kept)
            }
            Heard::End => Ok(Ending::Closed),
            Heard::Nothing => Ok(Ending::Silent),
        }
    }

    fn reply(&mut self, is_head: bool) -> Result<Heard> {
        let end = loop {
            if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            match self.read_some()? {
                Some(true) => {}
                Some(false) if self.received.is_empty() => return Ok(Heard::End),
                // What came is no answer.
                Some(false) => {
                    let body = std::mem::take(&mut self.received);
                    return Ok(Heard::Reply(Reply {
                        status: "no answer".to_owned(),
                        headers: Vec::new(),
                        body,
                    }));
                }
                None => return Ok(Heard::Nothing),
            }
        };
        let head: String = self.take(end + 4).iter().map(|&byte| char::from(byte)).collect();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap_or_default().to_owned();
        let mut headers: Vec<String> = lines.map(str::to_owned).collect();
        headers.sort();
        let mut reply = Reply { status, headers, body: Vec::new() };
        reply.body = self.body(&reply, is_head)?;
        Ok(Heard::Reply(reply))
    }

    fn body(&mut self, reply: &Reply, is_head: bool) -> Result<Vec<u8>> {
        if is_head || reply.is_interim() || [" 204 ", " 304 "].iter().any(|code| reply.status.contains(code))
        {
            return Ok(Vec::new());
        }
        if reply.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            return self.chunks();
        }
        match reply.header("content-length") {
            Some(length) => self.exactly(length.parse()?),
            None => {
                while self.read_some()? == Some(true) {}
                Ok(std::mem::take(&mut self.received))
            }
        }
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                match self.received.windows(2).position(|window| window == b"\r\n") {
                    Some(at) => break self.take(at + 2),
                    None if self.read_some()? == Some(true) => {}
                    // Cut off, as an answer that fails half-way is.
                    None => return Ok([body, b"<cut off>".to_vec()].concat()),
                }
            };
            let size =
                usize::from_str_radix(std::str::from_utf8(&line)?.trim(), 16).context("a chunk's size")?;
            let data = self.exactly(size + 2)?;
            body.extend(&data[..size.min(data.len())]);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn exactly(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.received.len() < count {
            if self.read_some()? != Some(true) {
                let rest = std::mem::take(&mut self.received);
                return Ok([rest, b"<cut off>".to_vec()].concat());
            }
        }
        Ok(self.take(count))
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.received.drain(..count).collect()
    }

    /// Whether something came; `None` when it was silent.
    fn read_some(&mut self) -> Result<Option<bool>> {
        let mut buffer = [0; 65536];
        match self.stream.read(&mut buffer) {
            Ok(0) => Ok(Some(false)),
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                Ok(Some(true))
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(Some(false)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Reply {
    /// The status; 0 for what is no answer.
    pub(crate) fn code(&self) -> u16 {
        self.status.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default()
    }

    pub(crate) fn is_interim(&self) -> bool {
        self.status.contains(" 100 ")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}
