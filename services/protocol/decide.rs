//! What a receiver wants of what it is offered, and when a session has gone wrong for good.

use ssync_types::{ObjectKind, Offer, Timestamp, Want};

/// What a receiver has of one object, as its files say it (Swift: diskfile.py open; for erasure coding: of the session's
/// fragment index).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalState {
    /// What counts; `None` when there is nothing, or nothing that can be opened.
    pub newest: Option<LocalVersion>,
    /// Times of fragments of the session's index that are here without a durable mark and are newer than what is
    /// durable. Empty for replication policies.
    pub undurable: Vec<Timestamp>,
}

impl LocalState {
    /// Nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// This version, and no fragments without a mark.
    #[must_use]
    pub fn of(version: LocalVersion) -> Self {
        Self { newest: Some(version), undurable: Vec::new() }
    }
}

/// The version that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalVersion {
    /// A body, perhaps with newer metadata.
    Data {
        /// The time of the body.
        data: Timestamp,
        /// The newest time of all.
        metadata: Timestamp,
        /// The time of the content type.
        content_type: Timestamp,
    },
    /// It was deleted at this time.
    Tombstone(Timestamp),
}

impl LocalVersion {
    /// The time of the body or tombstone.
    #[must_use]
    pub fn time(self) -> Timestamp {
        match self {
            Self::Data { data, .. } => data,
            Self::Tombstone(time) => time,
        }
    }
}

/// What to ask of the sender for one offer; `None` when nothing is lacking.
///
/// Swift: ssync_receiver.py `_check_local` and `encode_wanted`, with three differences. A fragment that lacks only its
/// durable mark is asked for as such, where Swift marks it at once: a check writes nothing. And where the sender says
/// that it has a tombstone, a body of the same time does not stand against it (diskfile.py `_process_ondisk_files`). And beside
/// an older tombstone the metadata are asked for with the body: Swift takes the body alone, and its own handoff lets go of
/// both then.
#[must_use]
pub fn want(local: &LocalState, offer: &Offer) -> Option<Want> {
    let has_undurable = local.undurable.contains(&offer.data)
        && local.newest.is_none_or(|version| version.time() < offer.data);
    if has_undurable {
        return want_beside_undurable(local, offer);
    }
    let Some(version) = local.newest else {
        return Some(Want { hash: offer.hash, data: true, metadata: true, durable_mark: false });
    };
    let data = lacks_data(version, offer);
    let revives = data && matches!(version, LocalVersion::Tombstone(_)) && offer.metadata > offer.data;
    let metadata = revives || lacks_metadata(version, offer);
    some(Want { hash: offer.hash, data, metadata, durable_mark: false })
}

/// The offered fragment is here, without its mark.
fn want_beside_undurable(local: &LocalState, offer: &Offer) -> Option<Want> {
    if offer.durable {
        // What else is lacking shows when the fragment counts: the sender's metadata is asked for if there is any.
        let metadata = offer.metadata > offer.data;
        return Some(Want { hash: offer.hash, data: false, metadata, durable_mark: true });
    }
    let metadata = local.newest.is_some_and(|version| lacks_metadata(version, offer));
    some(Want { hash: offer.hash, data: false, metadata, durable_mark: false })
}

fn lacks_data(version: LocalVersion, offer: &Offer) -> bool {
    match (version, offer.kind) {
        (LocalVersion::Data { data, .. }, Some(ObjectKind::Tombstone)) => offer.data >= data,
        _ => offer.data > version.time(),
    }
}

fn lacks_metadata(version: LocalVersion, offer: &Offer) -> bool {
    let LocalVersion::Data { metadata, content_type, .. } = version else {
        return false;
    };
    offer.metadata > metadata || (offer.content_type > content_type && offer.content_type > offer.data)
}

fn some(want: Want) -> Option<Want> {
    (want.data || want.metadata || want.durable_mark).then_some(want)
}

/// How many updates of a session may fail before it is ended (`replication_failure_threshold`,
/// `replication_failure_ratio`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailureLimits {
    /// So many failures are let pass in any case.
    pub threshold: u64,
    /// Beyond them: failures for each success.
    pub ratio: f64,
}

impl Default for FailureLimits {
    fn default() -> Self {
        Self { threshold: 100, ratio: 1.0 }
    }
}

impl FailureLimits {
    /// Whether to end the session (Swift: ssync_receiver.py updates).
    #[must_use]
    pub fn exceeded(self, successes: u64, failures: u64) -> bool {
        // Both counts are far below 2^52.
        failures >= self.threshold && (successes == 0 || failures as f64 / successes as f64 > self.ratio)
    }
}

/// Whether a session that has taken `updates` may take another; a maximum of 0 is none.
#[must_use]
pub fn may_go_on(updates: u64, session_updates_max: u64) -> bool {
    session_updates_max == 0 || updates < session_updates_max
}

#[cfg(test)]
mod tests;
