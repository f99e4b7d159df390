//! Metrics to a StatsD server by UDP, in the lines of Swift's daemons (Swift: common/statsd_client.py).
//!
//! A [`Statsd`] never waits: a line goes into a bounded queue, and one task sends what stands there. Where nobody listens,
//! where the name of the host is not known, or where the queue is full, lines are lost and nothing else is.

#![forbid(unsafe_code)]

mod chance;
mod client;
mod labels;
mod sender;

pub use client::{Statsd, StatsdSettings};
pub use labels::{BadLabel, LabelMode, Labels};
