//! One set of instruments, read as Prometheus text.

use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkError,
    metrics::{Aggregation, Instrument as Made, InstrumentKind, SdkMeterProvider, Stream},
};
use opentelemetry_semantic_conventions::metric::RPC_SERVER_CALL_DURATION;
use prometheus::{Registry, TextEncoder};
use ssync_instruments::Instrument;

use super::lines::LINES;
use crate::Health;

/// Bounds for every histogram of seconds: calls take milliseconds, sessions up to an hour. The SDK's own are made for
/// milliseconds.
pub const DURATION_BUCKETS: [f64; 16] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0];

const BUILD_INFO: Instrument =
    Instrument::gauge("ssync_build_info", &["version"], "Always 1; the labels say which program this is");
const READY: Instrument =
    Instrument::gauge("ssync_ready", &[], "1 while the daemon takes work, as the health checks say");
/// Of a server's calls, by the semantic conventions for RPC.
pub(super) const RPC_SERVER_CALLS: Instrument = Instrument::durations(
    RPC_SERVER_CALL_DURATION,
    &["rpc_method", "rpc_response_status_code", "rpc_system_name"],
    "Time from a call's first byte to its status",
);

/// `service.name` of a set of its own.
const SERVICE_NAME: &str = "ssync";

/// Metrics cannot be set up, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The exporter refuses.
    #[error("metrics cannot be set up: {0}")]
    Setup(#[from] OTelSdkError),
    /// Two instruments of one name, or a value that cannot be written.
    #[error("metrics cannot be written: {0}")]
    Text(#[from] prometheus::Error),
}

/// The instruments of a process. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Metrics {
    provider: SdkMeterProvider,
    registry: Registry,
}

impl Metrics {
    /// An empty set but for `ssync_build_info` and `target_info`.
    pub fn new(version: &'static str) -> Result<Self, MetricsError> {
        Self::of(version, super::resource(SERVICE_NAME, version))
    }

    /// The same, said of `resource`.
    pub(super) fn of(version: &'static str, resource: Resource) -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()?;
        let provider = SdkMeterProvider::builder()
            .with_resource(resource)
            .with_reader(exporter)
            .with_view(seconds)
            .build();
        let metrics = Self { provider, registry };
        BUILD_INFO.observe(&metrics.meter(), move |value| value.observe(1, &[BUILD_INFO.label(version)]));
        Ok(metrics)
    }

    /// What every process shows.
    #[must_use]
    pub fn instruments() -> Vec<Instrument> {
        vec![BUILD_INFO, READY, RPC_SERVER_CALLS, LINES]
    }

    /// Shows whether the daemon takes work.
    pub fn show_health(&self, health: &Health) {
        let health = health.clone();
        READY.observe_one(&self.meter(), move || Some(u64::from(health.is_ready())));
    }

    /// Makes instruments. Their names begin with `ssync_` or stand in OpenTelemetry's conventions; labels have few values
    /// (device, policy, reason), never a partition, hash or path.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.provider.meter("ssync")
    }

    /// Every value in Prometheus' text format.
    pub fn text(&self) -> Result<String, MetricsError> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }
}

/// Gives histograms of seconds bounds that fit them.
fn seconds(instrument: &Made) -> Option<Stream> {
    let fits = instrument.kind() == InstrumentKind::Histogram && instrument.unit() == "s";
    let boundaries = DURATION_BUCKETS.to_vec();
    let aggregation = Aggregation::ExplicitBucketHistogram { boundaries, record_min_max: false };
    fits.then(|| Stream::builder().with_aggregation(aggregation).build().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;

    use super::*;

    #[test]
    fn the_text_has_the_build_and_what_was_recorded_in_buckets_of_seconds() {
        let metrics = Metrics::new("1.2.3").unwrap();
        metrics
            .meter()
            .u64_counter("ssync_objects_received")
            .build()
            .add(3, &[KeyValue::new("device", "d1")]);
        metrics.meter().f64_histogram("ssync_flush_duration").with_unit("s").build().record(0.02, &[]);
        let text = metrics.text().unwrap();
        for line in [
            "ssync_build_info{version=\"1.2.3\"} 1",
            "ssync_objects_received_total{device=\"d1\"} 3",
            "ssync_flush_duration_seconds_bucket{le=\"0.01\"} 0",
            "ssync_flush_duration_seconds_bucket{le=\"0.025\"} 1",
            "ssync_flush_duration_seconds_bucket{le=\"3600\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        let target = text.lines().find(|line| line.starts_with("target_info{")).unwrap();
        assert!(target.contains("service_name=\"ssync\"") && target.contains("1.2.3"), "{target}");
    }
}
