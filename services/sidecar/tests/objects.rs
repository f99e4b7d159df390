//! The object API, compared with what a stock server answered to the same bytes.

use ssync_types::{Reason, Refusal};

use super::{Lab, request, with_body};

const OBJECT: &str = "/sdb1/839/a/c/o";
const HELLO: &str = "5d41402abc4b2a76b9719d911017c592";

fn page(status: &str, headers: &str, title: &str, text: &str) -> String {
    let body = format!("<html><h1>{title}</h1><p>{text}</p></html>");
    let type_ = "Content-Type: text/html; charset=UTF-8";
    format!("HTTP/1.1 {status}\r\n{type_}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn plain(status: &str, text: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}", text.len())
}

fn not_found(headers: &str) -> String {
    page("404 Not Found", headers, "Not Found", "The resource could not be found.")
}

fn conflict(at: &str) -> String {
    let headers = format!("X-Backend-Timestamp: {at}\r\n");
    page("409 Conflict", &headers, "Conflict", "There was a conflict when trying to complete your request.")
}

async fn put(lab: &Lab, headers: &str) -> String {
    lab.say(&with_body(&format!("PUT {OBJECT}"), &format!("Content-Type: text/plain\r\n{headers}"), b"hello"))
        .await
}

async fn ask(lab: &Lab, method: &str, headers: &str) -> String {
    lab.say(&request(&format!("{method} {OBJECT}"), headers)).await
}

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let lab = Lab::new();
    assert_eq!(ask(&lab, "GET", "").await, not_found(""));
    let metadata = "X-Timestamp: 0000000010.00000\r\nX-Object-Meta-T\u{e8}st: v\u{e4}l\r\nx-object-meta-lower: 1\r\n\
        X-Object-Meta_Under: u\r\nX-Object-Sysmeta-S: s\r\nContent-Encoding: gzip\r\nX-Foo: no\r\n\
        X-Object-Meta-Empty: \r\n";
    let stored = format!(
        "HTTP/1.1 201 Created\r\nContent-Type: text/html; charset=UTF-8\r\nEtag: \"{HELLO}\"\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(put(&lab, metadata).await, stored);

    let shown = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nX-Object-Meta-Empty: \r\n\
        X-Object-Meta-Lower: 1\r\nX-Object-Meta-T\u{c3}\u{a8}St: v\u{c3}\u{a4}l\r\n\
        X-Object-Sysmeta-S: s\r\nEtag: \"5d41402abc4b2a76b9719d911017c592\"\r\n\
        Last-Modified: Thu, 01 Jan 1970 00:00:10 GMT\r\nGX-Timestamp: 0000000010.00000\r\n\
        X-Backend-Timestamp: 0000000010.00000\r\nX-Backend-Data-Timestamp: 0000000010.00000\r\n\
        X-Backend-Durable-Timestamp: 0000000010.00000\r\nH\r\n";
    // Content-Length stands where Swift has it.
    let got = shown.replace("\nG", "\nContent-Length: 5\r\n").replace("\nH", "\n") + "hello";
    let head = shown.replace("\nG", "\n").replace("\nH", "\nContent-Length: 5\r\n");
    assert_eq!(ask(&lab, "GET", "").await, got);
    assert_eq!(ask(&lab, "HEAD", "").await, head);
    assert_eq!(ask(&lab, "GET", "X-Timestamp: 20\r\n").await, got);
}

#[tokio::test]
async fn a_body_may_come_in_chunks() {
    let lab = Lab::new();
    let mut chunked = request(
        &format!("PUT {OBJECT}"),
        "Content-Type: x\r\nX-Timestamp: 12\r\nTransfer-Encoding: chunked\r\n",
    );
    chunked.extend_from_slice(b"3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\n\r\n");
    assert!(lab.say(&chunked).await.contains(HELLO));
    assert_eq!(lab.store.kept("/a/c/o").unwrap().body, "hello");
}

#[tokio::test]
async fn newest_wins() {
    let lab = Lab::new();
    put(&lab, "X-Timestamp: 10\r\n").await;
    assert_eq!(put(&lab, "X-Timestamp: 10\r\n").await, conflict("0000000010.00000"));
    assert_eq!(ask(&lab, "POST", "X-Timestamp: 10\r\n").await, conflict("0000000010.00000"));
    let with_type = conflict("0000000010.00000\r\nX-Backend-Content-Type: text/plain");
    assert_eq!(ask(&lab, "DELETE", "X-Timestamp: 5\r\n").await, with_type);
    assert_eq!(
        put(&lab, "X-Timestamp: 11\r\nIf-None-Match: *\r\n").await,
        page(
            "412 Precondition Failed",
            "",
            "Precondition Failed",
            "A precondition for this request was not met."
        )
    );
    assert!(put(&lab, &format!("X-Timestamp: 11\r\nIf-None-Match: \"{HELLO}\"\r\n")).await.contains(" 412 "));
    assert!(put(&lab, "X-Timestamp: 11\r\nIf-None-Match: \"other\"\r\n").await.contains(" 201 "));
}

#[tokio::test]
async fn an_etag_that_differs_is_a_422() {
    let lab = Lab::new();
    let answer = put(&lab, "X-Timestamp: 10\r\nETag: \"d41d8cd98f00b204e9800998ecf8427e\"\r\n").await;
    let text = "Unable to process the contained instructions";
    assert_eq!(answer, page("422 Unprocessable Entity", "", "Unprocessable Entity", text));
    assert!(lab.store.kept("/a/c/o").is_none());
    assert!(put(&lab, &format!("X-Timestamp: 10\r\nETag: \"{HELLO}\"\r\n")).await.contains(" 201 "));
}

#[tokio::test]
async fn metadata_is_replaced() {
    let lab = Lab::new();
    assert_eq!(ask(&lab, "POST", "X-Timestamp: 15\r\n").await, not_found(""));
    put(&lab, "X-Timestamp: 10\r\nX-Object-Meta-Old: o\r\n").await;
    let accepted = |type_: &str| {
        let text = "The request is accepted for processing.";
        page("202 Accepted", &format!("X-Backend-Content-Type: {type_}\r\n"), "Accepted", text)
    };
    assert_eq!(
        ask(&lab, "POST", "X-Timestamp: 15\r\nX-Object-Meta-New: n\r\n").await,
        accepted("text/plain")
    );
    let kept = lab.store.kept("/a/c/o").unwrap().metadata;
    assert!(kept.get("X-Object-Meta-New").is_some() && kept.get("X-Object-Meta-Old").is_none());
    let answer = ask(&lab, "POST", "X-Timestamp: 16\r\nContent-Type: application/json\r\n").await;
    assert_eq!(answer, accepted("application/json"));
}

#[tokio::test]
async fn a_tombstone_is_left_and_told() {
    let lab = Lab::new();
    put(&lab, "X-Timestamp: 10\r\n").await;
    let told =
        |type_: &str, at: &str| format!("X-Backend-Timestamp: {at}\r\nX-Backend-Content-Type: {type_}\r\n");
    assert_eq!(
        ask(&lab, "DELETE", "X-Timestamp: 20\r\n").await,
        format!(
            "HTTP/1.1 204 No Content\r\nContent-Type: text/html; charset=UTF-8\r\n{}\r\n",
            told("text/plain", "0000000020.00000")
        )
    );
    assert_eq!(ask(&lab, "GET", "").await, not_found("X-Backend-Timestamp: 0000000020.00000\r\n"));
    assert_eq!(ask(&lab, "DELETE", "X-Timestamp: 21\r\n").await, not_found(&told("", "0000000021.00000")));
    assert_eq!(
        ask(&lab, "HEAD", "").await,
        "HTTP/1.1 404 Not Found\r\nContent-Type: text/html; charset=UTF-8\r\nX-Backend-Timestamp: 0000000021.00000\r\n\r\n"
    );
}

#[tokio::test]
async fn says_what_swift_says_of_bad_requests() {
    let lab = Lab::new();
    let bad = |text: &str| plain("400 Bad Request", text);
    assert_eq!(put(&lab, "").await, bad("Missing X-Timestamp header"));
    assert_eq!(put(&lab, "X-Timestamp: abc\r\n").await, bad("Invalid X-Timestamp header"));
    assert_eq!(put(&lab, "X-Timestamp: 10\r\nX-Delete-At: 5\r\n").await, bad("X-Delete-At in past"));
    assert_eq!(ask(&lab, "POST", "").await, bad("Missing X-Timestamp header"));
    assert_eq!(ask(&lab, "POST", "X-Timestamp: 15\r\nX-Delete-At: 3\r\n").await, bad("X-Delete-At in past"));
    assert_eq!(
        ask(&lab, "POST", "X-Timestamp: 17\r\nContent-Type: a\r\nContent-Type-Timestamp: zz\r\n").await,
        bad("could not convert string to float: 'zz'")
    );
    assert_eq!(
        ask(&lab, "GET", "X-Timestamp: zz\r\n").await,
        bad("X-Timestamp should be a UNIX timestamp float value; was 'zz'")
    );
    assert_eq!(
        ask(&lab, "PUT", "X-Timestamp: 10\r\nContent-Type: x\r\n").await,
        plain("411 Length Required", "Missing Content-Length header.")
    );
    assert!(
        ask(&lab, "DELETE", "X-Timestamp: 20\r\nX-If-Delete-At: zz\r\n")
            .await
            .ends_with("Bad X-If-Delete-At header value")
    );
    let get = |path: &str| request(&format!("GET {path}"), "");
    assert_eq!(lab.say(&get("/sdb1/1/a/c")).await, bad("Invalid path: /sdb1/1/a/c"));
    assert_eq!(lab.say(&get("/../1/a/c/o")).await, bad("Invalid device: .."));
    assert!(lab.say(&get("/sdb1/1/a/c/%ff")).await.ends_with("\r\n\r\nInvalid UTF8 or contains NULL"));
    assert_eq!(
        ask(&lab, "GET", "X-Backend-Storage-Policy-Index: 7\r\n").await,
        plain("503 Service Unavailable", "No policy with index 7")
    );
}

#[tokio::test]
async fn a_store_that_says_no_is_heard_before_the_body_has_come() {
    let lab = Lab::new();
    lab.store.state().refuse_put = Some(Refusal::new(Reason::DeviceFull, "sdb1 is full"));
    let head =
        request(&format!("PUT {OBJECT}"), "Content-Type: x\r\nX-Timestamp: 1\r\nContent-Length: 4000000\r\n");
    let answer = lab.say_and_wait(&head).await;
    assert!(answer.starts_with("HTTP/1.1 507 ") && answer.contains("Drive: sdb1<"), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
}
