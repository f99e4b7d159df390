//! Exhaustive search of what can happen while handoffs let go of their objects.
//!
//! A [`Scope`] says who there is and what may happen, and how often. [`search::search`] visits every state that can be
//! reached, each step being one thing that one process does alone, and looks in each for something that a client was told is
//! stored and that is on no disk any more. What decides without I/O is the code that is shipped: the removal machine,
//! [`want`](crate::want), [`may_unlink`](ssync_types::may_unlink). The rest is modelled after the receiver and the
//! replicator, each rule with a switch ([`rules::Rules`]): without any one of them the search must find the loss.
//!
//! Not modelled: reclaiming, erasure coding, content types of their own, the disk below a flush.

mod actions;
mod client;
mod directory;
mod machine;
mod rules;
mod scope;
mod search;
mod sending;
mod state;
mod stock;
mod tests;
mod unlinking;
