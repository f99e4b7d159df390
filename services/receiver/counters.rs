//! What the receiver has done since it began.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        /// What the receiver has done since it began.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct CountersSnapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> CountersSnapshot {
                CountersSnapshot { $($name: self.$name.get(),)* }
            }
        }

        impl CountersSnapshot {
            /// Names and numbers, for metrics.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

counters! {
    /// Sessions that held their locks.
    sessions_accepted,
    /// Sessions refused because of a limit or a lock.
    sessions_refused,
    /// Offers checked.
    offers_checked,
    /// Wants answered.
    offers_wanted,
    /// Updates stored.
    updates_applied,
    /// Offers confirmed, and updates that were here already.
    updates_confirmed,
    /// Updates and offers that lost against something newer.
    updates_superseded,
    /// Updates and offers that failed.
    updates_failed,
    /// Bytes of bodies stored for sessions.
    replicated_bytes,
    /// Objects released.
    objects_released,
    /// Objects released of which the log of removals does not say so.
    removals_unrecorded,
    /// Single requests answered.
    requests,
    /// Updates of listings kept for Swift's object updater.
    async_pendings,
    /// Objects that reading has sent to quarantine.
    quarantines,
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
