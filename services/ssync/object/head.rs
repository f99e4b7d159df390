//! A HEAD of a Swift object server, ours or stock: the request, and an answer read leniently, for the names and values of
//! its headers are tenants'.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, bail, ensure};
use ssync_protocol::quote;
use ssync_types::{DeviceName, ObjectPath, Partition, PolicyIndex};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Most bytes of an answer's head: Swift's metadata fit into it many times.
const HEAD_BYTES_MAX: usize = 1 << 20;

/// An answer's status and headers, names in lower case. Of headers that come twice the last counts.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    headers: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Head {
    /// A header's value, where it is text.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.headers.get(name.as_bytes()).and_then(|value| std::str::from_utf8(value).ok())
    }

    pub(super) fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let mut lines = bytes.split(|&b| b == b'\n').map(<[u8]>::trim_ascii_end);
        let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
        let mut words = first.split_ascii_whitespace();
        let version = words.next().unwrap_or_default();
        let status = words.next().and_then(|word| word.parse().ok());
        let Some(status) = status.filter(|_| version.starts_with("HTTP/1.")) else {
            bail!("it answered no HTTP: {:?}", first.chars().take(60).collect::<String>());
        };
        let mut headers = BTreeMap::new();
        for line in lines {
            if let Some(colon) = line.iter().position(|&b| b == b':') {
                let (name, value) = line.split_at(colon);
                let value = value.get(1..).unwrap_or_default().trim_ascii();
                headers.insert(name.to_ascii_lowercase(), value.to_vec());
            }
        }
        Ok(Self { status, headers })
    }
}

/// The text of a request: expired objects are shown too, and fragments that are not durable.
pub(super) fn request(
    address: &str,
    device: &DeviceName,
    partition: Partition,
    policy: PolicyIndex,
    path: &ObjectPath,
) -> Vec<u8> {
    let mut request = format!("HEAD /{device}/{partition}").into_bytes();
    request.extend(quote(path.as_bytes()));
    request.extend_from_slice(
        format!(
            " HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nUser-Agent: ssync/{}\r\n\
             X-Backend-Storage-Policy-Index: {policy}\r\nX-Backend-Open-Expired: true\r\n\
             X-Backend-Fragment-Preferences: []\r\n\r\n",
            env!("CARGO_PKG_VERSION")
        )
        .as_bytes(),
    );
    request
}

/// Sends a request on a connection of its own and reads the answer's head, all within `limit`.
pub(super) async fn exchange(address: &str, request: &[u8], limit: Duration) -> anyhow::Result<Head> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.context("cannot be reached")?;
        stream.write_all(request).await.context("took no request")?;
        let mut bytes = Vec::new();
        loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                bytes.truncate(end);
                return Head::parse(&bytes);
            }
            ensure!(bytes.len() < HEAD_BYTES_MAX, "the head of its answer has no end");
            let read = stream.read_buf(&mut bytes).await.context("broke off its answer")?;
            ensure!(read > 0, "closed the connection without an answer");
        }
    };
    timeout(limit, exchange).await.map_err(|_| anyhow::anyhow!("did not answer within {limit:?}"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_tenants_have_put_into_headers() {
        let head =
            Head::parse(b"HTTP/1.1 200 OK\r\nX-Object-Meta-\xff: \xfe\r\nETag: \"x\"\r\nno header\r\n")
                .unwrap();
        assert_eq!((head.status, head.get("etag")), (200, Some("\"x\"")));
        assert_eq!(head.get("x-object-meta-a"), None);
        for bad in [&b""[..], b"HTTP/1.1", b"HTTP/1.1 abc", b"SSH-2.0-x 200"] {
            assert!(Head::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn quotes_names() {
        let path = ObjectPath::of("a", "c", "o o\r\nX: y").unwrap();
        let request = request("h:1", &"d1".parse().unwrap(), Partition::new(3), PolicyIndex::new(1), &path);
        let text = String::from_utf8(request).unwrap();
        assert!(text.starts_with("HEAD /d1/3/a/c/o%20o%0D%0AX%3A%20y HTTP/1.1\r\n"), "{text}");
        assert!(text.contains("X-Backend-Storage-Policy-Index: 1\r\n"));
    }
}
