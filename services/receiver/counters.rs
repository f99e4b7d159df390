//! What the receiver has done since it began.

use std::sync::atomic::{AtomicU64, Ordering};

use ssync_instruments::Instrument;
use ssync_types::Reason;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident as $metric:literal,)*) => {
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
            /// Sessions that were not admitted, by reason.
            pub(crate) refused: ByReason,
            /// Updates and offers that failed, by reason.
            pub(crate) failed: ByReason,
        }

        /// What the receiver has done since it began.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct CountersSnapshot {
            $($(#[doc = $doc])+ pub $name: u64,)*
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> CountersSnapshot {
                CountersSnapshot { $($name: self.$name.get(),)* }
            }
        }

        impl CountersSnapshot {
            /// As metrics, in the order of [`named`](Self::named).
            pub(crate) const INSTRUMENTS: &'static [Instrument] =
                &[$(Instrument::counter($metric, &[], concat!($($doc),+).trim_ascii()),)*];

            /// Names and numbers.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

counters! {
    /// Sessions that held their locks.
    sessions_accepted as "ssync_receiver_sessions_accepted",
    /// Sessions refused because of a limit or a lock.
    sessions_refused as "ssync_receiver_sessions_refused",
    /// Offers checked.
    offers_checked as "ssync_receiver_offers_checked",
    /// Wants answered.
    offers_wanted as "ssync_receiver_offers_wanted",
    /// Updates stored.
    updates_applied as "ssync_receiver_updates_applied",
    /// Offers confirmed, and updates that were here already.
    updates_confirmed as "ssync_receiver_updates_confirmed",
    /// Updates and offers that lost against something newer.
    updates_superseded as "ssync_receiver_updates_superseded",
    /// Updates and offers that failed.
    updates_failed as "ssync_receiver_updates_failed",
    /// Bytes of bodies stored for sessions.
    replicated_bytes as "ssync_receiver_replicated_bytes",
    /// Objects released.
    objects_released as "ssync_receiver_objects_released",
    /// Objects released of which the log of removals does not say so.
    removals_unrecorded as "ssync_receiver_removals_unrecorded",
    /// Single requests answered.
    requests as "ssync_receiver_requests",
    /// Updates of listings kept for Swift's object updater.
    async_pendings as "ssync_receiver_async_pendings",
    /// Objects that reading has sent to quarantine.
    quarantines as "ssync_receiver_quarantines",
}

/// Numbers that only grow, one for each reason that a refusal can have.
#[derive(Debug)]
pub(crate) struct ByReason([Counter; Reason::ALL.len()]);

impl Default for ByReason {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl ByReason {
    pub(crate) fn add(&self, reason: Reason) {
        let place = Reason::ALL.iter().position(|known| *known == reason);
        if let Some(counter) = place.and_then(|place| self.0.get(place)) {
            counter.add(1);
        }
    }

    /// Of the reasons that there have been.
    pub(crate) fn counts(&self) -> Vec<(Reason, u64)> {
        let counts = Reason::ALL.into_iter().zip(self.0.iter().map(Counter::get));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
