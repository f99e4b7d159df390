//! What waits for Swift's object updater.

use std::fs;

use ssync_types::{DeviceName, ListingOp, Metadata, PendingUpdate};

use super::{
    device::BODY,
    document::{Block, Document},
};
use crate::{
    digest,
    tests::bed::{Bed, WHOLE, path},
};

const FILE: &str = "async_pending/e31/4e2772c453cbe15a19b26fbfbb223e31-1380144470.00000";

/// The document's update.
pub(super) fn update() -> PendingUpdate {
    let mut headers = Metadata::new();
    headers.set("X-Size", BODY.len().to_string());
    headers.set("X-Content-Type", "text/plain");
    headers.set("X-Timestamp", "1380144470.00000");
    headers.set("X-Etag", digest::hex(<md5::Md5 as md5::Digest>::new_with_prefix(BODY)));
    let device: DeviceName = "sda".parse().unwrap();
    let (policy, op) = (WHOLE, ListingOp::Put);
    PendingUpdate { device, policy, op, path: path("o"), headers, container_path: None, db_state: None }
}

pub(super) fn pending(_: &Document, block: &Block) {
    let bed = Bed::new();
    bed.device.write_pending(&update()).unwrap();
    let written = fs::read_to_string(bed.real(FILE)).unwrap();
    assert_eq!(written, block.lines.join("\n"));
}
