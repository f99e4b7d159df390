//! Tests against a server that sends what no gRPC library would.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{Empty, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ssync_types::{ObjectPath, ObjectRef, Partition, PartitionRef, PolicyIndex, ReadOptions, Reason};
use tokio::net::TcpListener;

use super::*;
use crate::{RemoteSettings, RemoteStore, Store, StoreAddress};

/// `!!!` is not base64 at all; `AB` leaves bits over.
const MALFORMED: [&str; 3] = ["!!!", "AB", "A"];

/// A server that answers every call with NOT_FOUND and these details, in the head or in the trailers.
async fn serve(details: &'static str, in_trailers: bool) -> RemoteStore {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = StoreAddress::Tcp(listener.local_addr().unwrap().to_string());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(move |_: Request<Incoming>| async move {
                Ok::<_, Infallible>(answer(details, in_trailers))
            });
            let server = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    RemoteStore::new(address, RemoteSettings::default()).unwrap()
}

fn answer(details: &'static str, in_trailers: bool) -> Response<BoxBody<Bytes, Infallible>> {
    let status = HeaderMap::from_iter([
        ("grpc-status".parse().unwrap(), "5".parse().unwrap()),
        (DETAILS.parse::<http::HeaderName>().unwrap(), details.parse().unwrap()),
    ]);
    let mut response = Response::new(Empty::new().boxed());
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    if in_trailers {
        *response.body_mut() = Empty::new().with_trailers(async { Some(Ok(status)) }).boxed();
    } else {
        response.headers_mut().extend(status);
    }
    response
}

#[tokio::test]
async fn malformed_details_are_dropped_and_the_status_stays() {
    let partition = PartitionRef {
        device: "sdb1".parse().unwrap(),
        partition: Partition::new(0),
        policy: PolicyIndex::new(0),
        fragment: None,
    };
    let object = ObjectRef { partition, path: ObjectPath::of("a", "c", "o").unwrap() };
    for details in MALFORMED {
        for in_trailers in [false, true] {
            let store = serve(details, in_trailers).await;
            let head = store.head_object(object.clone(), ReadOptions::default()).await;
            assert_eq!(head.unwrap_err().reason, Reason::NotFound, "{details}");
            let get = store.get_object(object.clone(), vec![], ReadOptions::default()).await;
            assert_eq!(get.unwrap_err().reason, Reason::NotFound, "{details}");
        }
    }
}

#[test]
fn good_details_stay() {
    for details in ["", "CAU", "CAUSAg==", "AAAA"] {
        let mut headers = HeaderMap::new();
        headers.insert(DETAILS, details.parse().unwrap());
        let before = headers.clone();
        disarm(&mut headers);
        assert_eq!(headers, before);
    }
}
