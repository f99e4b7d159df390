//! SSYNC conversations: recorded ones between stock servers, and all that can go wrong in one.

use std::time::Duration;

use ssync_protocol::LocalVersion;
use ssync_types::{Reason, Refusal, SessionProtocol};

use super::{Lab, log::Kept, without_date};

pub(super) const FULL: (&[u8], &[u8]) =
    (include_bytes!("../testdata/full.c2s"), include_bytes!("../testdata/full.s2c"));
const DELTA: (&[u8], &[u8]) =
    (include_bytes!("../testdata/delta.c2s"), include_bytes!("../testdata/delta.s2c"));

pub(super) const OPENED: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=UTF-8\r\n\
    X-Backend-Accept-No-Commit: True\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\r\n\r\n";
pub(super) const NOTHING_WANTED: &str =
    "17\r\n:MISSING_CHECK: START\r\n\r\n2\r\n\r\n\r\n15\r\n:MISSING_CHECK: END\r\n\r\n";
pub(super) const DONE: &str = "11\r\n:UPDATES: START\r\n\r\nf\r\n:UPDATES: END\r\n\r\n0\r\n\r\n";

pub(super) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// A conversation of these chunks; with the last chunk, or cut off.
pub(super) fn says(chunks: &[&str], ends: bool) -> Vec<u8> {
    let body: String = chunks.iter().map(|text| chunk(text)).collect();
    let end = if ends { "0\r\n\r\n" } else { "" };
    format!("SSYNC /sdb1/839 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}{end}").into_bytes()
}

/// With updates, after an empty list.
fn updates(text: &str) -> Vec<u8> {
    let end = ":UPDATES: END\r\n";
    says(&[":MISSING_CHECK: START\r\n", ":MISSING_CHECK: END\r\n", ":UPDATES: START\r\n", text, end], true)
}

pub(super) fn error(line: &str) -> String {
    chunk(&format!(":ERROR: {line}\n"))
}

#[tokio::test]
async fn recorded_conversations_get_the_recorded_answers() {
    let lab = Lab::new();
    assert_eq!(lab.say(FULL.0).await, without_date(FULL.1));
    let state_of = |path: &str| lab.store.kept(path).unwrap();
    assert_eq!(lab.store.state().objects.len(), 13);
    assert_eq!(state_of("/AUTH_cap/c/plain-3").body, "hello world");
    assert_eq!(state_of("/AUTH_cap/c/big-2").body.len(), 204_800);
    assert_eq!(state_of("/AUTH_cap/c/zero-2").body, "");
    assert!(matches!(state_of("/AUTH_cap/c/ghost").version, LocalVersion::Tombstone(_)));
    let unicode = state_of("/AUTH_cap/c/sn\u{2603}w man");
    let name = "X-Object-Meta-Sn\u{f6}";
    assert!(
        unicode.metadata.iter().any(|(_, value)| value == "fl\u{f6}ckchen".as_bytes()),
        "{name}: {unicode:?}"
    );
    let typed = state_of("/AUTH_cap/c/ctype-1");
    assert_eq!(typed.metadata.get_str("Content-Type"), Some("application/json"));
    let LocalVersion::Data { content_type, .. } = typed.version else { panic!() };
    assert_eq!(content_type.normal(), "1795248864.00000");

    assert_eq!(lab.say(DELTA.0).await, without_date(DELTA.1));
    assert_eq!(state_of("/AUTH_cap/c/zero-2").body, "no longer zero");
    assert!(matches!(state_of("/AUTH_cap/c/posted-4").version, LocalVersion::Tombstone(_)));
    assert_eq!(state_of("/AUTH_cap/c/plain-3").metadata.get_str("X-Object-Meta-New"), Some("1"));

    let opened = &lab.store.state().opened[0];
    assert_eq!(opened.protocol, SessionProtocol::Ssync);
    assert!(opened.failures_unlimited);
    assert_eq!(opened.partition.to_string(), "sdb1/1 (policy 0)");
    assert_eq!(opened.sender.address, "192.0.2.7");
}

#[tokio::test]
async fn a_conversation_may_come_in_any_pieces_and_the_connection_serves_on() {
    let lab = Lab::new();
    let joined: String = [":MISSING_CHECK: START\r\n", ":MISSING_CHECK: END\r\n:UPDATES: STA"].concat();
    let request = says(&[&joined, "RT\r\n:UPDATES: END\r\n"], true);
    let twice = [request.clone(), request].concat();
    let answer = format!("{OPENED}{NOTHING_WANTED}{DONE}");
    assert_eq!(lab.say(&twice).await, answer.repeat(2));
}

#[tokio::test]
async fn the_end_of_the_request_ends_the_list() {
    let lab = Lab::new();
    let request =
        says(&[":MISSING_CHECK: START\r\n", ":MISSING_CHECK: END\r\n", ":UPDATES: START\r\n"], true);
    assert_eq!(lab.say(&request).await, format!("{OPENED}{NOTHING_WANTED}{DONE}"));
}

#[tokio::test]
async fn says_what_swift_says_of_bad_lines() {
    let missing = ":MISSING_CHECK: START\r\n";
    let hash = "4ba781e86843273270aaac954aa7eabb";
    let vectors = [
        (says(&["junk\r\n"], true), error("0 \"Looking for :MISSING_CHECK: START got b'junk\\\\r\\\\n'\"")),
        (says(&[missing, "zz 1\r\n"], true), error("0 '\"zz\" is not 32 lower-case hex digits'")),
        (
            says(&[missing, &format!("{hash} xx\r\n")], true),
            error("0 \"could not convert string to float: 'xx'\""),
        ),
        (says(&[missing, &format!("{hash}\r\n")], true), error("0 'list index out of range'")),
    ];
    let lab = Lab::new();
    for (request, answer) in vectors {
        assert_eq!(lab.say(&request).await, format!("{OPENED}{answer}"));
    }
    assert!(lab.store.state().objects.is_empty());
}

#[tokio::test]
async fn says_what_swift_says_of_bad_updates() {
    // A body that does not travel with its head has its MD5 at its end.
    let large =
        "PUT /a/c/o\r\nContent-Length: 70000\r\nETag: 00\r\nX-Timestamp: 99\r\nContent-Type: x\r\n\r\n";
    let large = format!("{large}{}", "a".repeat(70_000));
    let vectors = [
        ("GET /a/c/o\r\n\r\n", "0 'Invalid subrequest method GET'"),
        ("PUT /a/c/o\r\nX-Timestamp: 0000000001.00000\r\n\r\n", "0 'No content-length sent for PUT /a/c/o'"),
        ("DELETE /a/c/o\r\n\r\n", "500 b'ERROR: With :UPDATES: 1 failures to 0 successes'"),
        (
            "PUT /a/c/o\r\nContent-Length: 2\r\nETag: 00\r\nX-Timestamp: 99\r\nContent-Type: x\r\n\r\nab",
            "500 b'ERROR: With :UPDATES: 1 failures to 0 successes'",
        ),
        (&large, "500 b'ERROR: With :UPDATES: 1 failures to 0 successes'"),
        (
            "DELETE /a/c/o\r\nX-Timestamp: 5\r\n\r\nPUT /a/c/o\r\nContent-Length: 2\r\nX-Timestamp: 1\r\n\
             Content-Type: x\r\n\r\nab",
            "500 b'ERROR: With :UPDATES: 1 failures to 1 successes'",
        ),
    ];
    for (text, line) in vectors {
        let answer = Lab::new().say(&updates(text)).await;
        assert_eq!(answer, format!("{OPENED}{NOTHING_WANTED}{}", error(line)));
    }
}

#[tokio::test]
async fn a_post_or_delete_of_nothing_is_a_success() {
    let answer = Lab::new().say(&updates("POST /a/c/o\r\nX-Timestamp: 0000000099.00000\r\n\r\n")).await;
    assert_eq!(answer, format!("{OPENED}{NOTHING_WANTED}{DONE}"));
}

#[tokio::test]
async fn a_body_that_nobody_wants_is_no_update() {
    let lab = Lab::new();
    let hidden = "DELETE /a/c/hidden\r\nX-Timestamp: 7\r\n\r\n";
    let refused = format!("PUT /a/c/o\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len());
    let answer = lab.say(&updates(&format!("{refused}DELETE /a/c/p\r\nX-Timestamp: 8\r\n\r\n"))).await;
    assert!(answer.ends_with(&error("500 b'ERROR: With :UPDATES: 1 failures to 1 successes'")), "{answer}");
    assert!(lab.store.kept("/a/c/hidden").is_none() && lab.store.kept("/a/c/p").is_some());
}

#[tokio::test]
async fn too_many_failures_end_the_conversation() {
    let lab = Lab::new();
    let many = "DELETE /a/c/o\r\n\r\n".repeat(150);
    let answer = lab.say(&updates(&many)).await;
    assert!(answer.ends_with(&error("0 'Too many 100 failures to 0 successes'")), "{answer}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_stored_and_ends_the_conversation() {
    let head = "PUT /a/c/o\r\nContent-Length: 5000\r\nX-Timestamp: 99\r\nContent-Type: x\r\n\r\n";
    for (body, ends) in [("ab", true), ("ab", false)] {
        let lab = Lab::new();
        let chunks =
            [":MISSING_CHECK: START\r\n", ":MISSING_CHECK: END\r\n", ":UPDATES: START\r\n", head, body];
        assert_eq!(lab.say(&says(&chunks, ends)).await, format!("{OPENED}{NOTHING_WANTED}"));
        assert!(lab.store.kept("/a/c/o").is_none());
    }
}

#[tokio::test]
async fn cut_off_anywhere_nothing_false_is_said() {
    let whole = FULL.0;
    // Densely where the lines are, sparsely within the large body.
    let cuts = (0..2600).step_by(37).chain((2600..whole.len()).step_by(9973));
    for cut in cuts {
        let lab = Lab::new();
        let answer = lab.say(&whole[..cut]).await;
        assert!(!answer.contains(":UPDATES:"), "cut at {cut}: {answer}");
        for kept in lab.store.state().objects.values() {
            let length = kept.metadata.get("Content-Length");
            assert!(length.is_none(), "the store sets it");
        }
    }
}

#[tokio::test]
async fn silence_is_told_with_a_408() {
    let lab = Lab::impatient();
    let answer = lab.say_and_wait(&says(&[":MISSING_CHECK: START\r\n"], false)).await;
    assert_eq!(answer, format!("{OPENED}{}", error("408 '0.1 seconds: missing_check line'")));
    let head = "PUT /a/c/o\r\nContent-Length: 5\r\nX-Timestamp: 99\r\nContent-Type: x\r\n\r\nab";
    let chunks = [":MISSING_CHECK: START\r\n", ":MISSING_CHECK: END\r\n", ":UPDATES: START\r\n", head];
    let answer = lab.say_and_wait(&says(&chunks, false)).await;
    assert!(answer.ends_with(&error("408 '0.1 seconds: PUT /a/c/o'")), "{answer}");
    assert!(lab.store.kept("/a/c/o").is_none());
}

#[tokio::test]
async fn what_is_refused_before_it_begins_is_a_status() {
    let lab = Lab::new();
    let status = |answer: String| answer.split(' ').nth(1).unwrap().to_owned();
    let head = |path: &str, headers: &str| {
        format!("SSYNC {path} HTTP/1.1\r\n{headers}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n").into_bytes()
    };
    let vectors = [
        ("/sdb1/1/x", "", "400"),
        ("/sdb1", "", "400"),
        ("/sdb1/1", "X-Backend-Ssync-Frag-Index: x\r\n", "400"),
        ("/sdb1/1", "X-Backend-Storage-Policy-Index: 7\r\n", "503"),
        ("/sdb1/1", "X-Backend-Storage-Policy-Index: 1\r\nX-Backend-Ssync-Frag-Index: -1\r\n", "400"),
    ];
    for (path, headers, expected) in vectors {
        assert_eq!(status(lab.say(&head(path, headers)).await), expected, "{path} {headers}");
    }
    lab.store.state().refuse = Some(Refusal::new(Reason::DeviceUnmounted, "sdb1 is not mounted"));
    let answer = lab.say(&head("/sdb1/1", "")).await;
    assert!(answer.starts_with("HTTP/1.1 507 ") && answer.contains("Drive: sdb1</p>"), "{answer}");
}

#[tokio::test]
async fn what_is_refused_later_is_a_line() {
    let lab = Lab::new();
    let refusals = [
        (
            Refusal::new(Reason::PartitionLocked, "15 seconds: /srv/node/sdb1/objects/1"),
            "0 '15 seconds: /srv/node/",
        ),
        (Refusal::new(Reason::ReceiverBusy, "4 sessions"), "503 b'<html><h1>Service Unavailable</h1>"),
    ];
    for (refusal, line) in refusals {
        lab.store.state().refuse_later = Some(refusal);
        let answer = lab.say(&says(&[":MISSING_CHECK: START\r\n"], false)).await;
        assert!(answer.starts_with(OPENED) && answer.contains(&format!(":ERROR: {line}")), "{answer}");
    }
}

#[tokio::test]
async fn an_offer_without_an_answer_is_not_in_sync() {
    let lab = Lab::new();
    lab.store.state().forget_offers = true;
    let answer = lab.say(FULL.0).await;
    assert!(answer.ends_with(&error("0 'the check answered 0 of 13 offers'")), "{answer}");
}

#[tokio::test]
async fn the_operator_hears_what_swift_logs() {
    let said = |lines: Vec<String>, level: &str| -> Vec<String> {
        let of_level = lines.into_iter().filter(|line| line.contains(level));
        of_level.filter_map(|line| Some(line.split_once("ssync receiver ")?.1.to_owned())).collect()
    };
    let lab = Lab::new();
    let (kept, _guard) = Kept::begin();
    lab.say(&updates("DELETE /a/c/o\r\n\r\n")).await;
    let failed = "(remote_addr: 192.0.2.7, path: sdb1/839) subrequest failed with 400: DELETE /a/c/o \
                  (b'Missing X-Timestamp header')";
    assert_eq!(said(kept.lines(), " WARN "), [failed]);
    assert!(said(kept.lines(), " ERROR ").is_empty(), "the sender hears of it");
    lab.say(&says(&[], true)).await;
    lab.say(&says(&[":MISSING_CHECK: START\r\n", "half"], true)).await;
    lab.say(&says(&["junk\r\n"], true)).await;
    let errors = said(kept.lines(), " ERROR ");
    let texts = [
        "client disconnected",
        "read failed: missing_check line: missing newline",
        "EXCEPTION: 0 Looking for",
    ];
    assert_eq!(errors.len(), texts.len(), "{errors:?}");
    for (error, text) in errors.iter().zip(texts) {
        assert!(error.starts_with(&format!("(remote_addr: 192.0.2.7, path: sdb1/839) {text}")), "{error}");
    }
    lab.store.state().refuse_later = Some(Refusal::new(Reason::ReceiverBusy, "4 sessions"));
    lab.say(&says(&[], true)).await;
    assert_eq!(said(kept.lines(), " ERROR ").len(), 3, "who is refused comes back");
}

#[tokio::test]
async fn a_line_has_a_bound() {
    let lab = Lab::new();
    let answer = lab.say(&says(&[&"x".repeat(70_000)], true)).await;
    assert_eq!(answer, OPENED);
}

#[tokio::test]
async fn nobody_is_left_in_doubt_while_something_takes_its_time() {
    let lab = Lab::impatient();
    lab.store.state().slowness = Duration::from_millis(300);
    let answer = lab.say(FULL.0).await;
    let blank = chunk("\r\n");
    let (check, rest) = answer.split_once("17\r\n:MISSING_CHECK: START").unwrap();
    assert!(check.starts_with(&format!("{OPENED}{blank}{blank}")), "{answer}");
    assert!(rest.ends_with(&format!("{blank}{blank}{DONE}")), "{answer}");
    assert!(lab.store.state().heartbeats >= 4);
}
