//! A peer that is still Python: REPLICATE and SSYNC over HTTP/1.1, with their quirks (Swift: obj/ssync_sender.py).

mod answer;
mod body;
mod connection;
mod conversation;
mod peer;
mod read;
#[cfg(test)]
mod tests;

pub(crate) use peer::{Limits, SsyncPeer};
