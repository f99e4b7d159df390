//! Logs to standard error, traces by OTLP where the standard variables ask for it, metrics for Prometheus.

mod context;
mod export;
mod level;
mod lines;
mod logs;
mod metrics;
mod rpc;

use std::time::Duration;

use opentelemetry::{KeyValue, global, trace::TracerProvider as _};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use opentelemetry_semantic_conventions::attribute::SERVICE_VERSION;
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    reload,
    util::SubscriberInitExt as _,
};

pub use context::{TraceContext, parent_of};
pub use export::{Export, ExportError};
pub use level::{LevelError, LogFilter};
pub use metrics::{DURATION_BUCKETS, Metrics, MetricsError};
pub use rpc::{OTHER_METHOD, RpcBody, RpcLayer, RpcMethods, RpcService};

use crate::config::{LogFormat, LogLevel};
use lines::LineCounter;

/// The target of spans and events that a trace alone is for: the phases of a request or a session.
const PHASE: &str = "ssync::phase";
/// The target of what a trace tells of single objects.
const OBJECT: &str = "ssync::object";

/// Time that the last spans get to leave the process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// How a process tells about itself.
#[derive(Debug, Clone)]
pub struct TelemetryOptions {
    /// `service.name` where OTEL_SERVICE_NAME does not say another.
    pub service_name: &'static str,
    /// `service.version`, and the version in `ssync_build_info`.
    pub version: &'static str,
    /// Form of the log lines.
    pub log_format: LogFormat,
    /// Least level that is logged, where RUST_LOG does not say another.
    pub log_level: LogLevel,
    /// Traces tell of each object.
    pub trace_objects: bool,
}

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The exporter of traces cannot be set up.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// Metrics cannot be set up.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// RUST_LOG is not of its form.
    #[error("RUST_LOG is not of its form: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody else has set up logging in this process.
    #[error("logging is set up already: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Running telemetry. End it with [`Telemetry::shutdown`], or the last spans are lost.
#[derive(Debug)]
pub struct Telemetry {
    tracer: Option<SdkTracerProvider>,
    metrics: Metrics,
    log_filter: LogFilter,
}

impl Telemetry {
    /// Sets up the process: logs, the W3C propagator, traces. To be called once, within the runtime.
    pub fn start(options: &TelemetryOptions) -> Result<Self, TelemetryError> {
        global::set_text_map_propagator(TraceContextPropagator::new());
        let resource = resource(options.service_name, options.version);
        let metrics = Metrics::of(options.version, resource.clone())?;
        let export = Export::from_variables(|name| std::env::var(name).ok())?;
        let tracer = tracer(resource, export)?;
        // Our own spans above DEBUG are carried on whatever is logged, and even when nothing is exported here: the next hop
        // may export. Those of libraries are not: an exporter must not trace itself.
        let traces = tracer.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("ssync"))
                .with_filter(traced(export, options.trace_objects))
        });
        // Each layer has its filter: one on the whole would take the spans away from the traces as well.
        let directives = level::directives_at_start(options.log_level);
        let (filter, handle) = reload::Layer::new(EnvFilter::try_new(&directives)?);
        let log_filter = LogFilter::new(directives, move |filter| handle.reload(filter).is_ok());
        let lines = LineCounter::default();
        lines.observe(&metrics);
        tracing_subscriber::registry()
            .with(traces)
            .with(lines.with_filter(LevelFilter::WARN))
            .with(logs::layer(options.log_format).with_filter(filter))
            .try_init()?;
        Ok(Self { tracer, metrics, log_filter })
    }

    /// What is logged, and how that is changed.
    #[must_use]
    pub fn log_filter(&self) -> &LogFilter {
        &self.log_filter
    }

    /// The instruments of this process.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Sends what is still here; waits a few seconds at most.
    pub async fn shutdown(self) {
        let Some(tracer) = self.tracer else { return };
        // The provider blocks until its exporter is done, and that exporter needs this runtime.
        let ended = tokio::task::spawn_blocking(move || tracer.shutdown_with_timeout(FLUSH_TIMEOUT)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}

/// Which spans and events are a trace's. Phases of what a request does are made only where somebody will see them, and
/// objects only where that was asked for: there is one for each.
fn traced(export: Export, objects: bool) -> Targets {
    let exported = |wanted: bool| match export {
        Export::Otlp if wanted => LevelFilter::DEBUG,
        _ => LevelFilter::OFF,
    };
    Targets::new()
        .with_target("ssync", LevelFilter::INFO)
        .with_target(PHASE, exported(true))
        .with_target(OBJECT, exported(objects))
}

/// `None` when OTEL_SDK_DISABLED is true.
fn tracer(resource: Resource, export: Export) -> Result<Option<SdkTracerProvider>, TelemetryError> {
    let provider = SdkTracerProvider::builder().with_resource(resource);
    Ok(match export {
        Export::Disabled => None,
        Export::ContextOnly => Some(provider.build()),
        Export::Otlp => Some(provider.with_batch_exporter(export::exporter()?).build()),
    })
}

/// OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME are read by the SDK's own detectors and win.
fn resource(service_name: &'static str, version: &'static str) -> Resource {
    let detected = Resource::builder().build();
    let named = detected
        .get(&opentelemetry_semantic_conventions::attribute::SERVICE_NAME.into())
        .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let builder = Resource::builder().with_attribute(KeyValue::new(SERVICE_VERSION, version));
    if named { builder } else { builder.with_service_name(service_name) }.build()
}

#[cfg(test)]
mod tests;
