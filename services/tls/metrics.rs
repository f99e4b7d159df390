//! What is counted, and its instruments.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use opentelemetry::metrics::Meter;
use ssync_instruments::Instrument;

use crate::Tls;

const HANDSHAKES: Instrument =
    Instrument::counter("ssync_tls_handshakes", &["result"], "Handshakes of callers: accepted, or refused");
const RELOADS: Instrument = Instrument::counter(
    "ssync_tls_reloads",
    &["result"],
    "Replaced certificates: taken, or not, and the old ones kept",
);
const RELOAD_FAILING: Instrument = Instrument::gauge(
    "ssync_tls_reload_failing",
    &[],
    "1 while the files are what cannot be used, and the certificate of before counts",
);
const NOT_AFTER: Instrument = Instrument::gauge(
    "ssync_tls_certificate_not_after_seconds",
    &[],
    "When the certificate in use ends, in seconds since 1970",
);

#[derive(Debug, Default)]
pub(crate) struct Counters {
    accepted: AtomicU64,
    refused: AtomicU64,
    reloads_taken: AtomicU64,
    reloads_kept: AtomicU64,
    reload_fails: AtomicBool,
}

impl Counters {
    pub(crate) fn taken(&self) {
        self.reloads_taken.fetch_add(1, Ordering::Relaxed);
        self.recovered();
    }

    pub(crate) fn kept(&self) {
        // Once for files that stay bad, however often they are looked at.
        if !self.reload_fails.swap(true, Ordering::Relaxed) {
            self.reloads_kept.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn recovered(&self) {
        self.reload_fails.store(false, Ordering::Relaxed);
    }

    fn handshakes(&self) -> [(u64, &'static str); 2] {
        read([(&self.accepted, "accepted"), (&self.refused, "refused")])
    }

    fn reloads(&self) -> [(u64, &'static str); 2] {
        read([(&self.reloads_taken, "taken"), (&self.reloads_kept, "kept")])
    }
}

fn read(counters: [(&AtomicU64, &'static str); 2]) -> [(u64, &'static str); 2] {
    counters.map(|(counter, result)| (counter.load(Ordering::Relaxed), result))
}

impl Tls {
    /// Counts a handshake that a caller began and that came to nothing before its end: for want of time, or of a place.
    pub fn count_broken_off(&self) {
        self.count_handshake(false);
    }

    pub(crate) fn count_handshake(&self, accepted: bool) {
        let counters = &self.inner.counters;
        let counter = if accepted { &counters.accepted } else { &counters.refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// All that [`observe`](Self::observe) shows.
    #[must_use]
    pub fn instruments() -> Vec<Instrument> {
        vec![HANDSHAKES, RELOADS, RELOAD_FAILING, NOT_AFTER]
    }

    /// Shows handshakes, reloads, and when the certificate ends. The instruments fall silent when this is gone.
    pub fn observe(&self, meter: &Meter) {
        self.observe_results(meter, HANDSHAKES, Counters::handshakes);
        self.observe_results(meter, RELOADS, Counters::reloads);
        let inner = Arc::downgrade(&self.inner);
        RELOAD_FAILING.observe_one(meter, move || {
            Some(u64::from(inner.upgrade()?.counters.reload_fails.load(Ordering::Relaxed)))
        });
        let inner = Arc::downgrade(&self.inner);
        NOT_AFTER.observe_one(meter, move || {
            let not_after = Tls { inner: inner.upgrade()? }.material().not_after;
            // What ended before 1970 has ended.
            Some(u64::try_from(not_after).unwrap_or_default())
        });
    }

    fn observe_results(
        &self,
        meter: &Meter,
        instrument: Instrument,
        read: fn(&Counters) -> [(u64, &'static str); 2],
    ) {
        let inner = Arc::downgrade(&self.inner);
        instrument.observe(meter, move |values| {
            let counted = inner.upgrade().map(|inner| read(&inner.counters));
            for (value, result) in counted.into_iter().flatten() {
                values.observe(value, &[instrument.label(result)]);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_stay_bad_are_counted_once() {
        let counters = Counters::default();
        counters.kept();
        counters.kept();
        assert_eq!(counters.reloads(), [(0, "taken"), (1, "kept")]);
        counters.taken();
        counters.kept();
        assert_eq!(counters.reloads(), [(1, "taken"), (2, "kept")]);
    }
}
