//! Where an object is: every device that has to hold it or may, what each answers, and what that means.

mod ask;
mod coded;
mod diagnosis;
mod grpc;
mod head;
mod removals;
mod replicated;
mod sites;
#[cfg(test)]
mod testing;
mod view;

pub(crate) use ask::{Question, ask_all};
pub(crate) use diagnosis::{Diagnosis, Place, Problem, diagnose};
pub(crate) use removals::{Record, records};
pub(crate) use sites::{HandoffChoice, Role, Site, sites};
pub(crate) use view::{Shown, print, to_json};

use ssync_types::{FragmentSet, Timestamp};

/// A device's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It has a body, or a fragment of one.
    Data(Box<Copy>),
    /// It has a tombstone of this time.
    Tombstone(Timestamp),
    /// It has nothing.
    Nothing,
    /// It could not be asked, or could not tell.
    Failed(String),
}

/// What a device tells of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copy {
    /// The time of the body.
    pub(crate) data: Timestamp,
    /// The newest time of all: of the body, or of a POST after it.
    pub(crate) newest: Timestamp,
    /// The time of the content type, where it is known.
    pub(crate) content_type: Option<Timestamp>,
    /// The time of the newest durable body. Whole copies have it always.
    pub(crate) durable: Option<Timestamp>,
    /// Of the object: of a fragment it is that of the whole.
    pub(crate) etag: String,
    /// Bytes of the object: of a fragment they are those of the whole.
    pub(crate) bytes: Option<u64>,
    /// Erasure coding: the fragments there.
    pub(crate) fragments: Vec<FragmentSet>,
    /// When it expires, in seconds since the epoch.
    pub(crate) delete_at: Option<u64>,
}

/// A device and its answer.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) site: Site,
    pub(crate) answer: Answer,
}
