//! The windows in which stock Swift loses what clients have stored, and that are shut here: `docs/safety.md` has the list.
//!
//! Each story is told of stock Swift first, where it must end with the loss: so it is known that the test would see it. Then
//! it is told of this program, to a peer that speaks gRPC and to a stock peer.

#[path = "../history/direct.rs"]
#[allow(dead_code, reason = "these stories need less of it than those of tests/history")]
mod direct;
mod meanwhile;
mod outside;
mod skipped;

use ssync_tests::{Replicator, Server, Shape};

const OURS: Server = Server::Ssync(Shape::OneProcess);
const STOCK: Server = Server::Stock;

fn replicator_of(server: Server) -> Replicator {
    if server == STOCK { Replicator::Stock } else { Replicator::Ssync }
}
