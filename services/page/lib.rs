//! The status page: what the contract tells of a node, as HTML that needs no script and nothing from elsewhere.
//!
//! A [`Report`] holds the contract's own messages, so that the page cannot tell another story than the commands; [`html`] draws it,
//! and looks at nothing else. All text is escaped by the macro that writes it.

#![forbid(unsafe_code)]

mod chart;
mod charts;
mod devices;
mod document;
mod figures;
mod held_up;
mod limits;
mod nodes;
mod parked;
mod pass;
mod report;
mod sentence;
mod sessions;
mod style;
mod table;
mod units;

pub use document::html;
pub use report::{Elsewhere, Receives, Report, State, Who};
pub use sentence::{Sentence, Tone, sentences};
pub use style::content_security_policy;
pub use units::{byte_rate, bytes, count, counted};

#[cfg(test)]
mod tests;
