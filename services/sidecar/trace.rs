//! The span of a request: its place in the caller's trace (W3C `traceparent`), and Swift's transaction id.

use opentelemetry::{TraceId, global, propagation::Extractor, trace::TraceContextExt as _};
use ssync_types::Metadata;
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::http::RequestHead;

/// A span for this request. Which headers name the caller's trace is the global propagator's to say.
pub(crate) fn span(head: &RequestHead, path: &str) -> Span {
    let method = String::from_utf8_lossy(&head.method);
    let transaction = head.header("X-Trans-Id").unwrap_or_default();
    let span = tracing::info_span!(
        "request",
        otel.name = %method,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = %method,
        http.response.status_code = Empty,
        url.path = path,
        swift.transaction_id = transaction,
        trace_id = Empty,
    );
    let parent = global::get_text_map_propagator(|propagator| propagator.extract(&Incoming(&head.headers)));
    if let Err(error) = span.set_parent(parent) {
        tracing::trace!(%error, "the caller's trace is not taken up");
    }
    let trace = span.context().span().span_context().trace_id();
    if trace != TraceId::INVALID {
        span.record("trace_id", trace.to_string());
    }
    span
}

/// Says how a request was answered. What a client got wrong is no error of the server's (semantic conventions for HTTP).
pub(crate) fn end(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

struct Incoming<'h>(&'h Metadata);

impl Extractor for Incoming<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get_str(key)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().filter_map(|(name, _)| std::str::from_utf8(name.as_bytes()).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use opentelemetry::propagation::TextMapPropagator as _;
    use opentelemetry_sdk::propagation::TraceContextPropagator;

    use super::*;

    #[test]
    fn finds_the_callers_trace() {
        let head =
            b"GET / HTTP/1.1\r\nTraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
        let head = RequestHead::parse(&Bytes::from_static(head)).unwrap();
        let context = TraceContextPropagator::new().extract(&Incoming(&head.headers));
        let trace = context.span().span_context().trace_id().to_string();
        assert_eq!(trace, "4bf92f3577b34da6a3ce929d0e0e4736");
    }
}
