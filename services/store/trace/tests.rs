//! Tests of the trace's way from one process to the next.

use opentelemetry::{
    propagation::{Extractor, TextMapPropagator as _},
    trace::{TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

fn recording<T>(test: impl FnOnce() -> T) -> T {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let tracer = SdkTracerProvider::builder().build().tracer("test");
    let layer = tracing_opentelemetry::layer().with_tracer(tracer);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), test)
}

#[test]
fn a_request_carries_the_trace_of_its_span() {
    recording(|| {
        let mut metadata = MetadataMap::new();
        let sender = info_span!("sender").in_scope(|| {
            inject(&mut metadata);
            Span::current().context().span().span_context().trace_id()
        });
        let sent = metadata.get("traceparent").expect("a traceparent").to_str().unwrap().to_owned();
        assert!(sent.contains(&sender.to_string()), "{sent}");
        let context = TraceContextPropagator::new().extract(&Received(&metadata));
        assert_eq!(context.span().span_context().trace_id(), sender);
    });
}

struct Received<'a>(&'a MetadataMap);

impl Extractor for Received<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        Vec::new()
    }
}

#[test]
fn without_a_subscriber_nothing_is_sent() {
    let mut metadata = MetadataMap::new();
    inject(&mut metadata);
    assert!(metadata.get("traceparent").is_none());
}
