//! Rings that Swift made, and the devices that Swift names for every partition of them.

mod bad_files;
mod follow;
mod lookup;
mod made;
mod swift_conf;

use std::path::PathBuf;

use crate::{Ring, RingDevice};
use ssync_types::Partition;

fn testdata(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

fn primaries(ring: &Ring, partition: u32) -> Vec<u32> {
    let primaries = ring.primaries(Partition::new(partition));
    assert!(primaries.iter().map(|primary| primary.index).eq(0..primaries.len()));
    primaries.iter().map(|primary| primary.device.id).collect()
}

fn handoffs(ring: &Ring, partition: u32) -> Vec<u32> {
    ring.handoffs(Partition::new(partition)).map(|device| device.id).collect()
}

/// A device with the zone and region given, four to a region, two to a zone and an address.
fn device(id: u32) -> RingDevice {
    let local =
        RingDevice::local(id, (id / 2) % 2, ([10, 0, 0, (id / 2) as u8], 6200).into(), &format!("d{id}"))
            .unwrap();
    RingDevice { region: 1 + id / 4, ..local }
}
