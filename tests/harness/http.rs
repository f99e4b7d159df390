//! HTTP as bytes: a test says exactly what it sends, and sees exactly what comes back.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

/// Longest silence that a test waits through.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Status line and headers, each with its line end, without the blank line.
    pub head: String,
    /// The body, de-chunked.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The head with what differs from run to run taken out: dates and transaction ids.
    #[must_use]
    pub fn timeless_head(&self) -> String {
        let varies = ["date:", "x-trans-id:", "x-openstack-request-id:"];
        let keep = |line: &&str| !varies.iter().any(|name| line.to_ascii_lowercase().starts_with(name));
        self.head.lines().filter(keep).map(|line| format!("{line}\n")).collect()
    }

    /// Of the raw bytes of a whole answer.
    pub fn parse(raw: &[u8]) -> Result<Self> {
        let end = find(raw, b"\r\n\r\n").context("no end of headers")?;
        let head = String::from_utf8_lossy(&raw[..end + 2]).into_owned();
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        let mut answer = Self { status, head, body: raw[end + 4..].to_vec() };
        if answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            answer.body = dechunk(&answer.body)?;
        }
        Ok(answer)
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// The payload of a chunked body; what is missing at the end is not missed.
pub fn dechunk(mut raw: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(line) = find(raw, b"\r\n") {
        let size = std::str::from_utf8(&raw[..line])?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
            .with_context(|| format!("{size:?} is no chunk size"))?;
        if size == 0 {
            break;
        }
        let rest = &raw[line + 2..];
        body.extend_from_slice(&rest[..size.min(rest.len())]);
        raw = rest.get(size + 2..).unwrap_or_default();
    }
    Ok(body)
}

/// A connection on which the test says every byte.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// To `address`.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Waits so long for the next bytes, in place of the usual time.
    pub fn wait_at_most(&mut self, silence: Duration) -> Result<()> {
        Ok(self.stream.set_read_timeout(Some(silence))?)
    }

    /// Sends `bytes`. That the peer has closed is not an error: its answer says why.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Says that nothing more will come.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads until what has come so far holds `text`.
    pub fn wait_for(&mut self, text: &str) -> Result<()> {
        while find(&self.received, text.as_bytes()).is_none() {
            ensure!(self.read_some()?, "closed before {text:?} came: {:?}", self.received_text());
        }
        Ok(())
    }

    /// Reads to the end of the answer (by its length, its last chunk, or the close of the connection).
    pub fn answer(&mut self) -> Result<Answer> {
        while !self.is_complete() {
            if !self.read_some()? {
                break;
            }
        }
        Answer::parse(&self.received).with_context(|| format!("{:?}", self.received_text()))
    }

    /// What has come so far.
    #[must_use]
    pub fn received_text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    fn is_complete(&self) -> bool {
        let Some(end) = find(&self.received, b"\r\n\r\n") else { return false };
        let head = String::from_utf8_lossy(&self.received[..end]).to_ascii_lowercase();
        let body = &self.received[end + 4..];
        if head.starts_with("http/1.1 204") || head.starts_with("http/1.1 304") {
            return true;
        }
        if head.contains("transfer-encoding: chunked") {
            return body == b"0\r\n\r\n" || body.ends_with(b"\r\n0\r\n\r\n");
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        length.is_some_and(|length: usize| body.len() >= length)
    }

    fn read_some(&mut self) -> Result<bool> {
        let mut buffer = [0; 65536];
        match self.stream.read(&mut buffer) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                Ok(true)
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(false),
            // A signal came, for example because the machine slept.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(true),
            Err(error) => bail!("{error} after {:?}", self.received_text()),
        }
    }
}

/// Sends a whole request and returns the answer.
pub fn exchange(address: SocketAddr, request: &[u8]) -> Result<Answer> {
    let mut connection = Connection::open(address)?;
    connection.send(request);
    connection.answer()
}
