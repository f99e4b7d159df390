//! Pushes objects to a storage node by ssync's contract, from a program of your own.
//!
//! A [`Client`] asks what a partition lacks ([`Client::lacking`], [`Client::check`]) and opens sessions ([`Client::open`]). A
//! session has two halves, which belong into two tasks: [`Updates`] takes bodies, metadata and deletions, [`Verdicts`] says what
//! became of each. Whoever only writes stands still when the session is full; whoever reads meanwhile never does.
//!
//! Everything that is refused is a [`Refusal`]: a [`Reason`] for programs, a text for people, and where it is worth another try
//! the time to come back ([`come_back_after`]). Connections, heartbeats, time-outs and TLS are those of
//! [`ssync_store::RemoteStore`], which the replicator uses, too.
//!
//! ```no_run
//! use ssync_client::{Client, Event, Put, types::{Metadata, ObjectPath, Offer, ObjectKind, PartitionRef, HashPathConfig, Timestamp}};
//!
//! # async fn push() -> Result<(), Box<dyn std::error::Error>> {
//! // Where the object belongs follows from its name, the salt in swift.conf and the ring's part power.
//! let path = ObjectPath::of("AUTH_test", "photos", "cat.jpg")?;
//! let hash = HashPathConfig::new("", "the salt of swift.conf")?.hash(&path);
//! let partition = PartitionRef {
//!     device: "sdb1".parse()?,
//!     partition: hash.partition(10),
//!     policy: ssync_client::types::PolicyIndex::new(0),
//!     fragment: None,
//! };
//! let timestamp = Timestamp::from_system_time(std::time::SystemTime::now());
//!
//! let client = Client::to("http://127.0.0.1:6200", "my-pusher/1.0")?;
//! let offer = Offer::of_one_time(hash, timestamp, Some(ObjectKind::Data));
//! if client.lacking(partition.clone(), vec![offer]).await?.is_empty() {
//!     return Ok(()); // it is there, as far as a hint goes
//! }
//!
//! let (mut updates, mut verdicts) = client.open(partition).await?;
//! let put = Put { path, timestamp, content_length: 4, metadata: Metadata::new() };
//! let id = updates.put(put, "meow".into(), "4a4be40c96ac6314e91d93f38043a634").await?;
//! updates.finish();
//! while let Some(event) = verdicts.next().await? {
//!     if let Event::Results(results) = event {
//!         assert!(results.iter().all(|result| result.update_id == id && result.outcome.is_safe()));
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! `examples/rust/push.rs` is a whole program of it.

#![forbid(unsafe_code)]

mod client;
#[cfg(test)]
mod tests;
mod updates;
mod verdicts;

pub use client::{Client, come_back_after};
pub use ssync_store::{CheckAnswer, CheckAnswers, RemoteSettings as Settings};
pub use ssync_types::{Outcome, Reason, Refusal, UpdateResult};
pub use updates::{Body, Put, Updates};
pub use verdicts::{Event, Verdicts};

/// The nouns: paths, hashes, timestamps, offers, wants.
pub mod types {
    pub use ssync_types::*;
}
