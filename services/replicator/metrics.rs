//! The replicator's instruments.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::metrics::{Histogram, Meter};
use ssync_instruments::Instrument;
use ssync_types::DeviceName;

use crate::{
    Pending, Replicator,
    stats::{Abort, PassStats},
    totals::Totals,
};

const AWAY: Instrument = Instrument::gauge(
    "ssync_replicator_device_away",
    &["device"],
    "1 for a device that nothing is pushed from, because it was away for longer than reclaim_age",
);
const HANDOFFS: Instrument = Instrument::gauge(
    "ssync_replicator_handoffs_remaining",
    &["device"],
    "Handoff partitions that were still here when the pass came to them: of the pass under way, or of the last one",
);
const PARTITIONS: Instrument = Instrument::gauge(
    "ssync_replicator_pass_partitions",
    &["state"],
    "Partitions of the pass under way, or of the last one: all, done, and pending",
);
const PASSES: Instrument = Instrument::durations(
    "ssync_replicator_pass_duration",
    &["end"],
    "How long passes took, by how they ended: complete, or the reason that broke them off; paused, if something was only compared",
);
const LAST_PASS: Instrument = Instrument::gauge(
    "ssync_replicator_last_complete_pass_timestamp_seconds",
    &[],
    "When the last pass over everything ended that left nothing out of sync: what was written before is where it belongs",
);
const PEER_SUCCESS: Instrument = Instrument::gauge(
    "ssync_replicator_peer_last_success_timestamp_seconds",
    &["peer"],
    "When a node last told its hashes, or took what it was sent",
);
const REFUSALS: Instrument = Instrument::counter(
    "ssync_replicator_peer_refusals",
    &["reason"],
    "Times that a peer refused, failed or did not answer, by reason",
);
const LEFT_ALONE: Instrument = Instrument::gauge(
    "ssync_replicator_peers_left_alone",
    &[],
    "Nodes, and devices of nodes, that are left alone for a while because they do not answer or have enough",
);
const PAUSED: Instrument = Instrument::gauge(
    "ssync_replicator_paused",
    &["device"],
    "1 for a device that nothing is pushed from, because an operator has paused or drained it, or the node",
);
const PARKED: Instrument = Instrument::gauge(
    "ssync_replicator_objects_parked",
    &[],
    "Objects that are left alone now because they have failed again and again",
);

const PENDING_OBJECTS: Instrument = Instrument::gauge(
    "ssync_replicator_pending_objects",
    &["peer"],
    "Live objects that a node was found to lack and has not stored since",
);
const PENDING_BYTES: Instrument =
    Instrument::gauge("ssync_replicator_pending_bytes", &["peer"], "Bytes of the bodies of these objects");
const PENDING_UNKNOWN: Instrument = Instrument::gauge(
    "ssync_replicator_pending_unknown",
    &["peer"],
    "Partitions on devices of a node where the last comparison failed: what is pending there is not known",
);

/// What is recorded as it happens.
#[derive(Debug, Default)]
pub(crate) struct PassTimes {
    durations: OnceLock<Histogram<f64>>,
    complete: AtomicU64,
}

impl PassTimes {
    /// A pass over everything has ended.
    pub(crate) fn ended(&self, stats: &PassStats) {
        let end = match stats.aborted {
            Some(Abort::RingChanged) => "ring_changed",
            Some(Abort::HandoffsRemain) => "handoffs_remain",
            Some(Abort::Draining) => "draining",
            None if stats.paused > 0 => "paused",
            None if stats.complete() => "complete",
            None => "incomplete",
        };
        if let Some(durations) = self.durations.get() {
            durations.record(stats.elapsed.as_secs_f64(), &[PASSES.label(end)]);
        }
        if end == "complete" {
            self.complete.store(seconds(SystemTime::now()), Ordering::Relaxed);
        }
    }

    /// When the last complete one ended; none, if none has.
    fn last_complete(&self) -> Option<u64> {
        Some(self.complete.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0)
    }
}

/// Since 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

impl Replicator {
    /// All that [`observe`](Self::observe) shows.
    #[must_use]
    pub fn instruments() -> Vec<Instrument> {
        let own = [
            PARTITIONS,
            PASSES,
            LAST_PASS,
            HANDOFFS,
            AWAY,
            PEER_SUCCESS,
            REFUSALS,
            LEFT_ALONE,
            PARKED,
            PAUSED,
            PENDING_OBJECTS,
            PENDING_BYTES,
            PENDING_UNKNOWN,
        ];
        Totals::INSTRUMENTS.into_iter().chain(own).collect()
    }

    /// Shows what has been done for each device since the start, how far the pass is, and how peers are, in a set of
    /// instruments. They fall silent when the replicator is gone.
    pub fn observe(self: &Arc<Self>, meter: &Meter) {
        for (place, instrument) in Totals::INSTRUMENTS.into_iter().enumerate() {
            let replicator = Arc::downgrade(self);
            instrument.observe(meter, move |values| {
                for (device, value) in totals(&replicator, place) {
                    values.observe(value, &[instrument.label(device)]);
                }
            });
        }
        self.observe_devices(meter, AWAY, |stats| u64::from(stats.devices_away > 0));
        self.observe_devices(meter, HANDOFFS, |stats| stats.handoffs_remaining);
        self.observe_pauses(meter);
        self.observe_passes(meter);
        self.observe_peers(meter);
        self.observe_pending(meter, PENDING_OBJECTS, |pending| pending.known.objects);
        self.observe_pending(meter, PENDING_BYTES, |pending| pending.known.bytes);
        self.observe_pending(meter, PENDING_UNKNOWN, |pending| pending.unknown);
    }

    fn observe_devices(
        self: &Arc<Self>,
        meter: &Meter,
        instrument: Instrument,
        value: fn(&PassStats) -> u64,
    ) {
        let replicator = Arc::downgrade(self);
        instrument.observe(meter, move |values| {
            let devices = replicator.upgrade().map(|replicator| replicator.meter().by_device());
            for (device, stats) in devices.unwrap_or_default() {
                values.observe(value(&stats), &[instrument.label(device.to_string())]);
            }
        });
    }

    fn observe_pauses(self: &Arc<Self>, meter: &Meter) {
        let replicator = Arc::downgrade(self);
        PAUSED.observe(meter, move |values| {
            let Some(replicator) = replicator.upgrade() else { return };
            let paused = replicator.paused();
            let mut devices: BTreeSet<DeviceName> = replicator.meter().by_device().into_keys().collect();
            devices.extend(paused.devices.iter().cloned());
            for device in devices {
                values.observe(u64::from(paused.holds(&device)), &[PAUSED.label(device.to_string())]);
            }
        });
    }

    fn observe_passes(self: &Arc<Self>, meter: &Meter) {
        // Who observes twice is shown the first time's.
        let _ = self.times.durations.set(PASSES.histogram(meter));
        let replicator = Arc::downgrade(self);
        LAST_PASS.observe_one(meter, move || replicator.upgrade()?.times.last_complete());
        let replicator = Arc::downgrade(self);
        PARTITIONS.observe(meter, move |values| {
            let Some(replicator) = replicator.upgrade() else { return };
            let progress = *replicator.progress().borrow();
            let (done, all) = (progress.partitions_done, progress.partitions_total);
            for (state, value) in [("done", done), ("all", all), ("pending", all.saturating_sub(done))] {
                values.observe(value, &[PARTITIONS.label(state)]);
            }
        });
    }

    fn observe_pending(self: &Arc<Self>, meter: &Meter, instrument: Instrument, value: fn(&Pending) -> u64) {
        let replicator = Arc::downgrade(self);
        instrument.observe(meter, move |values| {
            let nodes = replicator.upgrade().map(|replicator| replicator.outlook().nodes);
            for node in nodes.unwrap_or_default() {
                values.observe(value(&node.pending), &[instrument.label(node.node)]);
            }
        });
    }

    fn observe_peers(self: &Arc<Self>, meter: &Meter) {
        let replicator = Arc::downgrade(self);
        PEER_SUCCESS.observe(meter, move |values| {
            let peers = replicator.upgrade().map(|replicator| replicator.gates.last_successes());
            for (peer, at) in peers.unwrap_or_default() {
                values.observe(seconds(at), &[PEER_SUCCESS.label(peer)]);
            }
        });
        let replicator = Arc::downgrade(self);
        REFUSALS.observe(meter, move |values| {
            let refusals = replicator.upgrade().map(|replicator| replicator.gates.refusals());
            for (reason, count) in refusals.unwrap_or_default() {
                values.observe(count, &[REFUSALS.label(reason)]);
            }
        });
        let replicator = Arc::downgrade(self);
        LEFT_ALONE.observe_one(meter, move || Some(replicator.upgrade()?.gates.left_alone().len() as u64));
        let replicator = Arc::downgrade(self);
        PARKED.observe_one(meter, move || Some(replicator.upgrade()?.parked().len() as u64));
    }
}

fn totals(replicator: &Weak<Replicator>, place: usize) -> Vec<(String, u64)> {
    let totals = replicator.upgrade().map(|replicator| replicator.meter().totals());
    let value = |totals: &Totals| totals.values().get(place).copied();
    totals
        .unwrap_or_default()
        .iter()
        .filter_map(|(device, totals)| Some((device.to_string(), value(totals)?)))
        .collect()
}
