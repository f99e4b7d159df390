//! Log lines on standard error.

use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, Layer, filter::ParseError, fmt, registry::LookupSpan};

use crate::config::{LogFormat, LogLevel};

/// RUST_LOG if it is set, else `level`.
pub(super) fn filter(level: LogLevel) -> Result<EnvFilter, ParseError> {
    match std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|directives| !directives.trim().is_empty()) {
        Some(directives) => EnvFilter::try_new(directives),
        None => EnvFilter::try_new(directives(level)),
    }
}

/// Libraries stay a level above us: their details are ours only in RUST_LOG, and an exporter must not trace itself.
fn directives(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => {
            "debug,h2=warn,hyper=warn,hyper_util=warn,tonic=info,tower=info,opentelemetry=info"
        }
        LogLevel::Info => "info,h2=warn,hyper=warn,hyper_util=warn,tonic=warn,tower=warn,opentelemetry=warn",
        LogLevel::Warning => "warn",
        LogLevel::Error => "error",
    }
}

/// Lines for people or for programs.
pub(super) fn layer<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let lines = fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(false).with_target(false).boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_a_good_filter() {
        for level in [LogLevel::Debug, LogLevel::Info, LogLevel::Warning, LogLevel::Error] {
            assert!(EnvFilter::try_new(directives(level)).is_ok(), "{level:?}");
        }
    }
}
