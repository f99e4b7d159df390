//! The receiver on real directories: what it stores, what it refuses, and who waits for whom.

mod admin;
mod admission;
mod checks;
mod objects;
mod release;
mod sessions;
mod support;
mod watchdogs;
