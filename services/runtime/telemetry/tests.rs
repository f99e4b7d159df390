//! Telemetry in a process of its own.

use std::process::{Command, Output};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::*;
use crate::OptionValue as _;

/// Set only in the process that a test starts, to the level of its log.
const CHILD_VARIABLE: &str = "TELEMETRY_TEST_CHILD";

const PATIENCE: Duration = Duration::from_secs(20);

struct Collector(mpsc::Sender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).await.ok();
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Telemetry is a process's own, and so are its variables: a test of it starts this program again, for one test alone.
async fn child(level: &'static str, variables: Vec<(&'static str, String)>) -> Output {
    let run = move || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "telemetry::tests::in_a_process_of_its_own", "--nocapture"])
            .env(CHILD_VARIABLE, level)
            .envs(variables)
            .output()
            .unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_process_of_its_own() {
    let Ok(level) = std::env::var(CHILD_VARIABLE) else { return };
    let options = TelemetryOptions {
        service_name: "ssync-test",
        version: "1.2.3",
        log_format: LogFormat::Json,
        log_level: LogLevel::parse(&level).unwrap(),
        trace_objects: false,
    };
    let telemetry = Telemetry::start(&options).unwrap();
    tracing::info_span!("outer").in_scope(|| {
        tracing::info!(device = "d1", "a line");
        let headers = TraceContext::headers();
        assert!(headers.iter().any(|(name, _)| name == "traceparent"), "{headers:?}");
    });
    tracing::debug!("not this one");
    telemetry.log_filter().set("DEBUG").unwrap();
    tracing::debug!("told to be louder");
    telemetry.log_filter().set("ERROR").unwrap();
    tracing::warn!("nor this one");
    telemetry.shutdown().await;
}

#[tokio::test]
async fn spans_reach_the_collector_that_the_variables_name_before_the_end_whatever_is_logged() {
    let (sender, mut received) = mpsc::channel(8);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Collector(sender)));
    let serving = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

    let output = child("error", vec![("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let request = tokio::time::timeout(PATIENCE, received.recv()).await.unwrap().unwrap();
    let spans = &request.resource_spans[0];
    assert_eq!(spans.scope_spans[0].spans[0].name, "outer");
    let attributes = &spans.resource.as_ref().unwrap().attributes;
    for (key, wanted) in [("service.name", "ssync-test"), ("service.version", "1.2.3")] {
        let found = attributes.iter().find(|pair| pair.key == key).unwrap().value.clone().unwrap().value;
        assert_eq!(found, Some(any_value::Value::StringValue(wanted.to_owned())));
    }
    serving.abort();
}

#[tokio::test]
async fn lines_are_json_on_standard_error_from_the_level_on() {
    let output = child("info", vec![]).await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<serde_json::Value> =
        stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [line, louder] = lines.as_slice() else { panic!("{stderr}") };
    assert_eq!(louder["message"], "told to be louder");
    assert_eq!(
        (&line["message"], &line["device"], &line["level"]),
        (&"a line".into(), &"d1".into(), &"INFO".into())
    );
    assert_eq!(line["span"]["name"], "outer");
    let louder = child("info", vec![("RUST_LOG", "debug".to_owned())]).await;
    assert!(String::from_utf8(louder.stderr).unwrap().contains("not this one"));
}
