//! What operators see: the admin service, and metrics.

use ssync_api::{
    admin::{
        DrainRequest, GetLimitsRequest, GetServerInfoRequest, ListDevicesRequest, ListSessionsRequest,
        Session, SessionProtocol, admin_service_client::AdminServiceClient,
    },
    status::from_status,
    v1::Job,
};
use ssync_types::Reason;

use super::support::{Node, at, put, ssync};
use crate::AdminGrpc;

#[tokio::test]
async fn shows_what_runs_and_drains() {
    let node = Node::new();
    let server = AdminGrpc::server(node.receiver.clone(), |_| true);
    // The service is called as its clients call it, without a network between.
    let mut admin = AdminServiceClient::new(server);
    let mut talk = node.open(ssync(0)).await;
    talk.outcome(put(&node.object(0), at(2), b"x")).await;
    talk.outcome(put(&node.object(0), at(1), b"y")).await;
    let sessions = admin.list_sessions(ListSessionsRequest {}).await.unwrap().into_inner().sessions;
    let shown: Vec<_> =
        sessions.iter().map(|session| (session.protocol(), session.device.as_str(), session.job())).collect();
    assert_eq!(shown, [(SessionProtocol::Ssync, "d1", Job::Sync)]);
    let counted = |of: &Session| [of.applied, of.confirmed, of.superseded, of.failed];
    assert_eq!(counted(&sessions[0]), [1, 0, 1, 0]);
    assert_eq!(sessions[0].peer, "10.0.0.7:6200");
    let limits = admin.get_limits(GetLimitsRequest {}).await.unwrap().into_inner().limits;
    let slots = limits.iter().find(|limit| limit.name == "replication_concurrency").unwrap();
    assert_eq!((slots.maximum, slots.used), (4, 1));
    let devices = admin.list_devices(ListDevicesRequest {}).await.unwrap().into_inner().devices;
    assert!(devices.len() == 2 && devices.iter().all(|device| device.mounted && device.total_bytes > 0));
    assert!(!admin.get_server_info(GetServerInfoRequest {}).await.unwrap().into_inner().draining);
    assert_eq!(admin.drain(DrainRequest {}).await.unwrap().into_inner().sessions, 1);
    assert!(admin.get_server_info(GetServerInfoRequest {}).await.unwrap().into_inner().draining);
    assert!(talk.close().await.drained);
}

#[tokio::test]
async fn only_this_node_drains() {
    let node = Node::new();
    let mut stranger = AdminServiceClient::new(AdminGrpc::server(node.receiver.clone(), |_| false));
    assert!(stranger.list_sessions(ListSessionsRequest {}).await.is_ok());
    let status = stranger.drain(DrainRequest {}).await.unwrap_err();
    assert_eq!(from_status(&status).reason, Reason::NotLocal);
    let mut local = AdminServiceClient::new(AdminGrpc::server(node.receiver.clone(), |_| true));
    let mut passed_on = tonic::Request::new(DrainRequest {});
    passed_on.metadata_mut().insert("x-forwarded-for", "10.0.0.9".parse().unwrap());
    let status = local.drain(passed_on).await.unwrap_err();
    assert_eq!(from_status(&status).reason, Reason::NotLocal);
    assert!(!node.receiver.is_draining());
    assert!(local.drain(DrainRequest {}).await.is_ok() && node.receiver.is_draining());
}

#[tokio::test]
async fn metrics_show_what_was_done_and_what_is_in_use() {
    let node = Node::new();
    let metrics = ssync_runtime::Metrics::new("0").unwrap();
    node.receiver.observe(&metrics.meter());
    let mut talk = node.open(ssync(0)).await;
    talk.outcome(put(&node.object(0), at(1), b"x")).await;
    let text = metrics.text().unwrap();
    let lines = [
        "ssync_receiver_updates_applied_total 1",
        "ssync_receiver_sessions 1",
        "ssync_receiver_limit_used{limit=\"replication_concurrency\"} 1",
    ];
    for line in lines {
        assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
    }
    talk.close().await;
}
