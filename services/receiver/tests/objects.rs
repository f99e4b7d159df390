//! Single requests, as Swift's object server answers them.

use crate::tests::upload;
use ssync_store::{Store as _, Upload};
use ssync_types::{
    BodyEnd, BodyEvent, ByteRange, CommitMode, InlineBody, ObjectDelete, ObjectPath, ObjectPost, ObjectPut,
    ObjectRef, Posted, PutStep, ReadOptions, Reason, Refusal, Stored, Timestamp,
};

use super::support::{Node, at, body, complete, md5, metadata, partition};

fn put_of(node: &Node, path: &ObjectPath, time: Timestamp) -> ObjectPut {
    ObjectPut {
        object: node.reference(path),
        timestamp: time,
        content_length: None,
        metadata: metadata(&[("Content-Type", "text/plain"), ("X-Object-Meta-Colour", "red")]),
        if_none_match: Vec::new(),
        commit: ssync_types::CommitMode::AtOnce,
        next_part_power: None,
    }
}

async fn put(node: &Node, path: &ObjectPath, time: Timestamp, bytes: &[u8]) -> Result<Stored, Refusal> {
    upload(&*node.receiver, put_of(node, path, time), body(bytes, complete(&md5(bytes)))).await
}

fn delete_of(node: &Node, path: &ObjectPath, time: Timestamp) -> ObjectDelete {
    ObjectDelete { object: node.reference(path), timestamp: time, if_delete_at: None, next_part_power: None }
}

fn post_of(node: &Node, path: &ObjectPath, time: Timestamp) -> ObjectPost {
    ObjectPost {
        object: node.reference(path),
        timestamp: time,
        metadata: metadata(&[("X-Object-Meta-Colour", "blue")]),
        content_type: None,
        open_expired: false,
        next_part_power: None,
    }
}

fn shown(refusal: &Refusal) -> (Reason, Option<Timestamp>) {
    (refusal.reason, refusal.timestamp)
}

#[tokio::test]
async fn an_object_is_stored_read_changed_and_deleted() {
    let node = Node::new();
    let path = node.object(0);
    let bytes: Vec<u8> = (0..600_000_u32).map(|n| (n % 253) as u8).collect();
    let stored = put(&node, &path, at(1), &bytes).await.unwrap();
    assert_eq!((stored.etag, stored.content_length, stored.previous), (md5(&bytes), 600_000, None));
    assert_eq!(node.read(&path).await.unwrap(), bytes);

    let mut post = post_of(&node, &path, at(2));
    post.metadata.set("Content-Type", "text/html");
    post.content_type = Some(at(2));
    let Posted { info, previous, body_type } = node.receiver.post_object(post).await.unwrap();
    assert_eq!(info.metadata.get_str("x-object-meta-colour"), Some("blue"));
    assert_eq!(info.metadata.get_str("content-type"), Some("text/html"));
    assert_eq!(previous.get_str("x-object-meta-colour"), Some("red"));
    assert_eq!(body_type, "text/plain");
    let stored = put(&node, &path, at(3), b"").await.unwrap();
    assert_eq!(stored.previous.unwrap().get_str("x-object-meta-colour"), Some("blue"));
    assert_eq!(node.read(&path).await.unwrap(), b"");

    let deleted = node.receiver.delete_object(delete_of(&node, &path, at(4))).await.unwrap();
    assert!(deleted.existed && deleted.timestamp == at(4) && deleted.previous.is_some());
    assert_eq!(shown(&node.read(&path).await.unwrap_err()), (Reason::NotFound, Some(at(4))));
    // A tombstone is left also where there is nothing, and an older one does not replace a newer.
    for (time, newest) in [(at(6), at(6)), (at(5), at(6))] {
        let deleted = node.receiver.delete_object(delete_of(&node, &path, time)).await.unwrap();
        assert!(!deleted.existed);
        assert_eq!(deleted.timestamp, newest);
    }
    assert_eq!(node.files(&path), [format!("{}.ts", at(6))]);
}

#[tokio::test]
async fn what_is_stored_stands_against_what_is_not_newer() {
    let node = Node::new();
    let path = node.object(0);
    put(&node, &path, at(5), b"five").await.unwrap();
    for time in [at(4), at(5)] {
        let conflict = (Reason::Conflict, Some(at(5)));
        assert_eq!(shown(&put(&node, &path, time, b"x").await.unwrap_err()), conflict);
        assert_eq!(
            shown(&node.receiver.post_object(post_of(&node, &path, time)).await.unwrap_err()),
            conflict
        );
        assert_eq!(
            shown(&node.receiver.delete_object(delete_of(&node, &path, time)).await.unwrap_err()),
            conflict
        );
    }
    // The body's time decides for a PUT, not that of later metadata.
    node.receiver.post_object(post_of(&node, &path, at(9))).await.unwrap();
    put(&node, &path, at(7), b"seven").await.unwrap();
    let tombstone = node.object(1);
    node.receiver.delete_object(delete_of(&node, &tombstone, at(5))).await.unwrap();
    assert_eq!(
        shown(&put(&node, &tombstone, at(5), b"x").await.unwrap_err()),
        (Reason::Conflict, Some(at(5)))
    );
    assert_eq!(
        node.receiver.post_object(post_of(&node, &tombstone, at(9))).await.unwrap_err().reason,
        Reason::NotFound
    );
}

/// Whoever asks for what is no device must not keep others from those that are.
#[tokio::test]
async fn made_up_devices_leave_no_trace() {
    let node = Node::new();
    let path = node.object(0);
    for number in 0..1100 {
        let mut object = node.reference(&path);
        object.partition.device = format!("no{number}").parse().unwrap();
        let found = node.receiver.get_object(object.clone(), vec![], ReadOptions::default()).await.map(drop);
        assert_eq!(found.unwrap_err().reason, Reason::DeviceUnmounted);
        let put = ObjectPut { object, ..put_of(&node, &path, at(1)) };
        let stored = upload(&*node.receiver, put, body(b"x", complete(&md5(b"x")))).await;
        assert_eq!(stored.unwrap_err().reason, Reason::DeviceUnmounted);
    }
    put(&node, &path, at(1), b"x").await.unwrap();
}

/// A body that is at hand meets the same checks, in the same order, as one that comes in pieces.
#[tokio::test]
async fn what_comes_whole_is_judged_as_what_comes_in_pieces() {
    let nodes = [Node::new(), Node::new()];
    let right = md5(b"12345");
    let sized = |time, length| (time, Some(length), right.clone(), None, "");
    let table = [
        sized(at(5), 5),
        // As new, older, newer.
        sized(at(5), 5),
        sized(at(4), 5),
        sized(at(6), 5),
        // Of another length, of another MD5, unwanted, with a time that is none; and then as it should be.
        sized(at(7), 4),
        sized(at(7), 6),
        (at(7), Some(5), md5(b"other"), None, ""),
        (at(7), Some(5), right.clone(), Some("*".to_owned()), ""),
        (at(7), Some(5), right.clone(), None, "soon"),
        (at(7), None, right.clone(), Some("x".to_owned()), ""),
    ];
    for (time, content_length, etag, unwanted, delete_at) in table {
        let case = format!("{time} {content_length:?} {etag} {unwanted:?} {delete_at}");
        let mut outcomes = Vec::new();
        for (node, whole) in nodes.iter().zip([true, false]) {
            let path = node.object(0);
            let mut put = put_of(node, &path, time);
            put.content_length = content_length;
            put.if_none_match = unwanted.iter().cloned().collect();
            if !delete_at.is_empty() {
                put.metadata.set("X-Delete-At", delete_at);
            }
            let outcome = match whole {
                true => {
                    let body = InlineBody { data: (&b"12345"[..]).into(), etag: Some(etag.clone()) };
                    node.receiver.put_whole_object(put, body).await
                }
                false => upload(&*node.receiver, put, body(b"12345", complete(&etag))).await,
            };
            outcomes.push((outcome.map_err(|refusal| shown(&refusal)), node.files(&path)));
        }
        assert_eq!(outcomes[0], outcomes[1], "{case}");
    }
    let path = nodes[0].object(0);
    assert_eq!(nodes[0].files(&path), [format!("{}.data", at(7))]);
    assert_eq!(nodes[0].read(&path).await.unwrap(), b"12345");
}

#[tokio::test]
async fn a_device_stays_open_from_one_request_to_the_next_and_not_for_long() {
    let node = Node::new();
    let path = node.object(0);
    let device = {
        let handle = node.receiver.core().devices.open(&partition(0).device).await.unwrap();
        std::sync::Arc::downgrade(&handle.device)
    };
    assert!(device.upgrade().is_none(), "nobody uses it");
    put(&node, &path, at(1), b"one").await.unwrap();
    let opened = || node.receiver.core().devices.disk().open(&partition(0).device).unwrap();
    let first = std::sync::Arc::downgrade(&opened());
    assert_eq!(node.read(&path).await.unwrap(), b"one");
    assert!(first.ptr_eq(&std::sync::Arc::downgrade(&opened())), "it was not opened again");
    let begun = std::time::Instant::now();
    while first.upgrade().is_some() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "it could not be unmounted");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_condition_that_fails_changes_nothing() {
    let node = Node::new();
    let path = node.object(0);
    let unless = |tags: &[&str]| ObjectPut {
        if_none_match: tags.iter().map(|&tag| tag.to_owned()).collect(),
        ..put_of(&node, &path, at(2))
    };
    let first = ObjectPut { timestamp: at(1), ..unless(&["*"]) };
    upload(&*node.receiver, first, body(b"one", complete(&md5(b"one")))).await.unwrap();
    for tags in [vec!["*"], vec!["x", &md5(b"one")], vec![&format!("\"{}\"", md5(b"one"))]] {
        let refusal = upload(&*node.receiver, unless(&tags), body(b"two", complete(&md5(b"two")))).await;
        assert_eq!(refusal.unwrap_err().reason, Reason::PreconditionFailed);
    }
    assert_eq!(node.read(&path).await.unwrap(), b"one");
    upload(&*node.receiver, unless(&["x"]), body(b"two", complete(&md5(b"two")))).await.unwrap();
    assert_eq!(node.read(&path).await.unwrap(), b"two");
}

#[tokio::test]
async fn a_bad_body_is_not_stored() {
    let node = Node::new();
    let path = node.object(0);
    let sized = |length| ObjectPut { content_length: Some(length), ..put_of(&node, &path, at(1)) };
    let right = || complete(&md5(b"12345"));
    let table = [
        (sized(4), right(), Reason::BodyLength),
        (sized(6), right(), Reason::BodyLength),
        (sized(5), complete(&md5(b"other")), Reason::EtagMismatch),
        (sized(5), BodyEnd::Abort("gone".to_owned()), Reason::BodyLength),
        (sized(u64::MAX), right(), Reason::InvalidArgument),
    ];
    for (put, end, expected) in table {
        let refusal = upload(&*node.receiver, put, body(b"12345", end)).await.unwrap_err();
        assert_eq!(refusal.reason, expected);
    }
    let (sender, cut) = tokio::sync::mpsc::channel(1);
    drop(sender);
    assert_eq!(upload(&*node.receiver, sized(5), cut).await.unwrap_err().reason, Reason::BodyLength);
    assert!(node.all_files().is_empty());
    let elsewhere = ObjectRef { partition: partition(3), path: path.clone() };
    let misplaced = ObjectPut { object: elsewhere.clone(), ..sized(5) };
    assert_eq!(
        upload(&*node.receiver, misplaced, body(b"12345", right())).await.unwrap_err().reason,
        Reason::RingMismatch
    );
    assert_eq!(
        node.receiver.head_object(elsewhere, ReadOptions::default()).await.unwrap_err().reason,
        Reason::RingMismatch
    );
}

#[tokio::test]
async fn metadata_of_the_end_wins_and_an_etag_there_counts() {
    let node = Node::new();
    let path = node.object(0);
    let end = |etag: &str| BodyEnd::Complete {
        etag: Some(etag.to_owned()),
        footers: metadata(&[("X-Object-Meta-Colour", "green"), ("Etag", "not a field of its own")]),
    };
    let refusal =
        upload(&*node.receiver, put_of(&node, &path, at(1)), body(b"x", end("0123"))).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::EtagMismatch);
    upload(&*node.receiver, put_of(&node, &path, at(1)), body(b"x", end(&md5(b"x")))).await.unwrap();
    let info = node.receiver.head_object(node.reference(&path), ReadOptions::default()).await.unwrap();
    assert_eq!(info.metadata.get_str("x-object-meta-colour"), Some("green"));
    assert_eq!(info.metadata.get_str("etag"), Some(md5(b"x").as_str()));
}

#[tokio::test]
async fn ranges_are_honoured() {
    let node = Node::new();
    let path = node.object(0);
    let bytes: Vec<u8> = (0..500_000_u32).map(|n| (n % 249) as u8).collect();
    put(&node, &path, at(1), &bytes).await.unwrap();
    let read = async |first, last| {
        let range = vec![ByteRange { first, last }];
        let (info, mut body) =
            node.receiver.get_object(node.reference(&path), range, ReadOptions::default()).await?;
        assert_eq!(info.content_length, 500_000);
        let mut all = Vec::new();
        while let Some(piece) = body.recv().await {
            all.extend_from_slice(&piece?);
        }
        Ok::<_, Refusal>(all)
    };
    for (first, last) in [(0, 0), (0, 499_999), (0, 499_998), (100_000, 450_000), (499_999, u64::MAX)] {
        let end = usize::try_from(last).unwrap().saturating_add(1).min(bytes.len());
        assert!(read(first, last).await.unwrap() == bytes[first as usize..end], "{first}-{last}");
    }
    assert_eq!(read(5, 4).await.unwrap_err().reason, Reason::InvalidArgument);
    for (first, last) in [(500_000, 500_001), (u64::MAX, u64::MAX)] {
        let refusal = read(first, last).await.unwrap_err();
        assert_eq!(refusal.reason, Reason::RangeNotSatisfiable);
        assert!(refusal.message.contains("500000 bytes"), "{refusal}");
    }
}

#[tokio::test]
async fn a_rotten_body_is_not_served_as_whole_and_goes_to_quarantine() {
    use std::io::{Seek as _, SeekFrom, Write as _};
    let node = Node::new();
    for (number, size) in [(0, 1000), (1, 600_000)] {
        let path = node.object(number);
        put(&node, &path, at(1), &vec![1; size]).await.unwrap();
        let file = node.all_files().pop().unwrap();
        let mut file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
        file.seek(SeekFrom::Start(500)).unwrap();
        file.write_all(b"rot").unwrap();
        assert_eq!(node.read(&path).await.unwrap_err().reason, Reason::ObjectDamaged);
        assert_eq!(node.files(&path), Vec::<String>::new());
        assert_eq!(shown(&node.read(&path).await.unwrap_err()), (Reason::NotFound, None));
        std::fs::remove_dir_all(node.device().join("quarantined")).unwrap();
    }
    assert_eq!(node.receiver.counters().quarantines, 2);
}

#[tokio::test]
async fn expiry_is_judged_by_the_time_of_the_request() {
    let node = Node::new();
    let path = node.object(0);
    let expires = at(100).seconds();
    let expiring = |value: &str| ObjectPut {
        metadata: metadata(&[("Content-Type", "a/b"), ("X-Delete-At", value)]),
        ..put_of(&node, &path, at(10))
    };
    let refusal =
        upload(&*node.receiver, expiring("soon"), body(b"x", complete(&md5(b"x")))).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::InvalidArgument);
    let stored = expiring(&expires.to_string());
    upload(&*node.receiver, stored, body(b"x", complete(&md5(b"x")))).await.unwrap();
    let head = |now, open_expired| {
        let options = ReadOptions { now: Some(now), open_expired, ..ReadOptions::default() };
        node.receiver.head_object(node.reference(&path), options)
    };
    assert!(head(at(99), false).await.is_ok());
    assert_eq!(shown(&head(at(100), false).await.unwrap_err()), (Reason::NotFound, Some(at(10))));
    assert!(head(at(100), true).await.is_ok());
    let late = post_of(&node, &path, at(200));
    assert_eq!(node.receiver.post_object(late.clone()).await.unwrap_err().reason, Reason::NotFound);
    let never =
        ObjectPost { metadata: metadata(&[("X-Delete-At", "soon")]), ..post_of(&node, &path, at(20)) };
    assert_eq!(node.receiver.post_object(never).await.unwrap_err().reason, Reason::InvalidArgument);

    let due = |time, if_delete_at| ObjectDelete {
        if_delete_at: Some(if_delete_at),
        ..delete_of(&node, &path, time)
    };
    let table =
        [(due(at(150), expires + 1), Reason::PreconditionFailed), (due(at(5), expires), Reason::Conflict)];
    for (delete, expected) in table {
        assert_eq!(node.receiver.delete_object(delete).await.unwrap_err().reason, expected);
        assert_eq!(node.files(&path), [format!("{}.data", at(10))]);
    }
    let deleted = node.receiver.delete_object(due(at(150), expires)).await.unwrap();
    assert!(!deleted.existed, "it had expired");
    assert!(deleted.previous.is_some());
    let nothing = ObjectDelete { object: node.reference(&node.object(1)), ..due(at(150), expires) };
    assert_eq!(node.receiver.delete_object(nothing).await.unwrap_err().reason, Reason::NotFound);
}

#[tokio::test]
async fn a_fragment_becomes_durable_in_the_second_phase_and_never_without_it() {
    let node = Node::new();
    let (path, left) = (node.object(0), node.object(1));
    let upload = async |path: &ObjectPath| {
        let mut put = put_of(&node, path, at(1));
        put.object.partition.policy = ssync_types::PolicyIndex::new(1);
        put.metadata.set("X-Object-Sysmeta-Ec-Frag-Index", "3");
        put.commit = CommitMode::SecondPhase;
        let Upload { body, mut steps } = node.receiver.put_object(put).await.unwrap();
        body.send(BodyEvent::Chunk("fragment".into())).await.unwrap();
        body.send(BodyEvent::End(complete(&md5(b"fragment")))).await.unwrap();
        assert_eq!(steps.recv().await, Some(Ok(PutStep::Prepared)));
        (body, steps)
    };
    let (body, mut steps) = upload(&path).await;
    let names = || {
        let names = node.all_files().into_iter().map(|path| path.display().to_string());
        names.filter(|name| name.ends_with(".data")).collect::<Vec<_>>()
    };
    assert!(names().iter().all(|name| name.ends_with("#3.data")) && names().len() == 1, "{:?}", names());
    body.send(BodyEvent::Commit).await.unwrap();
    assert!(matches!(steps.recv().await, Some(Ok(PutStep::Stored(_)))));
    assert!(names().iter().all(|name| name.ends_with("#3#d.data")) && names().len() == 1, "{:?}", names());

    let (body, mut steps) = upload(&left).await;
    drop(body);
    assert_eq!(steps.recv().await.unwrap().unwrap_err().reason, Reason::BodyLength);
    assert_eq!(names().iter().filter(|name| name.ends_with("#3.data")).count(), 1, "{:?}", names());
}

#[tokio::test]
async fn a_fragments_own_metadata_say_which_it_is() {
    let node = Node::new();
    let upload = async |n: usize, own: Option<&'static str>, asked: Option<u16>| {
        let mut put = put_of(&node, &node.object(n), at(1));
        put.object.partition.policy = ssync_types::PolicyIndex::new(1);
        put.object.partition.fragment = asked.map(ssync_types::FragmentIndex::new);
        if let Some(own) = own {
            put.metadata.set("X-Object-Sysmeta-Ec-Frag-Index", own);
        }
        let Upload { body, mut steps } = node.receiver.put_object(put).await.unwrap();
        body.send(BodyEvent::End(complete(&md5(b"")))).await.unwrap();
        let stored = steps.recv().await.unwrap().map_err(|refusal| refusal.reason);
        let named = |name: &String| name.ends_with("#d.data");
        let names = node.all_files().into_iter().map(|path| path.display().to_string());
        (stored.is_ok(), names.filter(named).collect::<Vec<_>>())
    };
    let (_, names) = upload(0, Some("3"), Some(2)).await;
    assert!(names.len() == 1 && names[0].ends_with("#3#d.data"), "{names:?}");
    let (_, names) = upload(1, None, Some(2)).await;
    assert!(names.len() == 2 && names.iter().any(|name| name.ends_with("#2#d.data")), "{names:?}");
    for (own, asked) in [(None, None), (Some("x"), Some(2)), (Some("6"), None)] {
        let (stored, names) = upload(2, own, asked).await;
        assert!(!stored && names.len() == 2, "{own:?} {asked:?}");
    }
}
