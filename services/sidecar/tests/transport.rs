//! HTTP itself: what is taken, what is refused, when a connection ends.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Lab, request, with_body};
use crate::SidecarConfig;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nOK";
const PUT: &str = "PUT /sdb1/839/a/c/o";
const FIELDS: &str = "X-Timestamp: 10\r\nContent-Type: x\r\n";

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("nothing")
}

#[tokio::test]
async fn requests_may_be_pipelined() {
    let lab = Lab::new();
    let health = request("GET /healthcheck", "");
    assert_eq!(lab.say(&health.repeat(3)).await, OK.repeat(3));
    let mixed = [with_body(PUT, FIELDS, b"hello"), health].concat();
    let answer = lab.say(&mixed).await;
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n") && answer.ends_with(OK), "{answer}");
}

#[tokio::test]
async fn a_body_that_nobody_wants_does_not_become_a_request() {
    let lab = Lab::new();
    let smuggled = request("DELETE /sdb1/839/a/c/o", "X-Timestamp: 99\r\n");
    let requests =
        [with_body("PUT /sdb1/839/a/c", FIELDS, &smuggled), request("GET /healthcheck", "")].concat();
    let answer = lab.say(&requests).await;
    assert_eq!(status(&answer), "400");
    assert!(answer.ends_with(OK), "{answer}");
    assert!(lab.store.kept("/a/c/o").is_none());
}

#[tokio::test]
async fn a_body_that_is_too_much_to_skip_ends_the_connection() {
    let lab = Lab::new();
    let requests = [
        request("PUT /sdb1/839/a/c", "Content-Length: 4000000\r\nX-Timestamp: 1\r\n"),
        request("GET /healthcheck", ""),
    ];
    let answer = lab.say(&requests.concat()).await;
    assert!(answer.contains("\r\nConnection: close\r\n") && !answer.contains("\r\n\r\nOK"), "{answer}");
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_ends_the_connection() {
    let put = |headers: &str| request(PUT, &format!("{FIELDS}{headers}"));
    let vectors: [(Vec<u8>, &str); 14] = [
        (b"GARBAGE\r\n\r\n".to_vec(), "400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), "505"),
        (b"GET /healthcheck\r\n\r\n".to_vec(), "400"),
        (request(&format!("GET /{}", "x".repeat(9000)), ""), "414"),
        (request("GET /healthcheck", &"A: b\r\n".repeat(300)), "431"),
        (request("GET /healthcheck", &format!("A: {}\r\n", "x".repeat(70_000))), "400"),
        (request("GET /healthcheck", "A: b\r\n c\r\n"), "400"),
        (request("GET /healthcheck", "A : b\r\n"), "400"),
        (request("GET /healthcheck", "A: b\rc\r\n"), "400"),
        (put("Content-Length: 1\r\nContent-Length: 2\r\n"), "400"),
        (put("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), "400"),
        (put("Content-Length: -1\r\n"), "400"),
        (put("Transfer-Encoding: gzip\r\n"), "400"),
        (put("Transfer-Encoding: chunked, chunked\r\n"), "501"),
    ];
    let lab = Lab::new();
    for (bad, expected) in vectors {
        let requests = [bad, request("GET /healthcheck", "")].concat();
        let answer = lab.say(&requests).await;
        let shown = String::from_utf8_lossy(&requests[..requests.len().min(99)]).into_owned();
        assert_eq!(status(&answer), expected, "{shown}");
        assert!(
            answer.contains("\r\nConnection: close\r\n") && !answer.contains("\r\n\r\nOK"),
            "{shown}: {answer}"
        );
    }
    assert!(lab.store.state().objects.is_empty());
}

#[tokio::test]
async fn bad_chunks_store_nothing() {
    let lab = Lab::new();
    for body in ["zz\r\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "3\nabc\n0\n\n", "-1\r\n\r\n", "3\r\nab"]
    {
        let bad = [request(PUT, &format!("{FIELDS}Transfer-Encoding: chunked\r\n")), body.into()].concat();
        let answer = lab.say(&bad).await;
        assert!(matches!(status(&answer), "400" | "499"), "{body:?}: {answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    }
    assert!(lab.store.kept("/a/c/o").is_none());
}

#[tokio::test]
async fn a_client_that_waits_gets_its_100_and_only_then_sends() {
    let lab = Lab::new();
    let mut client = lab.connect();
    let head = request(PUT, &format!("{FIELDS}Content-Length: 5\r\nExpect: 100-continue\r\n"));
    client.write_all(&head).await.unwrap();
    let mut hundred = [0; 25];
    client.read_exact(&mut hundred).await.unwrap();
    assert_eq!(&hundred, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"hello").await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), "201");
}

#[tokio::test]
async fn a_client_that_waits_is_told_at_once_what_is_wrong() {
    let lab = Lab::new();
    let head = request(PUT, "X-Timestamp: 1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n");
    let answer = lab.say_and_wait(&head).await;
    assert_eq!(status(&answer), "400");
    assert!(!answer.contains("100 Continue") && answer.contains("\r\nConnection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn connections_end_as_the_client_says() {
    let lab = Lab::new();
    let health = |version: &str, headers: &str| {
        format!("GET /healthcheck HTTP/{version}\r\n{headers}\r\n").into_bytes()
    };
    for request in [health("1.0", ""), health("1.1", "Connection: close\r\n")] {
        let answer = lab.say_and_wait(&request).await;
        assert!(answer.contains("\r\nConnection: close\r\n") && answer.ends_with("OK"), "{answer}");
    }
}

#[tokio::test]
async fn silence_ends_a_connection() {
    let lab = Lab::impatient();
    assert_eq!(lab.say_and_wait(b"").await, "");
    assert_eq!(lab.say_and_wait(b"GET /healthch").await, "");
    assert_eq!(lab.say_and_wait(&request("GET /healthcheck", "")).await, OK);
    let answer = lab.say_and_wait(&request(PUT, &format!("{FIELDS}Content-Length: 5\r\n"))).await;
    assert_eq!(status(&answer), "408");
    assert!(lab.store.kept("/a/c/o").is_none());
}

#[tokio::test]
async fn a_short_body_is_a_499() {
    let lab = Lab::new();
    let mut short = request(PUT, &format!("{FIELDS}Content-Length: 5\r\n"));
    short.extend_from_slice(b"abc");
    let answer = lab.say(&short).await;
    assert_eq!(status(&answer), "499");
    assert!(answer.ends_with("<p>The client was disconnected during request.</p></html>"), "{answer}");
    assert!(lab.store.kept("/a/c/o").is_none());
}

#[tokio::test]
async fn an_answer_that_cannot_be_finished_breaks_the_connection() {
    let lab = Lab::new();
    lab.say(&with_body(PUT, FIELDS, b"hello world")).await;
    let requests = [request("GET /sdb1/839/a/c/o", ""), request("GET /healthcheck", "")].concat();
    assert!(lab.say(&requests).await.ends_with("OK"));
    lab.store.state().shorten_body = true;
    assert!(!lab.say(&requests).await.ends_with("OK"));
    lab.store.state().cut_body = true;
    assert!(!lab.say(&requests).await.ends_with("OK"));
}

#[tokio::test]
async fn a_drained_sidecar_finishes_what_it_has() {
    let lab = Lab::new();
    let (mut idle, mut busy) = (lab.connect(), lab.connect());
    let head = request(PUT, &format!("{FIELDS}Content-Length: 5\r\nExpect: 100-continue\r\n"));
    busy.write_all(&head).await.unwrap();
    let mut hundred = [0; 25];
    busy.read_exact(&mut hundred).await.unwrap();

    lab.drain.cancel();
    let mut nothing = Vec::new();
    idle.read_to_end(&mut nothing).await.unwrap();
    assert!(nothing.is_empty());

    busy.write_all(b"hello").await.unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), "201");
}

#[tokio::test]
async fn slow_draws_out_changes_and_nothing_else() {
    let slow = Duration::from_millis(200);
    let lab = Lab::with(SidecarConfig { slow, ..SidecarConfig::default() });
    let took = async |request: &[u8]| {
        let began = std::time::Instant::now();
        lab.say(request).await;
        began.elapsed()
    };
    let put = with_body("PUT /sdb1/839/a/c/o", "X-Timestamp: 10\r\nContent-Type: x\r\n", b"x");
    assert!(took(&put).await >= slow);
    assert!(took(&request("DELETE /sdb1/839/a/c/o", "X-Timestamp: 20\r\n")).await >= slow);
    assert!(took(&request("GET /sdb1/839/a/c/o", "")).await < slow);
}

#[tokio::test]
async fn connections_end_after_a_request_where_nobody_wants_to_keep_them() {
    let lab =
        Lab::with(SidecarConfig { keepalive_timeout: Some(Duration::ZERO), ..SidecarConfig::default() });
    let answer = lab.say_and_wait(&[request("OPTIONS /", ""), request("OPTIONS /", "")].concat()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 1, "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
}
