//! A client of one node's object API: what a Swift proxy is to it.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use ssync_types::ObjectPath;
use tokio::net::TcpStream;

use crate::demo::dataset::DemoObject;

/// A kept-alive connection.
pub(crate) struct Client {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

/// An answer, whole.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot reach {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the connection; what went wrong is seen by the request that it hits.
        tokio::spawn(connection);
        Ok(Self { address, sender })
    }

    /// Stores an object at a device of this node.
    pub(crate) async fn put(
        &mut self,
        device: &str,
        partition: u32,
        object: &DemoObject,
    ) -> anyhow::Result<()> {
        let mut request = Request::builder()
            .method(Method::PUT)
            .uri(object_uri(device, partition, &object.path))
            .header("X-Timestamp", object.timestamp.internal())
            .header("Content-Type", "application/octet-stream")
            // hyper leaves it out of a request without a body, and Swift asks for it.
            .header("Content-Length", object.size)
            .header("ETag", object.etag());
        for (name, value) in object.metadata() {
            request = request.header(name, value.as_bytes());
        }
        let answer = self.send(request.body(Full::new(object.body()))?).await?;
        if answer.status != StatusCode::CREATED {
            bail!("{} answered {} to a PUT of {}", self.address, answer.status, object.path);
        }
        Ok(())
    }

    /// Reads an object from a device of this node.
    pub(crate) async fn get(
        &mut self,
        device: &str,
        partition: u32,
        path: &ObjectPath,
    ) -> anyhow::Result<Answer> {
        self.send(Request::get(object_uri(device, partition, path)).body(Full::default())?).await
    }

    /// The pickled suffix hashes of a partition, as Swift's REPLICATE gives them.
    pub(crate) async fn suffix_hashes(&mut self, device: &str, partition: u32) -> anyhow::Result<Bytes> {
        let method = Method::from_bytes(b"REPLICATE")?;
        let request = Request::builder().method(method).uri(format!("/{device}/{partition}"));
        let answer = self.send(request.body(Full::default())?).await?;
        if answer.status != StatusCode::OK {
            bail!("{} answered {} to REPLICATE /{device}/{partition}", self.address, answer.status);
        }
        Ok(answer.body)
    }

    async fn send(&mut self, mut request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        request.headers_mut().insert("Host", self.address.to_string().parse()?);
        self.sender.ready().await.with_context(|| format!("{} closed the connection", self.address))?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        Ok(Answer { status: head.status, headers: head.headers, body: body.collect().await?.to_bytes() })
    }
}

fn object_uri(device: &str, partition: u32, path: &ObjectPath) -> String {
    let mut uri = format!("/{device}/{partition}");
    for &byte in path.as_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => uri.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => uri.push(byte.into()),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
