//! The replicator's instruments.

use std::sync::{Arc, Weak};

use opentelemetry::{KeyValue, metrics::Meter};

use crate::{Replicator, totals::Totals};

impl Replicator {
    /// Shows what has been done for each device since the start, and how far the pass is, in a set of instruments. They
    /// fall silent when the replicator is gone.
    pub fn observe(self: &Arc<Self>, meter: &Meter) {
        for (place, name) in Totals::NAMES.into_iter().enumerate() {
            let replicator = Arc::downgrade(self);
            meter
                .u64_observable_counter(format!("ssync_replicator_{name}"))
                .with_callback(move |instrument| {
                    for (device, value) in values(&replicator, place) {
                        instrument.observe(value, &[KeyValue::new("device", device)]);
                    }
                })
                .build();
        }
        self.observe_pass(meter);
        self.observe_absence(meter);
    }

    fn observe_absence(self: &Arc<Self>, meter: &Meter) {
        let replicator = Arc::downgrade(self);
        meter
            .u64_observable_gauge("ssync_replicator_device_away")
            .with_description(
                "1 for a device that nothing is pushed from, because it was away for longer than reclaim_age",
            )
            .with_callback(move |instrument| {
                let devices = replicator.upgrade().map(|replicator| replicator.meter().by_device());
                for (device, stats) in devices.unwrap_or_default() {
                    let away = u64::from(stats.devices_away > 0);
                    instrument.observe(away, &[KeyValue::new("device", device.to_string())]);
                }
            })
            .build();
    }

    fn observe_pass(self: &Arc<Self>, meter: &Meter) {
        let replicator = Arc::downgrade(self);
        meter
            .u64_observable_gauge("ssync_replicator_pass_partitions")
            .with_description("Partitions of the pass under way, or of the last one")
            .with_callback(move |instrument| {
                let Some(replicator) = replicator.upgrade() else { return };
                let progress = *replicator.progress().borrow();
                for (state, value) in [("done", progress.partitions_done), ("all", progress.partitions_total)]
                {
                    instrument.observe(value, &[KeyValue::new("state", state)]);
                }
            })
            .build();
    }
}

fn values(replicator: &Weak<Replicator>, place: usize) -> Vec<(String, u64)> {
    let totals = replicator.upgrade().map(|replicator| replicator.meter().totals());
    let value = |totals: &Totals| totals.values().get(place).copied();
    totals
        .unwrap_or_default()
        .iter()
        .filter_map(|(device, totals)| Some((device.to_string(), value(totals)?)))
        .collect()
}
