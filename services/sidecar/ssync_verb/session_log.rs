//! What the operator hears of a conversation, in the form of Swift's log (ssync_receiver.py SsyncAnnotatedLogger).

use std::{fmt, net::SocketAddr};

use ssync_types::PartitionRef;

/// Says who was spoken with, and about which partition.
#[derive(Debug, Clone)]
pub(super) struct SessionLog(String);

impl SessionLog {
    pub(super) fn new(peer: SocketAddr, partition: &PartitionRef) -> Self {
        let (remote, device, number) = (peer.ip(), &partition.device, partition.partition);
        Self(format!("ssync receiver (remote_addr: {remote}, path: {device}/{number})"))
    }

    pub(super) fn debug(&self, text: &str) {
        tracing::debug!("{self} {text}");
    }

    pub(super) fn warning(&self, text: &str) {
        tracing::warn!("{self} {text}");
    }

    pub(super) fn error(&self, text: &str) {
        tracing::error!("{self} {text}");
    }
}

impl fmt::Display for SessionLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
