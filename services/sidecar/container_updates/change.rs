//! The request that has changed an object.

use std::process;

use bytes::Bytes;
use ssync_types::{Metadata, ObjectRef, Timestamp};

use crate::{http::RequestHead, path::Path};

/// The request that has changed an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'r> {
    pub(crate) request: &'r RequestHead,
    pub(crate) path: &'r Path,
    /// The request's headers, after its checks have settled what they mean.
    pub(crate) headers: &'r Metadata,
    pub(crate) object: &'r ObjectRef,
    pub(crate) timestamp: Timestamp,
}

impl Change<'_> {
    /// Names, in an update, the request that it came of.
    pub(super) fn sign(&self, headers: &mut Metadata) {
        let transaction = self.headers.get("X-Trans-Id").cloned();
        headers.set("X-Trans-Id", transaction.unwrap_or(Bytes::from_static(b"-")));
        headers.set("Referer", self.referer());
        headers.set("User-Agent", format!("object-server {}", process::id()));
    }

    /// Method and address of the request (Swift: swob.py as_referer).
    fn referer(&self) -> Vec<u8> {
        let host = self.headers.get("Host").map_or(&b"localhost"[..], Bytes::as_ref);
        let host = host.strip_suffix(b":80").unwrap_or(host);
        let quoted = self.path.quoted();
        let target: &[u8] = &self.request.target;
        let query = target.iter().position(|&b| b == b'?').and_then(|at| target.get(at..));
        // A mark with nothing behind it is no query.
        let query = query.filter(|query| query.len() > 1).unwrap_or_default();
        [&self.request.method[..], b" http://", host, quoted.as_bytes(), query].concat()
    }

    /// A header of the request as a list of names, of which one may be empty.
    pub(super) fn list(&self, name: &str) -> Vec<&[u8]> {
        let value = self.headers.get(name).map(Bytes::as_ref).unwrap_or_default();
        value.split(|&b| b == b',').map(<[u8]>::trim_ascii).collect()
    }
}
