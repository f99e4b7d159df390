//! Spans and measurements of calls.

use http_body_util::Empty as EmptyBody;
use opentelemetry::{Value, global, trace::TracerProvider as _};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{InMemorySpanExporter, SdkTracerProvider, SpanData},
};
use tower::{ServiceExt as _, service_fn};
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::listen::PeerRoute;

const METHOD: &str = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

fn layer() -> RpcLayer {
    let methods = RpcMethods::from_descriptors([tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET]).unwrap();
    RpcLayer::new(&Metrics::new("0").unwrap(), methods)
}

fn request(path: &str, traceparent: Option<&str>) -> Request<()> {
    let peer = PeerInfo {
        remote: Some("10.0.0.9:5".parse().unwrap()),
        local: "10.0.0.7:6200".parse().ok(),
        route: PeerRoute::Tcp,
        trust_loopback: false,
        identity: None,
    };
    let request =
        Request::post(format!("/{path}")).header(CONTENT_TYPE, "application/grpc+proto").extension(peer);
    traceparent.iter().fold(request, |request, value| request.header("traceparent", *value)).body(()).unwrap()
}

/// The spans of one call that is answered with `status` at once.
async fn spans_of(request: Request<()>, status: &'static str) -> Vec<SpanData> {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(traces));
    global::set_text_map_propagator(TraceContextPropagator::new());
    let answer = service_fn(move |request: Request<()>| async move {
        let told = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
        assert_eq!(told, "10.0.0.9:5".parse().ok());
        // What a handler calls on with carries the trace further.
        assert!(super::super::TraceContext::headers().iter().any(|(name, _)| name == "traceparent"));
        Response::builder().header("grpc-status", status).body(EmptyBody::<bytes::Bytes>::new())
    });
    drop(layer().layer(answer).oneshot(request).await.unwrap());
    exporter.get_finished_spans().unwrap()
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|pair| pair.key.as_str() == name)?;
    Some(match &found.value {
        Value::String(text) => text.as_str().to_owned(),
        other => other.to_string(),
    })
}

#[tokio::test]
async fn a_call_joins_the_trace_of_its_caller() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let spans = spans_of(request(METHOD, Some(&parent)), "0").await;
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(span.span_context.trace_id().to_string(), trace);
    assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
    assert_eq!(span.name, METHOD);
    assert_eq!(attribute(span, "rpc.method").as_deref(), Some(METHOD));
    assert_eq!(attribute(span, "rpc.response.status_code").as_deref(), Some("OK"));
    assert_eq!(attribute(span, "trace_id").as_deref(), Some(trace));
    assert_eq!(attribute(span, "client.address").as_deref(), Some("10.0.0.9:5"));
    assert_eq!(attribute(span, "server.address").as_deref(), Some("10.0.0.7"));
    assert_eq!(attribute(span, "server.port").as_deref(), Some("6200"));
    assert_eq!(attribute(span, "error.type"), None);
    assert_eq!(span.status, opentelemetry::trace::Status::Unset);
}

#[tokio::test]
async fn a_damaged_traceparent_begins_a_trace_of_its_own() {
    for bad in ["", "00-zz", "00-00000000000000000000000000000000-0000000000000000-01"] {
        let spans = spans_of(request(METHOD, Some(bad)), "0").await;
        assert_eq!(spans.len(), 1, "{bad:?}");
        assert_eq!(spans[0].parent_span_id, opentelemetry::SpanId::INVALID);
    }
}

#[tokio::test]
async fn only_faults_of_the_server_are_errors() {
    let status = |code| async move { spans_of(request(METHOD, None), code).await[0].status.clone() };
    assert_eq!(status("5").await, opentelemetry::trace::Status::Unset, "NOT_FOUND is an answer");
    assert!(matches!(status("13").await, opentelemetry::trace::Status::Error { .. }), "INTERNAL");
}
