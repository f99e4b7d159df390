//! A device as the ring knows it.

use std::{fmt, net::SocketAddr};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use ssync_types::{DeviceName, Invalid};

/// Most devices that a ring may have.
pub const DEVICES_MAX: usize = 1 << 20;

/// A device as the ring knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct RingDevice {
    /// Its number in the ring.
    pub id: u32,
    /// The failure domain of regions.
    pub region: u32,
    /// The failure domain of zones within a region.
    pub zone: u32,
    /// Address or host name where clients reach it.
    pub ip: String,
    /// Port where clients reach it.
    pub port: u16,
    /// Address or host name for replication.
    pub replication_ip: String,
    /// Port for replication.
    pub replication_port: u16,
    /// Its name: a directory under `devices`.
    pub device: DeviceName,
    /// Its share of the partitions, relative to the others'.
    pub weight: f64,
    /// What an operator noted about it.
    pub meta: String,
}

impl RingDevice {
    /// A device of region 1 with weight 100, at one address for clients and replication.
    pub fn local(id: u32, zone: u32, address: SocketAddr, device: &str) -> Result<Self, Invalid> {
        let ip = address.ip().to_string();
        Ok(Self {
            id,
            region: 1,
            zone,
            replication_ip: ip.clone(),
            ip,
            port: address.port(),
            replication_port: address.port(),
            device: device.parse()?,
            weight: 100.0,
            meta: String::new(),
        })
    }
}

/// A device as a ring file writes it.
#[derive(Deserialize)]
pub(crate) struct FileDevice {
    id: u32,
    region: u32,
    zone: u32,
    ip: String,
    port: u16,
    replication_ip: Option<String>,
    replication_port: Option<u16>,
    device: String,
    #[serde(default)]
    weight: f64,
    meta: Option<String>,
}

impl FileDevice {
    /// The device; one that stands at another place than its number says would be taken for another.
    pub(crate) fn at(self, position: usize) -> Result<RingDevice, String> {
        if usize::try_from(self.id) != Ok(position) {
            return Err(format!("device {} stands at place {position} of the list", self.id));
        }
        let device =
            self.device.parse().map_err(|invalid: Invalid| format!("device {}: {invalid}", self.id))?;
        // A ring older than replication networks names none (Swift: common/ring/ring.py normalize_devices).
        Ok(RingDevice {
            id: self.id,
            region: self.region,
            zone: self.zone,
            replication_ip: self.replication_ip.unwrap_or_else(|| self.ip.clone()),
            replication_port: self.replication_port.unwrap_or(self.port),
            ip: self.ip,
            port: self.port,
            device,
            weight: self.weight,
            meta: self.meta.unwrap_or_default(),
        })
    }
}

/// The devices as a ring file lists them. A list is refused at its first device too many: a `null` takes a hundred times the
/// room in memory that it takes in a compressed file, and more.
pub(crate) struct FileDevices(Vec<Option<FileDevice>>);

impl FileDevices {
    /// The devices by number.
    pub(crate) fn by_number(self) -> Result<Vec<Option<RingDevice>>, String> {
        let place = |(place, device): (usize, Option<FileDevice>)| device.map(|it| it.at(place)).transpose();
        self.0.into_iter().enumerate().map(place).collect()
    }
}

impl<'de> Deserialize<'de> for FileDevices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(DevicesVisitor)
    }
}

struct DevicesVisitor;

impl<'de> Visitor<'de> for DevicesVisitor {
    type Value = FileDevices;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of devices")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<FileDevices, A::Error> {
        let mut devices = Vec::new();
        while let Some(device) = list.next_element()? {
            if devices.len() == DEVICES_MAX {
                return Err(A::Error::custom(format!("it has more than {DEVICES_MAX} devices")));
            }
            devices.push(device);
        }
        Ok(FileDevices(devices))
    }
}
