//! What went wrong with replication once, in Swift or elsewhere, and does not here: `docs/history.md` has the list.
//!
//! Each test is named by what it guards. Objects are written by plain requests to single nodes, with times that the test
//! chooses, so that nodes differ in exactly one way; what the nodes hold in the end is read by Swift's own code.

mod clients;
mod direct;
mod halves;
mod handoffs;
mod hashes;
mod metadata;
mod partition_power;
mod session;
mod timestamps;
