//! Instruments as tables: what is counted, under which name, in which unit. Who counts makes its instruments of its table, and
//! the list of all metrics in the documents is made of the same.

#![forbid(unsafe_code)]

mod instrument;

pub use instrument::{Instrument, Kind};
