//! Real disks, real processes: Swift's and ours on the same partitions, and disks that hang or go away.

mod hanging;
mod ledger;
mod mounted;
mod peer;
mod together;
mod writers;
