//! Log lines on standard error.

use tracing::Subscriber;
use tracing_subscriber::{Layer, fmt, registry::LookupSpan};

use crate::config::LogFormat;

/// Lines for people or for programs.
pub(super) fn layer<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let lines = fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(false).with_target(false).boxed(),
        LogFormat::Json => {
            // The current one for those who look for it there; the outermost one has the id of the trace.
            lines.json().flatten_event(true).with_current_span(true).with_span_list(true).boxed()
        }
    }
}
