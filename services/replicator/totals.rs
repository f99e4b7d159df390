//! What has been done for a device since the daemon started.

use ssync_instruments::Instrument;

use crate::stats::PassStats;

const fn by_device(name: &'static str, doc: &'static str) -> Instrument {
    Instrument::counter(name, &["device"], doc)
}

/// Sums over passes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Partitions begun.
    pub(crate) partitions: u64,
    /// Objects that peers stored.
    pub(crate) objects: u64,
    /// Bytes of bodies that peers stored.
    pub(crate) bytes: u64,
    /// Objects of handoffs that were let go.
    pub(crate) released: u64,
    /// Nodes that failed.
    pub(crate) failures: u64,
    /// Times that a busy peer made a job come back.
    pub(crate) put_back: u64,
    /// Objects that were left out because they had failed again and again.
    pub(crate) parked: u64,
}

impl Totals {
    /// The sums as metrics, in the order of their values.
    pub(crate) const INSTRUMENTS: [Instrument; 7] = [
        by_device("ssync_replicator_partitions", "Partitions begun"),
        by_device("ssync_replicator_objects", "Objects that peers have stored"),
        by_device("ssync_replicator_bytes", "Bytes of bodies that peers have stored"),
        by_device("ssync_replicator_released", "Objects of handoffs that were let go"),
        by_device(
            "ssync_replicator_failures",
            "Nodes that were not brought in sync, once for each partition",
        ),
        by_device("ssync_replicator_put_back", "Times that a busy peer made a job come back"),
        by_device("ssync_replicator_parked", "Objects left out because they had failed again and again"),
    ];

    /// Adds what a pass did.
    pub(crate) fn add(&mut self, stats: &PassStats) {
        self.partitions += stats.attempted;
        self.objects += stats.objects;
        self.bytes += stats.bytes;
        self.released += stats.released;
        self.failures += stats.failure;
        self.put_back += stats.put_back;
        self.parked += stats.parked;
    }

    /// The sums, in the order of the metrics.
    pub(crate) fn values(&self) -> [u64; 7] {
        [self.partitions, self.objects, self.bytes, self.released, self.failures, self.put_back, self.parked]
    }
}
