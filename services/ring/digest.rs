//! A digest by which two nodes see whether they place partitions alike.

use sha2::{Digest as _, Sha256};

use crate::{RingDevice, assignments::Row};

/// How many assignments are hashed at a time.
const BATCH: usize = 4096;

/// The digest of who is where and holds what. Weights, notes and counts of changes are left out: they place nothing.
pub(crate) fn digest(devices: &[Option<RingDevice>], rows: &[Row], part_power: u32) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"ssync ring 1\0");
    hash.update(part_power.to_be_bytes());
    for device in devices.iter().flatten() {
        hash.update([1]);
        hash.update(device.id.to_be_bytes());
        hash.update(device.region.to_be_bytes());
        hash.update(device.zone.to_be_bytes());
        for text in [device.ip.as_str(), device.replication_ip.as_str(), device.device.as_str()] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        hash.update(device.port.to_be_bytes());
        hash.update(device.replication_port.to_be_bytes());
    }
    for row in rows {
        hash.update([2]);
        hash.update((row.len() as u64).to_be_bytes());
        for start in (0..row.len()).step_by(BATCH) {
            let batch = start..row.len().min(start + BATCH);
            let ids: Vec<u8> =
                batch.flat_map(|part| row.get(part).unwrap_or(u32::MAX).to_be_bytes()).collect();
            hash.update(&ids);
        }
    }
    hash.finalize().into()
}
