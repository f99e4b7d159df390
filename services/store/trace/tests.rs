//! Tests of the trace's way from one process to the next.

use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn recording<T>(test: impl FnOnce() -> T) -> T {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let tracer = SdkTracerProvider::builder().build().tracer("test");
    let layer = tracing_opentelemetry::layer().with_tracer(tracer);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), test)
}

#[test]
fn a_trace_goes_on_at_the_receiver() {
    recording(|| {
        let mut metadata = MetadataMap::new();
        let sender = info_span!("sender").in_scope(|| {
            inject(&mut metadata);
            Span::current().context().span().span_context().trace_id()
        });
        let sent = metadata.get("traceparent").expect("a traceparent").to_str().unwrap().to_owned();
        assert!(sent.contains(&sender.to_string()), "{sent}");

        let receiver = info_span!("receiver");
        set_remote_parent(&receiver, &metadata);
        let trace_id = receiver.in_scope(|| Span::current().context().span().span_context().trace_id());
        assert_eq!(trace_id, sender);
    });
}

#[test]
fn a_foreign_client_s_trace_is_taken_up_and_nonsense_is_not() {
    recording(|| {
        for (header, taken) in [(PARENT, true), ("00-zz", false), ("", false)] {
            let mut metadata = MetadataMap::new();
            metadata.insert("traceparent", header.parse().unwrap());
            let span = info_span!("receiver");
            set_remote_parent(&span, &metadata);
            let trace_id =
                span.in_scope(|| Span::current().context().span().span_context().trace_id().to_string());
            assert_eq!(trace_id == "4bf92f3577b34da6a3ce929d0e0e4736", taken, "{header}");
        }
    });
}

#[test]
fn without_a_subscriber_nothing_is_sent() {
    let mut metadata = MetadataMap::new();
    inject(&mut metadata);
    assert!(metadata.get("traceparent").is_none());
    set_remote_parent(&Span::current(), &metadata);
}
