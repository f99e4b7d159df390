//! When a handoff may let go of an object (rules S2 to S4), as types that consume each other, free of I/O.
//!
//! ```text
//! Unsynced --offered--> Offered, confirmed by {set} --answer--> Releasable --into_item--> End::Unlinked
//!                          |  ^                 |                                  \---> End::Kept
//!                          +--+ Step::Waiting   +--> Step::Kept
//! ```
//!
//! No path leads from an object that was merely listed to one that is removed: a [`Releasable`] is made in one place, when
//! enough primaries have answered for exactly the version that was offered. The other half of the rule is the receiver's,
//! under its lock: [`ssync_types::may_unlink`] says against which listing of the object's directory a confirmed set of
//! files may go. (It stands in the types because the disk layer, which asks it, knows nothing of this crate.)

mod quorum;
mod state;

pub use quorum::{PRIMARIES_MAX, PeerIndex, PeerSet, Quorum};
pub use state::{End, Offered, Releasable, Step, Unsynced};

#[cfg(test)]
mod model;
