//! What operators read, of stock Swift and of ours: log lines, StatsD packets, `/recon`, swift-recon, and the filters of the
//! pipeline.
//!
//! Each story is told to `swift-object-server`, then to ours in both shapes, on the same address and the same device.

mod filters;
mod recon;
mod requests;
mod told;
