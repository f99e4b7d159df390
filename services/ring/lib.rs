//! Swift's rings, storage policies and swift.conf: which devices hold which partition.

#![forbid(unsafe_code)]

mod assignments;
mod balance;
mod checksum;
mod constraints;
mod device;
mod digest;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod handoffs;
mod load;
mod local;
mod policy;
mod ring;
mod ring_file;
mod swift_conf;
mod write;

#[cfg(test)]
mod tests;

pub use constraints::Constraints;
pub use device::{DEVICES_MAX, RingDevice};
pub use error::{RingError, SwiftConfError};
pub use handoffs::Handoffs;
pub use load::RING_BYTES_MAX;
pub use local::LocalAddresses;
pub use policy::{Policies, Policy, PolicyKind};
pub use ring::{Primary, REPLICAS_MAX, Ring};
pub use ring_file::{RingEvent, RingFile};
pub use swift_conf::SwiftConf;
