//! Swift's own functional tests on a cluster whose object servers are ssync, beside the same cluster as Swift ships it.
//!
//! The tests come from Swift's source distribution (`tests/functional/fetch`), run as they are, and are compared one by
//! one: ssync has to pass what stock Swift passes, and to fail and skip what that fails and skips. A part of them runs
//! each time; all of them by `tests/run --full`, or `tests/functional/run`.

mod basics;
mod comparison;
mod part;
mod suite;
mod whole;
