//! Sessions that go wrong once they are accepted.

use anyhow::{Context as _, Result};
use ssync_api::v1::{
    BodyEnd, DeleteUpdate, InlineBody, PutUpdate, Update, UpdateOutcome, UpdatesRequest, body_end, update,
    updates_request::Message,
};
use ssync_tests::{Cluster, Server, Shape};
use tonic::Code;

use crate::{
    peer::{Peer, chunk, complete, open, put, say},
    scene::{PARTITION, Scene},
};

/// Of `hello`.
const HELLO_MD5: &str = "5d41402abc4b2a76b9719d911017c592";
/// Of nothing that is sent here.
const OTHER_MD5: &str = "00000000000000000000000000000000";

fn inline(update_id: u64, path: &str, length: u64, data: &'static [u8], etag: &str) -> UpdatesRequest {
    let body = InlineBody { data: data.into(), etag: Some(etag.to_owned()) };
    let put = PutUpdate {
        timestamp: Some(Peer::timestamp()),
        content_length: length,
        inline_body: Some(body),
        metadata: vec![ssync_api::v1::MetadataEntry {
            name: "Content-Type".into(),
            value: "text/plain".into(),
        }],
        ..Default::default()
    };
    let path = path.to_owned().into();
    say(Message::Update(Update { update_id, path, operation: Some(update::Operation::Put(put)) }))
}

fn abort() -> UpdatesRequest {
    say(Message::End(BodyEnd { outcome: Some(body_end::Outcome::AbortReason("cannot read".to_owned())) }))
}

#[tokio::test]
async fn a_bad_body_costs_its_object_and_not_the_session() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut peer = scene.peer().await?;
    let objects = scene.located(8)?;
    let path = |index: usize| objects[index].path.as_str();
    let went = peer
        .session(vec![
            open(Peer::partition()),
            put(1, path(0), 10),
            chunk(&b"hello"[..]),
            complete(HELLO_MD5),
            put(2, path(1), 4),
            chunk(&b"hello"[..]),
            complete(HELLO_MD5),
            put(3, path(2), 5),
            chunk(&b"hello"[..]),
            complete(OTHER_MD5),
            put(4, path(3), 5),
            chunk(&b"hel"[..]),
            abort(),
            inline(5, path(4), 6, b"hello", HELLO_MD5),
            inline(6, path(5), 5, b"hello", OTHER_MD5),
            put(7, path(6), 5),
            chunk(&b"hello"[..]),
            complete(HELLO_MD5),
        ])
        .await?;
    assert!(went.summary && went.status.is_none(), "{went:?}");
    let failed = |reason| Some((UpdateOutcome::Failed, Some(reason)));
    assert_eq!(went.result(1), failed("BODY_LENGTH"), "a body shorter than announced");
    assert_eq!(went.result(2), failed("BODY_LENGTH"), "a body longer than announced");
    assert_eq!(went.result(3), failed("ETAG_MISMATCH"), "a wrong etag");
    assert_eq!(went.result(4), failed("BODY_LENGTH"), "a body broken off");
    assert_eq!(went.result(5), failed("BODY_LENGTH"), "an inline body shorter than announced");
    assert_eq!(went.result(6), failed("ETAG_MISMATCH"), "a wrong etag of an inline body");
    assert_eq!(went.result(7), Some((UpdateOutcome::Applied, None)), "the good one among them");

    let tree = scene.node().read_tree()?;
    tree.assert_sound();
    let there: Vec<bool> = objects.iter().map(|object| tree.object(&object.path).is_some()).collect();
    assert_eq!(there, [false, false, false, false, false, false, true, false]);
    scene.assert_serving("bad bodies").await
}

#[tokio::test]
async fn a_path_of_another_partition_changes_nothing() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut peer = scene.peer().await?;
    let elsewhere = scene.located_in(PARTITION + 1, 1)?;
    let delete = update::Operation::Delete(DeleteUpdate { timestamp: Some(Peer::timestamp()) });
    let path: bytes::Bytes = elsewhere[0].path.clone().into();
    for request in [
        inline(1, &elsewhere[0].path, 5, b"hello", HELLO_MD5),
        say(Message::Update(Update { update_id: 1, path, operation: Some(delete) })),
    ] {
        let went = peer.session(vec![open(Peer::partition()), request]).await?;
        assert_eq!(went.result(1), Some((UpdateOutcome::Failed, Some("RING_MISMATCH"))), "{went:?}");
    }
    scene.assert_untouched("a path of another partition").await
}

#[tokio::test]
async fn a_path_that_is_none_changes_nothing() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut peer = scene.peer().await?;
    for path in ["", "/", "/a", "/a/c", "/a/c/", "a/c/o", "//c/o"] {
        let went =
            peer.session(vec![open(Peer::partition()), inline(1, path, 5, b"hello", HELLO_MD5)]).await?;
        let in_band = went.result(1).is_some_and(|(outcome, reason)| {
            outcome == UpdateOutcome::Failed && reason == Some("INVALID_ARGUMENT")
        });
        let refused = went.status.as_ref().is_some_and(|status| status.code() == Code::InvalidArgument);
        assert!(in_band || refused, "{path:?}: {went:?}");
    }
    scene.assert_untouched("paths that are none").await
}

#[tokio::test]
async fn messages_out_of_order_end_the_session() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut peer = scene.peer().await?;
    let objects = scene.located(2)?;
    let path = objects[0].path.as_str();
    let begun = || open(Peer::partition());
    let stories: Vec<(&str, Vec<UpdatesRequest>)> = vec![
        ("an update before open", vec![put(1, path, 5)]),
        ("a chunk before open", vec![chunk(&b"hello"[..])]),
        ("open twice", vec![begun(), begun()]),
        ("a chunk of nothing", vec![begun(), chunk(&b"hello"[..])]),
        ("an end of nothing", vec![begun(), complete(HELLO_MD5)]),
        ("an update within a body", vec![begun(), put(1, path, 5), put(2, &objects[1].path, 5)]),
        ("open within a body", vec![begun(), put(1, path, 5), begun()]),
        ("a message that says nothing", vec![begun(), UpdatesRequest { message: None }]),
        (
            "an update that does nothing",
            vec![
                begun(),
                say(Message::Update(Update { update_id: 1, path: path.to_owned().into(), operation: None })),
            ],
        ),
    ];
    for (what, requests) in stories {
        let went = peer.session(requests).await?;
        let code = went.status.as_ref().map(tonic::Status::code);
        assert_eq!(code, Some(Code::InvalidArgument), "{what}: {went:?}");
    }
    scene.assert_untouched("messages out of order").await
}

#[tokio::test]
async fn a_session_that_is_cut_off_leaves_nothing() -> Result<()> {
    let mut scene = Scene::new()?;
    let objects = scene.located(1)?;
    let mut peer = scene.peer().await?;
    let (sender, answers) = peer.begin_with(open(Peer::partition())).await?;
    sender.send(put(1, &objects[0].path, 1000)).await?;
    sender.send(chunk(&b"half of it"[..])).await?;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    drop((sender, answers));
    drop(peer);
    // The lock is let go of, so the next session is accepted.
    let went = accepted_in_the_end(&scene).await?;
    assert!(went.accepted && went.summary, "{went:?}");
    scene.assert_untouched("a session that was cut off").await
}

#[tokio::test]
async fn a_silent_peer_is_let_go_of_in_one_process() -> Result<()> {
    silent_peer(Shape::OneProcess).await
}

#[tokio::test]
async fn a_silent_peer_is_let_go_of_in_two_processes() -> Result<()> {
    silent_peer(Shape::TwoOverUnix).await
}

async fn silent_peer(shape: Shape) -> Result<()> {
    let patience = Cluster::of(1).setting("app:object-server", "client_timeout", "1");
    let mut scene = Scene::of(patience, Server::Ssync(shape))?;
    let objects = scene.located(1)?;
    let stories: Vec<(&str, Vec<UpdatesRequest>)> = vec![
        ("after open", vec![]),
        ("within a body", vec![put(1, &objects[0].path, 1000), chunk(&b"half"[..])]),
    ];
    for (when, requests) in stories {
        let mut peer = scene.peer().await?;
        let (sender, answers) = peer.begin_with(open(Peer::partition())).await?;
        for request in requests {
            sender.send(request).await?;
        }
        // The sender stays open and says nothing more.
        let went = Peer::end(answers).await?;
        assert!(went.accepted, "{when}: {went:?}");
        went.assert_refused(Code::DeadlineExceeded, "IDLE_TIMEOUT");
        drop(sender);
    }
    let went = accepted_in_the_end(&scene).await?;
    assert!(went.accepted && went.summary, "{went:?}");
    scene.assert_untouched("a silent peer").await
}

/// What went before may hold the lock for a moment longer.
async fn accepted_in_the_end(scene: &Scene) -> Result<crate::peer::Went> {
    let mut last = None;
    for _ in 0..20 {
        let went = scene.peer().await?.session(vec![open(Peer::partition())]).await?;
        if went.accepted {
            return Ok(went);
        }
        last = Some(went);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    last.context("no session was tried")
}
