//! REPLICATE, OPTIONS, the health check, and what `replication_server` turns away.

use super::{Lab, request};
use crate::{FilterConfig, SidecarConfig};

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=UTF-8\r\n";

#[tokio::test]
async fn answers_with_the_pickle_that_swift_sends() {
    let lab = Lab::new();
    let answer = lab.say(&request("REPLICATE /sdb1/839", "Content-Length: 0\r\n")).await;
    let pickle = "\u{80}\u{2}}q\0X\u{3}\0\0\u{0}11dq\u{1}X \0\0\0801c19033e79de694c4a24c293d6f5beq\u{2}s.";
    assert_eq!(answer, format!("{PAGE}Content-Length: 56\r\n\r\n{pickle}"));
    let answer = lab.say(&request("REPLICATE /sdb9/839", "")).await;
    assert!(
        answer.starts_with("HTTP/1.1 507 Insufficient Storage\r\n") && answer.contains("Drive: sdb9<"),
        "{answer}"
    );
}

#[tokio::test]
async fn marks_suffixes() {
    let lab = Lab::new();
    let answer = lab.say(&request("REPLICATE /sdb1/839/abc-0ff", "")).await;
    assert_eq!(answer, format!("{PAGE}Content-Length: 4\r\n\r\n\u{80}\u{2}N."));
    let marked: Vec<_> = lab.store.state().invalidated.iter().map(ToString::to_string).collect();
    assert_eq!(marked, ["abc", "0ff"]);
}

#[tokio::test]
async fn what_is_no_suffix_is_passed_over() {
    let lab = Lab::new();
    for (named, count) in [("xyz", 0), ("xyz-abc", 1), ("abc-", 2), ("ab/../c", 2), ("..%2f", 2), ("ABC", 2)]
    {
        let answer = lab.say(&request(&format!("REPLICATE /sdb1/839/{named}"), "")).await;
        assert_eq!(answer, format!("{PAGE}Content-Length: 4\r\n\r\n\u{80}\u{2}N."), "{named}");
        assert_eq!(lab.store.state().invalidated.len(), count, "{named}");
    }
}

#[tokio::test]
async fn lists_its_methods() {
    let lab = Lab::new();
    let answer = lab.say(&request("OPTIONS /", "")).await;
    assert!(
        answer.contains("\r\nAllow: DELETE, GET, HEAD, OPTIONS, POST, PUT, REPLICATE, SSYNC\r\n"),
        "{answer}"
    );
    assert!(answer.contains("\r\nServer: object-server/"), "{answer}");
    for method in ["FOO", "get", "TRACE"] {
        let answer = lab.say(&request(&format!("{method} /sdb1/839/a/c/o"), "")).await;
        assert!(answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_server_of_clients_alone_turns_replication_away() {
    let lab = Lab::with(SidecarConfig { replication_server: false, ..SidecarConfig::default() });
    for method in ["REPLICATE", "SSYNC"] {
        let answer = lab.say(&request(&format!("{method} /sdb1/839"), "")).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    }
    assert!(lab.say(&request("OPTIONS /", "")).await.contains("POST, PUT\r\n"));
}

#[tokio::test]
async fn tells_its_health() {
    // A file that is always there.
    let disabled = std::env::current_exe().unwrap();
    let filters = vec![FilterConfig::Healthcheck { disable_path: Some(disabled) }];
    let lab = Lab::with(SidecarConfig { filters, ..SidecarConfig::default() });
    let answer = lab.say(&request("GET /healthcheck", "")).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("DISABLED BY FILE"), "{answer}");
    let lab = Lab::new();
    let answer = lab.say(&request("HEAD /healthcheck", "")).await;
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n");
}
