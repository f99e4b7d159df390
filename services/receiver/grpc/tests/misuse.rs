//! Clients that do not keep to the contract.

use futures_util::{Stream, StreamExt as _, stream};
use ssync_api::{convert, status::from_status};
use tonic::{Code, Status};

use super::*;
use crate::IsLocal;

fn first() -> v1::MissingCheckRequest {
    v1::MissingCheckRequest { partition: Some(partition().into()), offers: vec![offer(1).into()] }
}

fn opening() -> v1::UpdatesRequest {
    open().into()
}

/// The messages, and then an open stream: the server has to end it.
fn hanging<T: Send + 'static>(messages: Vec<T>) -> impl Stream<Item = T> + Send + 'static {
    stream::iter(messages).chain(stream::pending())
}

/// How a call ends that should not go well.
async fn end_of<T>(
    call: impl Future<Output = Result<tonic::Response<tonic::Streaming<T>>, Status>>,
) -> Status {
    let mut responses = match soon(call).await {
        Ok(response) => response.into_inner(),
        Err(status) => return status,
    };
    loop {
        match soon(responses.message()).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended well"),
            Err(status) => return status,
        }
    }
}

fn assert_refused(status: &Status, reason: Reason, field: Option<&str>) {
    let refusal = from_status(status);
    assert_eq!((refusal.reason, refusal.field.as_deref()), (reason, field), "{status:?}");
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_check_that_breaks_the_contract_is_refused_by_field() {
    let node = Node::start(Fake::default()).await;
    let mut client = node.replication().await;
    let offers = |hash: &str, count: usize| {
        let offer = v1::ObjectOffer { object_hash: hash.into(), ..offer(1).into() };
        v1::MissingCheckRequest { partition: None, offers: vec![offer; count] }
    };
    let device = |device: &str| {
        let partition = v1::PartitionRef { device: device.into(), ..partition().into() };
        v1::MissingCheckRequest { partition: Some(partition), offers: vec![] }
    };
    let good = hash(1).to_string();
    let cases = [
        (vec![offers(&good, 1)], Reason::InvalidArgument, Some("partition")),
        (vec![device("../x")], Reason::InvalidArgument, Some("partition.device")),
        (vec![first(), offers("../../etc/passwd", 1)], Reason::InvalidArgument, Some("offers.object_hash")),
        (vec![first(), offers(&good, convert::OFFERS_MAX + 1)], Reason::InvalidArgument, Some("offers")),
        (vec![first(), first()], Reason::ProtocolOrder, None),
    ];
    for (messages, reason, field) in cases {
        assert_refused(&end_of(client.missing_check(hanging(messages))).await, reason, field);
    }
    let nothing = end_of(client.missing_check(stream::empty())).await;
    assert_refused(&nothing, Reason::ProtocolOrder, None);
    eventually("all are over", || node.store.sessions.load(std::sync::atomic::Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn a_session_that_breaks_the_contract_is_refused_and_stores_nothing() {
    use v1::updates_request::Message;
    let node = Node::start(Fake::default()).await;
    let mut client = node.replication().await;
    let wire = |message: UpdateMessage| v1::UpdatesRequest::from(message);
    let chunk = |bytes: usize| v1::UpdatesRequest {
        message: Some(Message::Chunk(v1::BodyChunk { data: vec![0; bytes].into() })),
    };
    let cases = [
        (vec![wire(delete(1))], Reason::ProtocolOrder, None),
        (vec![v1::UpdatesRequest { message: None }], Reason::InvalidArgument, Some("message")),
        (vec![opening(), opening()], Reason::ProtocolOrder, None),
        (vec![opening(), wire(put(1, "o", 3, None)), chunk(0)], Reason::InvalidArgument, Some("chunk.data")),
        (
            vec![opening(), wire(put(1, "o", 3, None)), chunk(convert::CHUNK_BYTES_MAX + 1)],
            Reason::InvalidArgument,
            Some("chunk.data"),
        ),
    ];
    for (messages, reason, field) in cases {
        assert_refused(&end_of(client.updates(hanging(messages))).await, reason, field);
    }
    assert_refused(&end_of(client.updates(stream::empty())).await, Reason::ProtocolOrder, None);
    eventually("all are over", || node.store.sessions.load(std::sync::atomic::Ordering::SeqCst) == 0).await;
    assert!(node.store.objects.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_message_over_the_limit_ends_its_stream_and_nothing_else() {
    let node = Node::start(Fake::default()).await;
    let mut client = node.replication().await;
    let data = vec![0; convert::REQUEST_BYTES_MAX + 1].into();
    let huge =
        v1::UpdatesRequest { message: Some(v1::updates_request::Message::Chunk(v1::BodyChunk { data })) };
    let status = end_of(client.updates(hanging(vec![opening(), huge]))).await;
    assert_refused(&status, Reason::InvalidArgument, None);
    assert!(status.message().contains("too large"), "{status:?}");

    // On the same connection.
    let mut answers = client.missing_check(stream::iter([first()])).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().answered_offers, 1);
}

#[tokio::test]
async fn bytes_that_are_no_message_are_the_client_s_fault() {
    let node = Node::start(Fake::default()).await;
    let mut grpc = tonic::client::Grpc::new(node.channel().await);
    grpc.ready().await.unwrap();
    // Read as a MissingCheckRequest, its first field is a PartitionRef made of text.
    let nonsense =
        tonic_types::pb::RequestInfo { request_id: "\u{7f}no partition".into(), ..Default::default() };
    let path = "/ssync.v1.ReplicationService/MissingCheck".parse().unwrap();
    let codec = tonic_prost::ProstCodec::<_, v1::MissingCheckResponse>::default();
    let call = grpc.streaming(tonic::Request::new(hanging(vec![nonsense])), path, codec);
    assert_refused(&end_of(call).await, Reason::InvalidArgument, None);
}

fn put_head() -> v1::PutObjectRequest {
    let put = ObjectPut {
        object: object("o"),
        timestamp: time(1),
        content_length: Some(3),
        metadata: metadata(),
        if_none_match: vec![],
        commit: ssync_types::CommitMode::AtOnce,
        next_part_power: None,
    };
    put.into()
}

#[tokio::test]
async fn a_put_that_breaks_the_contract_stores_nothing() {
    let node = Node::start(Fake::default()).await;
    let mut client = node.objects().await;
    let chunk = || v1::PutObjectRequest::from(BodyEvent::Chunk("abc".into()));
    let end = || v1::PutObjectRequest::from(BodyEvent::End(complete()));
    let empty = v1::PutObjectRequest::from(BodyEvent::Chunk(bytes::Bytes::new()));
    let cases = [
        (vec![chunk(), end()], Reason::ProtocolOrder, None),
        (vec![put_head(), put_head(), chunk(), end()], Reason::ProtocolOrder, None),
        (vec![put_head(), empty, end()], Reason::InvalidArgument, Some("chunk.data")),
        (vec![v1::PutObjectRequest { message: None }], Reason::InvalidArgument, Some("message")),
    ];
    for (messages, reason, field) in cases {
        let status = end_of(client.put_object(hanging(messages))).await;
        assert_refused(&status, reason, field);
    }
    let status = end_of(client.put_object(stream::iter([put_head(), chunk()]))).await;
    assert_eq!(from_status(&status).reason, Reason::BodyLength);
    assert!(node.store.objects.lock().unwrap().is_empty());
    let mut steps =
        soon(client.put_object(hanging(vec![put_head(), chunk(), end()]))).await.unwrap().into_inner();
    while soon(steps.message()).await.unwrap().is_some() {}
    assert_eq!(node.store.objects.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn questions_of_one_message_are_refused_by_field() {
    let node = Node::start(Fake::default()).await;
    let mut client = node.replication().await;
    let status = client.get_suffix_hashes(v1::GetSuffixHashesRequest::default()).await.unwrap_err();
    assert_refused(&status, Reason::InvalidArgument, Some("partition"));
    let stale =
        v1::InvalidateSuffixesRequest { partition: Some(partition().into()), suffixes: vec!["../".into()] };
    let status = client.invalidate_suffixes(stale).await.unwrap_err();
    assert_refused(&status, Reason::InvalidArgument, Some("suffixes"));
    let mut client = node.objects().await;
    let status = client.head_object(v1::HeadObjectRequest::default()).await.unwrap_err();
    assert_refused(&status, Reason::InvalidArgument, Some("object"));
    let status = client.delete_object(v1::DeleteObjectRequest::default()).await.unwrap_err();
    assert_refused(&status, Reason::InvalidArgument, Some("object"));
    let status = client.queue_update(v1::QueueUpdateRequest::default()).await.unwrap_err();
    assert_refused(&status, Reason::InvalidArgument, Some("operation"));
}

#[tokio::test]
async fn only_this_node_releases() {
    let settings = GrpcSettings::new(|_| false, CancellationToken::new());
    let node = Node::start_with(Fake::default(), settings, Server::builder()).await;
    let refusal = node.remote().release(release_open()).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::NotLocal);
    assert!(refusal.message.contains("127.0.0.1"), "{}", refusal.message);
    let mut client = node.replication().await;
    let status = client.release(hanging::<v1::ReleaseRequest>(vec![])).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(node.store.releases.load(std::sync::atomic::Ordering::SeqCst), 0);
    // Nor does anybody else plant rows of listings in this node's name.
    let mut client = node.objects().await;
    let status = client.queue_update(v1::QueueUpdateRequest::default()).await.unwrap_err();
    assert_eq!(from_status(&status).reason, Reason::NotLocal);
}

#[tokio::test]
async fn what_a_proxy_passed_on_does_not_release() {
    let node = Node::start(Fake::default()).await;
    let mut client = node.replication().await;
    let mut request = tonic::Request::new(hanging::<v1::ReleaseRequest>(vec![]));
    request.metadata_mut().insert("x-envoy-external-address", "10.0.0.9".parse().unwrap());
    let status = client.release(request).await.unwrap_err();
    assert_eq!(from_status(&status).reason, Reason::NotLocal);
    assert!(status.message().contains("passed on by a proxy"), "{}", status.message());
    assert_eq!(node.store.releases.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn only_this_node_opens_sessions_as_the_bridge_does() {
    for local in [true, false] {
        let is_local: IsLocal = if local { |_| true } else { |_| false };
        let settings = GrpcSettings::new(is_local, CancellationToken::new());
        let node = Node::start_with(Fake::default(), settings, Server::builder()).await;
        let bridge = SessionOpen { failures_unlimited: true, protocol: SessionProtocol::Ssync, ..open() };
        let _session = node.remote().updates(bridge.clone()).await.unwrap();
        let expected = if local { bridge } else { open() };
        assert_eq!(*node.store.opens.lock().unwrap(), [expected], "local: {local}");
    }
}
