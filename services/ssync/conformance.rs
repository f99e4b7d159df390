//! Conformance: vectors of the contract (`proto/conformance`), played against a live receiver.

mod disk;
mod judge;
mod play;
mod vectors;
mod wire;
mod world;

pub(crate) use disk::Disk;
pub(crate) use play::{Player, Verdict};
pub(crate) use vectors::{Vector, all};
pub(crate) use world::{Place, World};
