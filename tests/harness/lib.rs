//! Small Swift clusters on loopback for tests, made of stock Swift, of ssync, or of both.
//!
//! A test reads like the story that it checks:
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use ssync_tests::{Cluster, Replicator, Server};
//!
//! let cluster = Cluster::of(2).build()?;
//! cluster.node(1).write_tree(100)?;
//! let _peer = cluster.node(2).serve(Server::Stock)?;
//! cluster.node(1).replicate(Replicator::Stock)?;
//! cluster.node(1).read_tree()?.assert_same(&cluster.node(2).read_tree()?);
//! # Ok(())
//! # }
//! ```
//!
//! Each [`Cluster`] has a loopback network of its own (`127.x.y.0/24`), so tests run beside each other and every node can
//! use port 6200; or each of its nodes has a network namespace of its own, and can be cut off ([`Switch`]). Rings come from Swift's `RingBuilder`, objects are written and read back by Swift's own `DiskFile`
//! (`harness/python/`), so what is compared is never this project's view of itself. Daemons are killed when their guard
//! is dropped, or when the test dies; the end of each one's log is printed then, which nextest shows for a failed test.
//!
//! What it needs comes from `tests/run`, by environment:
//!
//! | variable | what | else |
//! |---|---|---|
//! | `SSYNC_BIN` | the binary under test | `target/release/ssync` |
//! | `SWIFT_VENV` | the virtual environment with stock Swift, grpcurl, grpcio | `target/swift-venv` |
//! | `SSYNC_EXAMPLES` | the folder of the clients that `examples/*/build` made | `target/examples` |
//! | `SSYNC_TEST_DISK` | a folder on the file system to test on (XFS where it can be mounted) | the temporary folder |

#![forbid(unsafe_code)]

mod certificates;
mod chance;
mod cloud;
mod cluster;
mod daemon;
mod http;
mod namespace;
mod network;
mod node;
mod proxies;
mod replicate;
mod rsync;
mod snapshot;
mod tap;
mod tools;
mod tree;

pub use certificates::Certificates;
pub use chance::Chance;
pub use cloud::{Client, Cloud, CloudBuilder};
pub use cluster::{Builder, Cluster};
pub use daemon::{Daemon, as_own_group};
pub use http::{Answer, Connection, dechunk, exchange};
pub use namespace::{Cut, Switch};
pub use node::{DEVICE, Node, Server, Serving, Shape};
pub use proxies::{BEHIND_PROXIES, PROXIED_PORT, Proxies};
pub use replicate::{Pass, Replicator};
pub use rsync::RSYNC_MODULE;
pub use snapshot::Snapshot;
pub use tap::{Conversation, Held, Tap};
pub use tools::{Helper, helper, repository, run_to_end, ssync_binary, venv_program};
pub use tree::{Tree, Written};
