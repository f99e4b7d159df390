//! What is counted, and its instruments.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use opentelemetry::{KeyValue, metrics::Meter};

use crate::{Tls, tls::Inner};

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
        self.reloads_kept.fetch_add(1, Ordering::Relaxed);
        self.reload_fails.store(true, Ordering::Relaxed);
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

    /// Shows handshakes, reloads, and when the certificate ends. The instruments fall silent when this is gone.
    pub fn observe(&self, meter: &Meter) {
        let inner = Arc::downgrade(&self.inner);
        counter(meter, "ssync_tls_handshakes", "Handshakes of callers", inner.clone(), Counters::handshakes);
        counter(meter, "ssync_tls_reloads", "Replaced certificates", inner.clone(), Counters::reloads);
        let of = inner.clone();
        meter
            .u64_observable_gauge("ssync_tls_reload_failing")
            .with_description("Whether the files were replaced by what cannot be used")
            .with_callback(move |instrument| {
                if let Some(inner) = of.upgrade() {
                    let fails = inner.counters.reload_fails.load(Ordering::Relaxed);
                    instrument.observe(u64::from(fails), &[]);
                }
            })
            .build();
        meter
            .i64_observable_gauge("ssync_tls_certificate_not_after_seconds")
            .with_description("The second since 1970 at which the certificate in use ends")
            .with_callback(move |instrument| {
                if let Some(inner) = inner.upgrade() {
                    instrument.observe(Tls { inner }.material().not_after, &[]);
                }
            })
            .build();
    }
}

fn counter(
    meter: &Meter,
    name: &'static str,
    what: &'static str,
    of: Weak<Inner>,
    read: fn(&Counters) -> [(u64, &'static str); 2],
) {
    meter
        .u64_observable_counter(name)
        .with_description(what)
        .with_callback(move |instrument| {
            let values = of.upgrade().map(|inner| read(&inner.counters));
            for (value, result) in values.into_iter().flatten() {
                instrument.observe(value, &[KeyValue::new("result", result)]);
            }
        })
        .build();
}
