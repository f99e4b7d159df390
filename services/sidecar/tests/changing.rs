//! What POST and DELETE answer, and what reading tells of fragments, compared with what a stock server answered.

use ssync_types::{Deleted, FragmentIndex, FragmentSet, Metadata, Reason, Refusal, Timestamp};

use super::{Lab, request, with_body};

const OBJECT: &str = "/sdb1/839/a/c/o";

async fn lab() -> Lab {
    let lab = Lab::new();
    let fields = "Content-Type: a/b;swift_bytes=77\r\nX-Timestamp: 10\r\nX-Object-Sysmeta-S: s\r\n";
    assert!(lab.say(&with_body(&format!("PUT {OBJECT}"), fields, b"hello")).await.contains(" 201 "));
    lab
}

async fn ask(lab: &Lab, method: &str, headers: &str) -> String {
    lab.say(&request(&format!("{method} {OBJECT}"), headers)).await
}

/// Status and headers, without the length.
fn head(answer: &str) -> String {
    let head = answer.split_once("\r\n\r\n").map_or(answer, |(head, _)| head);
    head.split("\r\n").filter(|line| !line.starts_with("Content-")).collect::<Vec<_>>().join("|")
}

#[tokio::test]
async fn a_new_content_type_keeps_the_size_of_a_large_object() {
    let lab = lab().await;
    lab.store.state().body_type = Some("a/b;swift_bytes=77".into());
    let accepted =
        |type_: &str| format!("HTTP/1.1 202 Accepted|X-Backend-Content-Type: {type_}|X-Object-Sysmeta-S: s");
    let post = async |headers: &str| head(&ask(&lab, "POST", headers).await);
    assert_eq!(post("X-Timestamp: 11\r\n").await, accepted("a/b;swift_bytes=77"));
    lab.store.state().objects.values_mut().for_each(|kept| kept.metadata.set("X-Object-Sysmeta-S", "s"));
    let typed = post("X-Timestamp: 12\r\nContent-Type: c/d;x=y\r\n").await;
    assert_eq!(typed, accepted("c/d;x=y;swift_bytes=77"));
}

#[tokio::test]
async fn a_post_tells_the_sysmeta_that_was_there_before_it() {
    let lab = lab().await;
    let named =
        "X-Timestamp: 11\r\nX-Backend-Replication-Headers: x-object-sysmeta-z\r\nX-Object-Sysmeta-Z: z\r\n";
    let answer = ask(&lab, "POST", named).await;
    assert!(answer.contains("X-Object-Sysmeta-S: s\r\n") && !answer.contains("Sysmeta-Z"), "{answer}");
}

#[tokio::test]
async fn an_expiry_is_stored_as_it_came_or_not_at_all() {
    let lab = lab().await;
    let kept = |lab: &Lab| {
        let kept = lab.store.kept("/a/c/o").unwrap().metadata;
        kept.get_str("X-Delete-At").map(str::to_owned)
    };
    assert!(ask(&lab, "POST", "X-Timestamp: 11\r\nX-Delete-At: +2_0\r\n").await.contains(" 202 "));
    assert_eq!(kept(&lab).as_deref(), Some("+2_0"));
    // A Swift that read an empty one would take the object for damaged.
    assert!(ask(&lab, "POST", "X-Timestamp: 12\r\nX-Delete-At:\r\n").await.contains(" 202 "));
    assert_eq!(kept(&lab), None);
    for past in ["12", "-1", "-99999999999999999999"] {
        let answer = ask(&lab, "POST", &format!("X-Timestamp: 12.5\r\nX-Delete-At: {past}\r\n")).await;
        assert!(answer.ends_with("\r\n\r\nX-Delete-At in past"), "{past}: {answer}");
    }
}

#[tokio::test]
async fn the_expirer_hears_whether_what_it_thinks_is_so() {
    let lab = lab().await;
    let delete = async |answer, headers: &str| {
        lab.store.state().deleted_as = Some(answer);
        ask(&lab, "DELETE", &format!("X-Timestamp: 20\r\n{headers}")).await
    };
    let at = Timestamp::from_seconds(20);
    let mut metadata = Metadata::new();
    metadata.set("Content-Type", "a/b");
    // It had expired: to a client there was none, but the expirer has done its work.
    let expired =
        || Ok(Deleted { existed: false, written: true, timestamp: at, previous: Some(metadata.clone()) });
    let told = "|X-Backend-Timestamp: 0000000020.00000|X-Backend-Content-Type: a/b";
    assert_eq!(head(&delete(expired(), "").await), format!("HTTP/1.1 404 Not Found{told}"));
    let due = delete(expired(), "X-If-Delete-At: 15.0\r\n").await;
    assert_eq!(head(&due), format!("HTTP/1.1 204 No Content{told}"));

    let refused = |reason| Err(Refusal::new(reason, "no").at(at));
    let newer = delete(refused(Reason::Conflict), "X-If-Delete-At: 15\r\n").await;
    assert_eq!(head(&newer), "HTTP/1.1 409 Conflict");
    let other = delete(refused(Reason::PreconditionFailed), "X-If-Delete-At: 15\r\n").await;
    assert!(other.ends_with("\r\n\r\nX-If-Delete-At and X-Delete-At do not match"), "{other}");
    delete(expired(), "X-If-Delete-At: 15.5\r\n").await;
    delete(expired(), "X-If-Delete-At: 15_1\r\n").await;
    let asked: Vec<_> = lab.store.state().deletes.iter().map(|delete| delete.if_delete_at).collect();
    // Nothing expires within a second.
    assert_eq!(asked, [None, Some(15), Some(15), Some(15), Some(u64::MAX), Some(u64::MAX)]);
}

#[tokio::test]
async fn what_a_single_user_reads_need_not_stay_in_memory() {
    let lab = lab().await;
    for headers in ["", "X-Auth-Token: t\r\n", "X-Storage-Token:\r\n", "X-Trans-Id: t\r\n"] {
        ask(&lab, "HEAD", headers).await;
    }
    let private: Vec<_> = lab.store.state().reads.iter().map(|read| read.private).collect();
    assert_eq!(private, [false, true, true, false]);
}

#[tokio::test]
async fn reading_tells_of_fragments_and_hears_which_to_prefer() {
    let lab = lab().await;
    let set = |seconds, indexes: &[u16], durable| FragmentSet {
        timestamp: Timestamp::from_seconds(seconds),
        indexes: indexes.iter().copied().map(FragmentIndex::new).collect(),
        durable,
    };
    let prefer = "X-Backend-Fragment-Preferences: [{\"timestamp\": 10, \"exclude\": [1]}]\r\n";
    let coded = format!("X-Backend-Storage-Policy-Index: 1\r\n{prefer}");
    assert!(!ask(&lab, "HEAD", &coded).await.contains("X-Backend-Fragments"));
    lab.store.state().fragments = vec![set(20, &[4], false), set(10, &[1, 3], true)];
    let answer = ask(&lab, "HEAD", &coded).await;
    let told = "\r\nX-Backend-Fragments: {\"0000000020.00000\": [4], \"0000000010.00000\": [1, 3]}\r\n";
    assert!(answer.contains(told), "{answer}");
    ask(&lab, "HEAD", prefer).await;
    ask(&lab, "HEAD", "X-Backend-Storage-Policy-Index: 1\r\n").await;
    let reads = std::mem::take(&mut lab.store.state().reads);
    let preferred: Vec<_> =
        reads.iter().map(|read| read.fragment_preferences.as_ref().map(Vec::len)).collect();
    assert_eq!(preferred, [Some(1), Some(1), None, None], "whole copies are not preferred");
    let bad = "X-Backend-Storage-Policy-Index: 1\r\nX-Backend-Fragment-Preferences: 5\r\n";
    assert!(ask(&lab, "GET", bad).await.starts_with("HTTP/1.1 400 "));
}
