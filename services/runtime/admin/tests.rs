//! The admin address, asked over HTTP and gRPC.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::*;
use crate::{
    BindAddress, Config, Drain, GrpcOptions, Layers, ListenOptions, Listener, Port, PortOptions, Route,
    connection_queue,
};

async fn running(health: &Health, metrics: Option<Metrics>) -> BindAddress {
    let drain = Drain::new();
    let config = watch::Sender::new(Config::resolve(&Layers::default()).unwrap().rows.into()).subscribe();
    let page = Page::new(|refresh| async move {
        Document { html: format!("<p>{refresh:?}"), content_security_policy: "default-src 'none'" }
    });
    let admin = Admin { health: health.clone(), metrics, config, page: Some(page) };
    let options = GrpcOptions { http1: true, ..GrpcOptions::default() };
    let server = admin.routes_on(GrpcServer::new(options, &[], health, &Metrics::new("0").unwrap()).unwrap());
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), &ListenOptions::default()).await.unwrap();
    let (queue, incoming) = connection_queue();
    let port = Port::new(listener, PortOptions::default(), Route::Queue(queue.clone()), Route::Queue(queue));
    let address = port.address().clone();
    drain.spawn(port.serve(drain.clone()));
    let draining = drain.clone();
    drain.spawn(async move { server.serve(incoming, &draining).await.unwrap() });
    address
}

/// The status and the body of a plain HTTP/1.1 request.
async fn get_page(address: &BindAddress, path: &str) -> (u16, String) {
    let (head, body) = get_as(address, path, "*/*").await;
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
}

/// Head and body of the answer to who accepts a kind.
async fn get_as(address: &BindAddress, path: &str, accept: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address.socket_addr().unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn browsers_get_the_page_and_everybody_else_the_routes() {
    let health = Health::new(["x.Y"]).await;
    let address = running(&health, None).await;
    let (_, list) = get_page(&address, "/").await;
    assert!(list.starts_with("/         the status page") && list.contains("/metrics"), "{list}");
    let (head, page) = get_as(&address, "/?refresh=5", "text/html,*/*;q=0.8").await;
    assert_eq!(page, "<p>Some(5)");
    for line in [
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
    ] {
        assert!(head.lines().any(|told| told == line), "no {line} in {head}");
    }
}

#[tokio::test]
async fn readiness_follows_health_and_liveness_does_not() {
    let health = Health::new(["x.Y"]).await;
    let address = running(&health, None).await;
    assert_eq!(get_page(&address, "/live").await.0, 200);
    assert_eq!(get_page(&address, "/ready").await.0, 503);
    health.set_ready().await;
    assert_eq!(get_page(&address, "/ready").await, (200, "ready\n".to_owned()));
    health.set_not_ready().await;
    assert_eq!(get_page(&address, "/ready").await.0, 503);
    assert_eq!(get_page(&address, "/live").await.0, 200);
}

#[tokio::test]
async fn metrics_and_configuration_are_shown_where_they_are_on() {
    let health = Health::new(["x.Y"]).await;
    let address = running(&health, Some(Metrics::new("7.8.9").unwrap())).await;
    let (status, text) = get_page(&address, "/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("ssync_build_info{version=\"7.8.9\"} 1"), "{text}");
    let (_, body) = get_page(&address, "/config").await;
    let rows: Value = serde_json::from_str(&body).unwrap();
    let wanted = json!({"section": "ssync", "name": "durability", "value": "batch", "origin": "default"});
    assert!(rows.as_array().unwrap().contains(&wanted), "{rows}");
    assert_eq!(get_page(&running(&health, None).await, "/metrics").await.0, 404);
}

#[tokio::test]
async fn grpc_is_on_the_same_port() {
    let health = Health::new(["x.Y"]).await;
    let address = running(&health, None).await;
    let channel = tonic::transport::Channel::from_shared(format!("http://{address}")).unwrap();
    let mut client = HealthClient::new(channel.connect().await.unwrap());
    let request = HealthCheckRequest { service: crate::LIVE.to_owned() };
    assert_eq!(client.check(request).await.unwrap().into_inner().status, 1);
}
