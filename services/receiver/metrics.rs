//! The receiver's instruments.

use std::sync::{Arc, Weak};

use opentelemetry::{KeyValue, metrics::Meter};

use crate::{core::Core, receiver::Receiver};

impl Receiver {
    /// Shows what the receiver counts, and how far its limits are used, in a set of instruments. They fall silent when the
    /// receiver is gone.
    pub fn observe(&self, meter: &Meter) {
        for (name, _) in self.counters().named() {
            let core = Arc::downgrade(self.core());
            meter
                .u64_observable_counter(format!("ssync_receiver_{name}"))
                .with_callback(move |instrument| {
                    if let Some(value) = counter(&core, name) {
                        instrument.observe(value, &[]);
                    }
                })
                .build();
        }
        self.observe_limits(meter);
    }

    fn observe_limits(&self, meter: &Meter) {
        let core = Arc::downgrade(self.core());
        meter
            .u64_observable_gauge("ssync_receiver_sessions")
            .with_description("Replication sessions under way")
            .with_callback(move |instrument| {
                if let Some(core) = core.upgrade() {
                    instrument.observe(core.registry.count() as u64, &[]);
                }
            })
            .build();
        let core = Arc::downgrade(self.core());
        meter
            .u64_observable_gauge("ssync_receiver_limit_used")
            .with_description("How much of a limit is in use")
            .with_callback(move |instrument| {
                let limits = core.upgrade().map(|core| core.limits()).unwrap_or_default();
                for limit in limits {
                    instrument.observe(limit.used, &[KeyValue::new("limit", limit.name)]);
                }
            })
            .build();
    }
}

fn counter(core: &Weak<Core>, name: &str) -> Option<u64> {
    let counters = core.upgrade()?.counters.snapshot().named();
    counters.into_iter().find_map(|(counter, value)| (counter == name).then_some(value))
}
