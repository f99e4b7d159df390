//! A gRPC server as its callers see it.

use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::{v1, v1alpha};

use super::*;
use crate::{Drained, Listener, Port, PortOptions, Route, connection_queue};

const PATIENCE: Duration = Duration::from_secs(20);

struct Running {
    channel: Channel,
    drain: Drain,
    health: Health,
    metrics: Metrics,
}

async fn running(options: GrpcOptions) -> Running {
    let (drain, health) = (Drain::new(), Health::new(["x.Y"]).await);
    let metrics = Metrics::new("0").unwrap();
    let listener =
        Listener::bind(&"127.0.0.1:0".parse().unwrap(), &crate::ListenOptions::default()).await.unwrap();
    let (queue, incoming) = connection_queue();
    let port = Port::new(listener, PortOptions::default(), Route::Queue(queue), Route::Close("gRPC only"));
    let address = port.address().clone();
    drain.spawn(port.serve(drain.clone()));
    let server = GrpcServer::new(options, &[], &health, &metrics).unwrap();
    let draining = drain.clone();
    drain.spawn(async move { server.serve(incoming, &draining).await.unwrap() });
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    Running { channel, drain, health, metrics }
}

fn check(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn health_is_answered_and_measured_by_method_and_status() {
    let server = running(GrpcOptions::default()).await;
    let mut client = HealthClient::new(server.channel.clone());
    server.health.set_ready().await;
    client.check(check("")).await.unwrap();
    assert_eq!(client.check(check("no.such")).await.unwrap_err().code(), Code::NotFound);
    let text = server.metrics.text().unwrap();
    for (status, count) in [("OK", 1), ("NOT_FOUND", 1)] {
        let wanted = format!(
            "rpc_server_call_duration_seconds_count{{rpc_method=\"grpc.health.v1.Health/Check\",rpc_response_status_code=\"{status}\",rpc_system_name=\"grpc\"}} {count}"
        );
        assert!(text.lines().any(|line| line == wanted), "{wanted} is missing in\n{text}");
    }
}

/// A label must not grow with what callers think up.
#[tokio::test]
async fn methods_that_are_not_there_share_one_label() {
    let server = running(GrpcOptions::default()).await;
    for path in ["/ssync.v1.Made/Up", "/grpc.health.v1.Health/Guess"] {
        let mut client = tonic::client::Grpc::new(server.channel.clone());
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckRequest>::default();
        let call = client.unary(tonic::Request::new(check("")), path.parse().unwrap(), codec);
        assert_eq!(call.await.unwrap_err().code(), Code::Unimplemented);
    }
    let text = server.metrics.text().unwrap();
    assert!(text.contains("rpc_method=\"_OTHER\",rpc_response_status_code=\"UNIMPLEMENTED\""), "{text}");
    assert!(!text.contains("Made") && !text.contains("Guess"), "{text}");
}

#[tokio::test]
async fn a_stream_is_measured_when_it_ends_also_when_the_caller_leaves() {
    let server = running(GrpcOptions::default()).await;
    let mut client = HealthClient::new(server.channel.clone());
    let mut watch = client.watch(check("x.Y")).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    assert!(!server.metrics.text().unwrap().contains("Health/Watch"));
    drop(watch);
    for _ in 0..200 {
        if server.metrics.text().unwrap().contains("Health/Watch\",rpc_response_status_code=\"CANCELLED\"") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the call was not counted:\n{}", server.metrics.text().unwrap());
}

async fn services_v1(channel: Channel) -> Vec<String> {
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel);
    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
    };
    let answers = client.server_reflection_info(tokio_stream::once(request)).await;
    let Ok(answers) = answers else { return Vec::new() };
    match answers.into_inner().message().await.unwrap().unwrap().message_response {
        Some(v1::server_reflection_response::MessageResponse::ListServicesResponse(list)) => {
            list.service.into_iter().map(|service| service.name).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn reflection_lists_services_by_both_versions_and_can_be_switched_off() {
    let server = running(GrpcOptions::default()).await;
    let mut services = services_v1(server.channel.clone()).await;
    services.sort();
    let wanted = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ];
    assert_eq!(services, wanted);
    let mut old = v1alpha::server_reflection_client::ServerReflectionClient::new(server.channel.clone());
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
            "google.rpc.ErrorInfo".to_owned(),
        )),
    };
    let answer =
        old.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner().message().await;
    let answer = answer.unwrap().unwrap().message_response.unwrap();
    assert!(
        matches!(answer, v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(_)),
        "rich errors are not readable: {answer:?}"
    );

    let off = running(GrpcOptions { reflection: false, ..GrpcOptions::default() }).await;
    assert_eq!(services_v1(off.channel).await, Vec::<String>::new());
}

/// Tonic's own shutdown waits for an open stream for ever.
#[tokio::test]
async fn a_stream_that_does_not_end_is_left_at_the_deadline() {
    let server = running(GrpcOptions::default()).await;
    let mut client = HealthClient::new(server.channel.clone());
    let mut watch = client.watch(check("x.Y")).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    server.drain.begin();
    let drained = server.drain.finish(Duration::from_millis(300)).await;
    assert!(matches!(drained, Drained::TimedOut { .. }), "{drained:?}");
}

#[tokio::test]
async fn idle_connections_hold_up_no_drain() {
    let server = running(GrpcOptions::default()).await;
    HealthClient::new(server.channel.clone()).check(check("")).await.unwrap();
    server.drain.begin();
    assert_eq!(server.drain.finish(PATIENCE).await, Drained::Clean);
}

#[test]
fn streams_that_nobody_reads_cannot_fill_a_connection() {
    for (stream, connection) in [(1 << 20, 16 << 20), (65_536, 1 << 20), (8 << 20, 32 << 20)] {
        let options =
            GrpcOptions { stream_window: stream, connection_window: connection, ..GrpcOptions::default() };
        assert!(u64::from(options.streams_max()) * u64::from(stream) < u64::from(connection));
    }
    let odd = GrpcOptions { stream_window: 0, connection_window: 0, ..GrpcOptions::default() };
    assert_eq!(odd.streams_max(), 1);
}
