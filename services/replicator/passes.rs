//! Whole passes between nodes with real disks and receivers.

mod handoffs;
mod hanging;
mod peers;
mod primaries;
mod single;
