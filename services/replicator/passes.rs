//! Whole passes between nodes with real disks and receivers.

mod handoffs;
mod hanging;
mod primaries;
mod single;
