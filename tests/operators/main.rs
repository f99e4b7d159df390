//! What operators read, of stock Swift and of ours: log lines, StatsD packets, `/recon`, swift-recon, metrics, and the filters of the
//! pipeline.
//!
//! Each story is told to `swift-object-server`, then to ours in both shapes, on the same address and the same device.

mod control;
mod deployed;
mod filters;
mod forecast;
mod fragments;
mod large;
mod looking;
mod objects;
mod on_demand;
mod one_story;
mod passes;
mod recon;
mod requests;
mod ssync;
mod told;
mod why_slow;
