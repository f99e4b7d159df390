//! One request to a container's server, on a connection of its own (Swift: common/bufferedhttp.py http_connect).
//!
//! Written by hand as the server's side is: names and values of headers may hold bytes that other clients refuse to send,
//! and a container's server expects a PUT without a body, and without a length.

use std::{io, time::Duration};

use memchr::memmem;
use ssync_protocol::quote;
use ssync_types::{PendingUpdate, config_true};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{Target, resolver::Resolver, sendable::is_sendable};

/// Most bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// What most answers fit into.
const READ_BYTES: usize = 4096;
/// What an answer begins with.
const PROTOCOL: &[u8] = b"HTTP/1.";
/// Most headers of an answer.
const HEADERS_MAX: usize = 126;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("{0:?} is not address:port")]
    Address(String),
    #[error("{0} names of container servers are being looked up already; rings of numbers need no look-up")]
    LookUps(usize),
    #[error("no connection within {0:?} (conn_timeout)")]
    Connect(Duration),
    #[error("no answer within {0:?} (node_timeout)")]
    Answer(Duration),
    #[error("the answer is no HTTP: {0}")]
    NoHttp(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, Vec<u8>)>,
}

impl Answer {
    /// Reads a head; `None` when more must come.
    pub(super) fn parse(input: &[u8]) -> Result<Option<Self>, ClientError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(input).map_err(|error| ClientError::NoHttp(error.to_string()))?;
        if parsed.is_partial() {
            return Ok(None);
        }
        let headers = response.headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec()));
        Ok(Some(Self { status: response.code.unwrap_or(0), headers: headers.collect() }))
    }

    pub(super) fn is_success(&self) -> bool {
        self.status / 100 == 2
    }

    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_slice())
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.header(name).is_some_and(config_true)
    }
}

/// Sends an update, and waits for the answer.
pub(super) async fn send(
    resolver: &Resolver,
    target: &Target,
    update: &PendingUpdate,
    connect_limit: Duration,
    answer_limit: Duration,
) -> Result<Answer, ClientError> {
    let address = address(&target.host).ok_or_else(|| ClientError::Address(target.host.clone()))?;
    let request = request(address, target, update);
    let connect = async {
        let (host, port) = address;
        let mut stream = TcpStream::connect(&resolver.resolve(host, port).await?[..]).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&request).await?;
        Ok::<_, ClientError>(stream)
    };
    let connected = timeout(connect_limit, connect).await;
    let stream = connected.map_err(|_| ClientError::Connect(connect_limit))??;
    timeout(answer_limit, answer(stream)).await.map_err(|_| ClientError::Answer(answer_limit))?
}

async fn answer(mut stream: TcpStream) -> Result<Answer, ClientError> {
    let mut input = Vec::with_capacity(READ_BYTES);
    let mut seen = 0;
    loop {
        if stream.read_buf(&mut input).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if input.len() > HEAD_BYTES_MAX {
            return Err(ClientError::NoHttp(format!("its head has more than {HEAD_BYTES_MAX} bytes")));
        }
        // It is parsed once: when its end is there, or cannot be.
        if has_blank_line(&input, seen)
            || !PROTOCOL.starts_with(input.get(..PROTOCOL.len()).unwrap_or(&input))
        {
            let answer = Answer::parse(&input)?;
            return answer.ok_or_else(|| ClientError::NoHttp("its head has no end".to_owned()));
        }
        seen = input.len();
    }
}

/// Whether there is an empty line, of which no more than a piece is in the first `seen` bytes.
fn has_blank_line(input: &[u8], seen: usize) -> bool {
    let new = input.get(seen.saturating_sub(2)..).unwrap_or_default();
    memmem::find(new, b"\n\r\n").is_some() || memmem::find(new, b"\n\n").is_some()
}

/// Splits `address:port`; an IPv6 address stands there with or without brackets.
fn address(host: &str) -> Option<(&str, u16)> {
    let (address, port) = host.rsplit_once(':')?;
    let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
    let address = bare.unwrap_or(address);
    (!address.is_empty()).then_some(())?;
    Some((address, port.parse().ok()?))
}

/// The request, as Python's client writes it.
fn request((address, port): (&str, u16), target: &Target, update: &PendingUpdate) -> Vec<u8> {
    let (account, container, object) = update.path.parts();
    let own = [account, b"/", container].concat();
    let container = update.container_path.as_ref().map_or(&own[..], |path| path.as_bytes());
    let path = [b"/", &target.device[..], b"/", &target.partition, b"/", container, b"/", object].concat();
    let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    let host = if port == 80 { host } else { format!("{host}:{port}") };
    let mut request = [update.op.method().as_bytes(), b" ", &quote(&path), b" HTTP/1.1\r\nHost: "].concat();
    request.extend_from_slice(host.as_bytes());
    request.extend_from_slice(b"\r\nAccept-Encoding: identity\r\n");
    for (name, value) in update.headers.iter() {
        // A line break must not become a header of its own.
        if is_sendable(name, value) {
            request.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
    }
    request.extend_from_slice(b"\r\n");
    request
}

#[cfg(test)]
mod tests {
    use ssync_types::{ContainerPath, HeaderName, ListingOp, Metadata, ObjectPath, PolicyIndex};

    use tokio::net::TcpListener;

    use super::*;

    fn update() -> PendingUpdate {
        let mut headers = Metadata::new();
        headers.set("X-Timestamp", "0000000005.00000");
        headers.set("X-Etag", &b"\xff"[..]);
        headers.set("X-Trans-Id", "a\r\nX-Evil: 1");
        headers.insert(HeaderName::canonical(b"X-A: 1\r\nX-Evil"), "1");
        PendingUpdate {
            device: "sdb1".parse().unwrap(),
            policy: PolicyIndex::new(0),
            op: ListingOp::Put,
            path: ObjectPath::parse("/a/c/o p/\u{2603}").unwrap(),
            headers,
            container_path: None,
            db_state: None,
        }
    }

    fn target() -> Target {
        Target { host: "[::1]:6201".into(), device: b"sd b".to_vec(), partition: b"12".to_vec() }
    }

    #[test]
    fn writes_pythons_request() {
        let request_of = |update: &PendingUpdate| request(address("[::1]:6201").unwrap(), &target(), update);
        let expected = b"PUT /sd%20b/12/a/c/o%20p/%E2%98%83 HTTP/1.1\r\nHost: [::1]:6201\r\n\
            Accept-Encoding: identity\r\nX-Etag: \xff\r\nX-Timestamp: 0000000005.00000\r\n\r\n";
        assert_eq!(request_of(&update()).escape_ascii().to_string(), expected.escape_ascii().to_string());
        let container_path = Some(ContainerPath::parse(".shards_a/c-0").unwrap());
        let shard = request_of(&PendingUpdate { container_path, op: ListingOp::Delete, ..update() });
        assert!(shard.starts_with(b"DELETE /sd%20b/12/.shards_a/c-0/o%20p/%E2%98%83 HTTP/1.1\r\n"));
    }

    #[test]
    fn splits_addresses() {
        assert_eq!(address("127.0.0.1:6201"), Some(("127.0.0.1", 6201)));
        assert_eq!(address("fe80::1:6201"), Some(("fe80::1", 6201)));
        assert_eq!(address("node.example.org:80"), Some(("node.example.org", 80)));
        for bad in ["", "host", ":6201", "host:", "host:x", "host:70000"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }

    #[test]
    fn reads_answers() {
        let answer = Answer::parse(b"HTTP/1.1 201 Created\r\nX-Foo: Yes\r\n\r\n<html>").unwrap().unwrap();
        assert!(answer.is_success() && answer.is_true("x-foo") && answer.header("X-Bar").is_none());
        assert_eq!(Answer::parse(b"HTTP/1.1 201 Created\r\nX-Fo").unwrap(), None);
        assert!(Answer::parse(b"SSH-2.0-OpenSSH_9.6\r\n").is_err());
    }

    /// What comes of an answer that is written so.
    async fn heard(pieces: Vec<Vec<u8>>) -> Result<Answer, ClientError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let writer = tokio::spawn(async move {
            for piece in pieces {
                if server.write_all(&piece).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let heard = answer(stream).await;
        writer.await.unwrap();
        heard
    }

    #[tokio::test]
    async fn heads_come_in_any_pieces_and_have_an_end() {
        for end in ["\r\n\r\n", "\n\n"] {
            let head = format!("HTTP/1.1 201 Created{end}");
            let pieces = head.bytes().map(|byte| vec![byte]).collect();
            assert!(heard(pieces).await.unwrap().is_success());
        }
        let long =
            [b"HTTP/1.1 201 Created\r\nX-A: ".to_vec(), vec![b'a'; HEAD_BYTES_MAX], b"\r\n\r\n".to_vec()];
        // The end is there before the head is too long, or not at all.
        assert!(matches!(heard(long.to_vec()).await, Err(ClientError::NoHttp(_))));
        assert!(matches!(
            heard(vec![b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()]).await,
            Err(ClientError::NoHttp(_))
        ));
        assert!(matches!(heard(vec![b"HTTP/1.1 2".to_vec()]).await, Err(ClientError::Io(_))));
    }
}
