//! Requests to one node's object server, as a proxy would send them, at times that the test chooses.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use md5::{Digest as _, Md5};
use ssync_tests::{Answer, Node, exchange};

/// As the harness salts the paths of objects.
const SALT: &[u8] = b"changeme";
/// The clusters of these tests have 2^3 partitions.
const PART_POWER: u32 = 3;

/// An object's path and the partition that it lies in.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) path: String,
    pub(crate) partition: u32,
}

impl Object {
    pub(crate) fn named(name: &str) -> Self {
        let object = Self { path: format!("/AUTH_test/c/{name}"), partition: 0 };
        Self { partition: object.partition_of(PART_POWER), ..object }
    }

    fn digest(&self) -> [u8; 16] {
        Md5::new().chain_update(SALT).chain_update(&self.path).chain_update(SALT).finalize().into()
    }

    /// The name of its directory.
    pub(crate) fn hash(&self) -> String {
        self.digest().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Where it lies among 2^`power` partitions.
    pub(crate) fn partition_of(&self, power: u32) -> u32 {
        let hash = self.digest();
        u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]) >> (32 - power)
    }

    /// An object that lies in `partition`, named after `name`.
    pub(crate) fn within(partition: u32, name: &str) -> Self {
        let mut number = 0;
        loop {
            let object = Self::named(&format!("{name}-{number}"));
            if object.partition == partition {
                return object;
            }
            number += 1;
        }
    }
}

/// Seconds of an hour that has just passed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(u64);

impl Clock {
    pub(crate) fn start() -> Result<Self> {
        Ok(Self(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() - 3600))
    }

    /// In Swift's form.
    pub(crate) fn at(self, second: u64) -> String {
        format!("{:010}.00000", self.0 + second)
    }

    /// In whole seconds.
    pub(crate) fn second(self, second: u64) -> u64 {
        self.0 + second
    }
}

/// What a request changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) method: &'a str,
    pub(crate) timestamp: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
}

/// Sends it to `node`, and returns the answer whatever that is.
pub(crate) fn ask(node: &Node, object: &Object, change: Change<'_>) -> Result<Answer> {
    let mut request = format!(
        "{} /sdb1/{}{} HTTP/1.1\r\nHost: node\r\nConnection: close\r\nX-Timestamp: {}\r\n\
         X-Backend-Storage-Policy-Index: 0\r\nContent-Length: {}\r\n",
        change.method,
        object.partition,
        object.path,
        change.timestamp,
        change.body.len()
    );
    for (name, value) in change.headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    exchange(node.address(), &[request.as_bytes(), change.body].concat())
}

/// The same; fails unless it is done.
pub(crate) fn tell(node: &Node, object: &Object, change: Change<'_>) -> Result<()> {
    let answer = ask(node, object, change)?;
    // A DELETE of what is not there leaves its tombstone all the same.
    let done = matches!(answer.status, 200..300) || (change.method == "DELETE" && answer.status == 404);
    ensure!(done, "{} {}: {answer:?}", change.method, object.path);
    Ok(())
}

/// A whole body at a time.
pub(crate) fn put(node: &Node, object: &Object, timestamp: &str, body: &[u8]) -> Result<()> {
    let headers = [("Content-Type", "text/plain")];
    tell(node, object, Change { method: "PUT", timestamp, headers: &headers, body })
}

/// A tombstone at a time.
pub(crate) fn delete(node: &Node, object: &Object, timestamp: &str) -> Result<()> {
    tell(node, object, Change { method: "DELETE", timestamp, headers: &[], body: b"" })
}
