//! What this crate does on a real file system.

mod batching;
mod bed;
mod coded;
mod confirming;
mod crash;
mod damage;
mod differential;
mod directories;
mod errors;
mod format;
mod hashing;
mod inspecting;
mod locking;
mod pending;
mod reading;
mod reclaiming;
mod reference;
mod releasing;
mod removals;
mod sheaves;
mod space;
mod sweeping;
mod watch;
mod writing;
