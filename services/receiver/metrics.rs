//! The receiver's instruments.

use std::sync::Arc;

use opentelemetry::metrics::{AsyncInstrument, Meter};
use ssync_instruments::Instrument;
use ssync_types::Reason;

use crate::{
    core::Core,
    counters::{ByReason, CountersSnapshot},
    receiver::Receiver,
};

const SESSIONS: Instrument =
    Instrument::gauge("ssync_receiver_sessions", &[], "Replication sessions under way");
const LIMIT: Instrument =
    Instrument::gauge("ssync_receiver_limit", &["limit"], "The most that a limit allows; 0 for no limit");
const LIMIT_USED: Instrument =
    Instrument::gauge("ssync_receiver_limit_used", &["limit"], "How much of a limit is in use");
const REFUSALS: Instrument = Instrument::counter(
    "ssync_receiver_session_refusals",
    &["reason"],
    "Sessions that were not admitted, by the reason of the refusal",
);
const FAILURES: Instrument = Instrument::counter(
    "ssync_receiver_update_failures",
    &["reason"],
    "Updates and offers that failed, by the reason of the refusal",
);
const COMMITS: Instrument = Instrument::durations(
    "ssync_receiver_commit_duration",
    &["device"],
    "Time to flush and link a batch of objects: what the device takes to make writes durable",
);

impl Receiver {
    /// All that [`observe`](Self::observe) shows.
    #[must_use]
    pub fn instruments() -> Vec<Instrument> {
        let own = [SESSIONS, LIMIT, LIMIT_USED, REFUSALS, FAILURES, COMMITS];
        CountersSnapshot::INSTRUMENTS.iter().copied().chain(own).collect()
    }

    /// Shows what the receiver counts, and how far its limits are used, in a set of instruments. They fall silent when the
    /// receiver is gone.
    pub fn observe(&self, meter: &Meter) {
        for (place, instrument) in CountersSnapshot::INSTRUMENTS.iter().enumerate() {
            let core = Arc::downgrade(self.core());
            instrument
                .observe_one(meter, move || Some(core.upgrade()?.counters.snapshot().named().get(place)?.1));
        }
        let core = Arc::downgrade(self.core());
        SESSIONS.observe_one(meter, move || Some(core.upgrade()?.registry.count() as u64));
        self.observe_limits(meter);
        self.observe_reasons(meter, REFUSALS, |core| &core.counters.refused);
        self.observe_reasons(meter, FAILURES, |core| &core.counters.failed);
        let commits = COMMITS.histogram(meter);
        self.core().devices.disk().at_commit(move |device, took| {
            commits.record(took.as_secs_f64(), &[COMMITS.label(device.to_string())]);
        });
    }

    fn observe_limits(&self, meter: &Meter) {
        for (instrument, used) in [(LIMIT, false), (LIMIT_USED, true)] {
            let core = Arc::downgrade(self.core());
            instrument.observe(meter, move |values| {
                let limits = core.upgrade().map(|core| core.limits()).unwrap_or_default();
                for limit in limits {
                    let value = if used { limit.used } else { limit.maximum };
                    values.observe(value, &[instrument.label(limit.name)]);
                }
            });
        }
    }

    fn observe_reasons(&self, meter: &Meter, instrument: Instrument, counters: fn(&Core) -> &ByReason) {
        let core = Arc::downgrade(self.core());
        instrument.observe(meter, move |values: &dyn AsyncInstrument<u64>| {
            let counts = core.upgrade().map(|core| counters(&core).counts());
            for (reason, count) in counts.unwrap_or_default() {
                values.observe(count, &[instrument.label(Reason::name(reason))]);
            }
        });
    }
}
