//! What operators ask, and how settings change what is answered.

use anyhow::Result;

use crate::{
    case::{Case, case},
    compare::group,
    step::{Move, Talk, delete, get, head, post, put, raw, request, say},
};

fn asked() -> Vec<Case> {
    let ask = |target: &str| {
        case(93, format!("GET {target}"), [get().target(target).roughly(), head().target(target).roughly()])
    };
    let mut cases: Vec<Case> = [
        "/healthcheck",
        "/recon/version",
        "/recon/mem/x",
        "/recon/nonsense",
        "/recon/",
        "/recon",
        "/recon/replication",
        "/recon/replication/object",
        "/recon/replication/account",
        "/recon/devices",
        "/recon/updater/object",
        "/recon/updater/container",
        "/recon/auditor/object",
        "/recon/auditor/account",
        "/recon/expirer/object",
        "/recon/async",
        "/recon/mounted/x",
        "/recon/unmounted",
        "/recon/quarantined",
        "/recon/ringmd5",
        "/recon/swiftconfmd5",
        "/recon/driveaudit",
        "/recon/sharding",
        "/recon/relinker",
        "/recon/reconstruction/object",
        "/recon/diskusage/x",
        "/recon/version/more",
        "/recon/reload",
        "/recon/sockstat/x",
    ]
    .iter()
    .map(|target| ask(target))
    .collect();
    cases.push(case(
        92,
        "healthcheck by other methods",
        [
            put().at(1).target("/healthcheck"),
            request("OPTIONS").target("/healthcheck"),
            request("BOGUS").target("/healthcheck"),
            get().target("/healthcheck/"),
            get().target("/healthcheck?x=1"),
        ],
    ));
    cases.push(case(
        93,
        "recon by other methods",
        [
            put().at(1).target("/recon/version"),
            post().at(1).target("/recon/version"),
            delete().at(1).target("/recon/devices"),
            get().target("/recon/version?x=1"),
        ],
    ));
    cases
}

fn transport() -> Vec<Case> {
    let talk = |name: &str, text: &str| case(80, name, [raw([say(text), Talk::Do(Move::Finish)])]);
    let get_line = |line: &str| format!("{line}\r\nHost: node\r\nConnection: close\r\n\r\n");
    vec![
        talk(
            "two requests at once",
            "GET /healthcheck HTTP/1.1\r\nHost: n\r\n\r\nGET /healthcheck HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n",
        ),
        talk("HTTP/1.0", "GET /healthcheck HTTP/1.0\r\n\r\nGET /healthcheck HTTP/1.0\r\n\r\n"),
        talk(
            "HTTP/1.0 that stays",
            "GET /healthcheck HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /healthcheck HTTP/1.0\r\n\r\n",
        ),
        talk("no host", "GET /healthcheck HTTP/1.1\r\nConnection: close\r\n\r\n"),
        talk("a long line", &get_line(&format!("GET /{} HTTP/1.1", "x".repeat(8000)))),
        talk("too long a line", &get_line(&format!("GET /{} HTTP/1.1", "x".repeat(8300)))),
        talk("blank lines first", &format!("\r\n\r\n{}", get_line("GET /healthcheck HTTP/1.1"))),
        talk("a lower-case method", &get_line("get /healthcheck HTTP/1.1")),
        talk("HTTP/1.2", &get_line("GET /healthcheck HTTP/1.2")),
        talk("HTTP/2.0", &get_line("GET /healthcheck HTTP/2.0")),
        talk("HTTP/0.9", "GET /healthcheck\r\n\r\n"),
        talk("words in the line", &get_line("GET /health check HTTP/1.1")),
        talk("no words", &get_line("GET")),
        talk(
            "Connection: Close, spelt otherwise",
            "GET /healthcheck HTTP/1.1\r\nHost: n\r\nconnection: CLOSE\r\n\r\n",
        ),
        talk(
            "Connection: close among others",
            "GET /healthcheck HTTP/1.1\r\nHost: n\r\nConnection: te, close\r\n\r\n",
        ),
        talk(
            "a PUT, then a GET",
            "PUT /sdb1/{part}{path} HTTP/1.1\r\nHost: n\r\nX-Timestamp: 1700000001\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nhelloGET /sdb1/{part}{path} HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n",
        ),
        talk(
            "a refused PUT, then a GET",
            "PUT /sdb1/{part}{path} HTTP/1.1\r\nHost: n\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nhelloGET /healthcheck HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n",
        ),
        talk(
            "a GET with a body, then a GET",
            "GET /healthcheck HTTP/1.1\r\nHost: n\r\nContent-Length: 5\r\n\r\nhelloGET /healthcheck HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n",
        ),
        case(
            79,
            "a client that goes silent within the body",
            [put().at(1).header("Content-Length", "10").content([say("hello")]), get()],
        ),
        case(
            79,
            "a client that goes silent within a chunk",
            [
                put()
                    .at(1)
                    .no("Content-Length")
                    .header("Transfer-Encoding", "chunked")
                    .content([say("a\r\nhello")]),
                get(),
            ],
        ),
        case(
            79,
            "a client that goes silent within the head",
            [raw([say("GET /healthcheck HTTP/1.1\r\nHost")])],
        ),
        case(79, "a client that goes silent at once", [raw([])]),
    ]
}

#[test]
fn questions() -> Result<()> {
    group(asked()).compare()
}

#[test]
fn connections() -> Result<()> {
    group(transport()).setting("app:object-server", "client_timeout", "1").compare()
}

/// Settings of one server that do not meet.
#[test]
fn settings() -> Result<()> {
    group([
        case(
            66,
            "allowed_headers",
            [
                put()
                    .at(1)
                    .body("x")
                    .header("X-Custom", "1")
                    .header("Content-Encoding", "gzip")
                    .header("Etag", ""),
                head(),
                post().at(2).header("X-Custom", "2"),
                head(),
            ],
        ),
        case(
            78,
            "a device that is not mounted",
            [
                put().at(1).body("x"),
                get(),
                head(),
                post().at(2),
                delete().at(2),
                request("REPLICATE").target("/sdb1/{part}"),
                request("SSYNC")
                    .target("/sdb1/{part}")
                    .header("Transfer-Encoding", "chunked")
                    .content([say("0\r\n\r\n")]),
                request("OPTIONS"),
            ],
        ),
        case(93, "mounts", [get().target("/recon/unmounted"), get().target("/recon/devices")]),
    ])
    .setting("DEFAULT", "mount_check", "true")
    .setting("app:object-server", "allowed_headers", "X-Custom, Content-Length, Deleted")
    .compare()
}

#[test]
fn a_server_for_clients_only() -> Result<()> {
    group([
        case(
            77,
            "replication_server = false",
            [
                put().at(1).body("x"),
                get(),
                request("OPTIONS"),
                request("REPLICATE").target("/sdb1/{part}"),
                request("SSYNC").target("/sdb1/{part}"),
                request("BOGUS"),
                head(),
                delete().at(2),
            ],
        ),
        case(
            66,
            "allowed_headers of one's own",
            [
                put()
                    .at(1)
                    .body("x")
                    .header("X-Custom", "1")
                    .header("Content-Encoding", "gzip")
                    .header("Deleted", "1"),
                head(),
                post().at(2).header("X-Custom", "2"),
                head(),
            ],
        ),
        case(
            79,
            "an upload that takes too long",
            [
                put().at(1).header("Content-Length", "10").content([
                    say("hello"),
                    Talk::Do(Move::Pause(std::time::Duration::from_millis(1500))),
                    say("w"),
                    Talk::Do(Move::Pause(std::time::Duration::from_millis(600))),
                    say("orld"),
                ]),
                get(),
            ],
        ),
        case(92, "healthcheck disabled by a file", [get().target("/healthcheck")]),
    ])
    .setting("app:object-server", "replication_server", "false")
    .setting("app:object-server", "allowed_headers", "X-Custom, Content-Length, Deleted")
    .setting("app:object-server", "max_upload_time", "1")
    .setting("filter:healthcheck", "disable_path", "/etc/passwd")
    .compare()
}
