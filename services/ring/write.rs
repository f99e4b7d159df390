//! Writes rings of version 1, which every Swift reads.

use std::io::{self, Write as _};

use flate2::{Compression, GzBuilder};
use serde::Serialize;

use crate::{Ring, RingDevice, RingError};

/// The time in the gzip header of every ring, so that equal rings are equal files (Swift: ring.py RingData.save).
const GZIP_TIME: u32 = 1_300_507_380;

/// What a v1 ring says about itself. The fields are in the order of the alphabet, as Swift writes them.
#[derive(Serialize)]
struct Description<'a> {
    byteorder: &'static str,
    devs: Vec<Option<Device<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_part_power: Option<u32>,
    part_shift: u32,
    replica_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

#[derive(Serialize)]
struct Device<'a> {
    device: &'a str,
    id: u32,
    ip: &'a str,
    meta: &'a str,
    port: u16,
    region: u32,
    replication_ip: &'a str,
    replication_port: u16,
    weight: f64,
    zone: u32,
}

impl Ring {
    /// The ring as a file of version 1.
    pub fn to_v1(&self) -> Result<Vec<u8>, RingError> {
        let description =
            serde_json::to_vec(&self.description()).map_err(|error| RingError::Parts(error.to_string()))?;
        let mut body = b"R1NG\x00\x01".to_vec();
        let length = u32::try_from(description.len());
        body.extend(
            length
                .map_err(|_| RingError::Parts("it has too many devices for version 1".to_owned()))?
                .to_be_bytes(),
        );
        body.extend(description);
        for row in self.rows() {
            for partition in 0..row.len() {
                // Nobody is all ones; so a device of that number, or a greater one, cannot be written.
                let id = row.get(partition).map_or(Ok(u16::MAX), |id| u16::try_from(id).map_err(|_| id));
                let id = id.map_err(|id| {
                    RingError::Parts(format!("version 1 has no room for device number {id}"))
                })?;
                body.extend(id.to_le_bytes());
            }
        }
        compress(&body).map_err(|error| RingError::Parts(error.to_string()))
    }

    fn description(&self) -> Description<'_> {
        Description {
            byteorder: "little",
            devs: self.slots().iter().map(|slot| slot.as_ref().map(Device::of)).collect(),
            next_part_power: self.next_part_power(),
            part_shift: 32 - self.part_power(),
            replica_count: self.rows().len(),
            version: self.version(),
        }
    }
}

impl<'a> Device<'a> {
    fn of(device: &'a RingDevice) -> Self {
        Self {
            device: device.device.as_str(),
            id: device.id,
            ip: &device.ip,
            meta: &device.meta,
            port: device.port,
            region: device.region,
            replication_ip: &device.replication_ip,
            replication_port: device.replication_port,
            weight: device.weight,
            zone: device.zone,
        }
    }
}

fn compress(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(GZIP_TIME).write(Vec::new(), Compression::best());
    gzip.write_all(body)?;
    gzip.finish()
}
