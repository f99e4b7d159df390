//! A node that one server after the other serves, and what is asked of it.

use std::{fs, net::SocketAddr};

use anyhow::Result;
use ssync_tests::{Answer, Node, Server, Shape, exchange};

/// Stock Swift, and ours that must be like it.
pub(crate) const SERVERS: [Server; 3] =
    [Server::Stock, Server::Ssync(Shape::OneProcess), Server::Ssync(Shape::TwoOverUnix)];

/// Asks once, on a connection of its own.
pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "PUT" {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    let mut request = (request + "\r\n").into_bytes();
    request.extend_from_slice(body);
    exchange(address, &request)
}

/// Makes the device as it was at first.
pub(crate) fn wipe(node: &Node) -> Result<()> {
    fs::remove_dir_all(node.device())?;
    Ok(fs::create_dir(node.device())?)
}

/// Fails on the first difference.
pub(crate) fn assert_same(what: &str, server: Server, stock: &[String], ours: &[String]) {
    for (number, (stock, ours)) in stock.iter().zip(ours).enumerate() {
        assert_eq!(ours, stock, "{what} {number} of {server:?} is not stock's");
    }
    assert_eq!(ours.len(), stock.len(), "{what}: {server:?} says {ours:#?}, stock {stock:#?}");
}
