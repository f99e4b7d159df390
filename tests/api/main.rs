//! The object server's HTTP as stock Swift answers it: each case is asked of `swift-object-server` and of ours, and the
//! answers, the files and the container updates are compared.
//!
//! A case is a row of the feature list, a name, and steps:
//!
//! ```ignore
//! case(51, "an older PUT is a conflict", [put().at(10).body("new"), put().at(5).body("old"), get()])
//! ```
//!
//! What may differ, and why, stands in `differences.rs`.

mod basics;
mod case;
mod compare;
mod differences;
mod fragment;
mod mime;
mod names;
mod operators;
mod put;
mod read;
mod recorder;
mod sessions;
mod ssync;
mod step;
mod updates;
mod wire;
