//! Whole passes between nodes with real disks and receivers.

mod handoffs;
mod hanging;
mod interrupted;
mod parked;
mod paused;
mod peers;
mod primaries;
mod reload;
mod single;
