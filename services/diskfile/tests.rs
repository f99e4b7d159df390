//! What this crate does on a real file system.
