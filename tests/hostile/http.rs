//! Bad HTTP requests: refused as stock Swift refuses them.

use anyhow::Result;
use ssync_tests::{Answer, Cluster, Connection, Node, Server, Shape};

/// Longer than any line that a server should take.
const LINE_BYTES: usize = 80_000;

/// What to send, and whether the client closes its side then.
struct Bad {
    what: &'static str,
    request: String,
    closes: bool,
}

fn request(what: &'static str, line: &str, headers: &[&str], body: &str) -> Bad {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    Bad { what, request: format!("{line} HTTP/1.1\r\nHost: node\r\n{headers}\r\n{body}"), closes: false }
}

const TIME: &str = "X-Timestamp: 1700000000.00000";
const TYPE: &str = "Content-Type: text/plain";
const FIVE: &str = "Content-Length: 5";
const NONE: &str = "Content-Length: 0";
const UNKNOWN_POLICY: &str = "X-Backend-Storage-Policy-Index: 77";

fn bad_requests(object: &str) -> Vec<Bad> {
    let at = |method: &str, path: &str| format!("{method} {path}");
    let put = at("PUT", object);
    let elsewhere = object.replace("/sdb1/", "/sdz9/");
    let climbing = object.replace("/sdb1/", "/../");
    let mut all = vec![
        request("an unknown method", &at("BOGUS", object), &[], ""),
        request("a path that is too short", "GET /sdb1/3", &[], ""),
        request("a device that climbs", &at("PUT", &climbing), &[TIME, TYPE, FIVE], "hello"),
        request("a quoted device that climbs", &at("GET", &object.replace("/sdb1/", "/..%2Fx/")), &[], ""),
        request("a device that is not there", &at("PUT", &elsewhere), &[TIME, TYPE, FIVE], "hello"),
        request("a read from a device that is not there", &at("GET", &elsewhere), &[], ""),
        request("an unknown policy", &put, &[TIME, TYPE, FIVE, UNKNOWN_POLICY], "hello"),
        request("a read by an unknown policy", &at("GET", object), &[UNKNOWN_POLICY], ""),
        request("no timestamp", &put, &[TYPE, FIVE], "hello"),
        request("a timestamp that is none", &put, &["X-Timestamp: soon", TYPE, FIVE], "hello"),
        request("no content type", &put, &[TIME, FIVE], "hello"),
        request("no length", &put, &[TIME, TYPE], ""),
        request("a length that is none", &put, &[TIME, TYPE, "Content-Length: five"], "hello"),
        request("a wrong etag", &put, &[TIME, TYPE, FIVE, "ETag: 00000000000000000000000000000000"], "hello"),
        request("an expiry that is none", &put, &[TIME, TYPE, FIVE, "X-Delete-At: soon"], "hello"),
        request("an expiry in the past", &put, &[TIME, TYPE, FIVE, "X-Delete-At: 1000"], "hello"),
        request(
            "a name that is not UTF-8",
            &at("PUT", &format!("{object}%ff")),
            &[TIME, TYPE, FIVE],
            "hello",
        ),
        request("a name with a zero byte", &at("PUT", &format!("{object}%00")), &[TIME, TYPE, FIVE], "hello"),
        request("a deletion without a time", &at("DELETE", object), &[NONE], ""),
        request("a POST to nothing", &at("POST", object), &[TIME, NONE], ""),
        request("a POST without a time", &at("POST", object), &[NONE], ""),
        request("a read of nothing", &at("GET", object), &[], ""),
        request("REPLICATE of a whole device", "REPLICATE /sdb1", &[], ""),
        request("REPLICATE where no device is", "REPLICATE /sdz9/3", &[], ""),
        request("REPLICATE by an unknown policy", "REPLICATE /sdb1/3", &[UNKNOWN_POLICY], ""),
        request("SSYNC to a whole device", "SSYNC /sdb1", &["Transfer-Encoding: chunked"], "0\r\n\r\n"),
        request("SSYNC where no device is", "SSYNC /sdz9/3", &["Transfer-Encoding: chunked"], "0\r\n\r\n"),
        request(
            "SSYNC by an unknown policy",
            "SSYNC /sdb1/3",
            &["Transfer-Encoding: chunked", UNKNOWN_POLICY],
            "0\r\n\r\n",
        ),
        request(
            "a fragment index that is none",
            "SSYNC /sdb1/3",
            &["Transfer-Encoding: chunked", "X-Backend-Ssync-Frag-Index: first"],
            "0\r\n\r\n",
        ),
        request(
            "a line without end",
            &at("GET", &format!("/sdb1/3/a/c/{}", "o".repeat(LINE_BYTES))),
            &[],
            "",
        ),
        Bad { what: "no HTTP at all", request: "hello, is anybody there\r\n\r\n".to_owned(), closes: false },
    ];
    let mut short = request("a body that ends early", &put, &[TIME, TYPE, "Content-Length: 1000"], "hello");
    short.closes = true;
    all.push(short);
    all
}

fn say(node: &Node, bad: &Bad) -> Result<Answer> {
    let mut connection = Connection::open(node.address())?;
    connection.send(bad.request.as_bytes());
    if bad.closes {
        connection.finish();
    }
    connection.answer()
}

fn refused_as_by_stock(shape: Shape) -> Result<()> {
    let cluster = Cluster::of(2).build()?;
    let (stock, ours) = (cluster.node(1), cluster.node(2));
    let _stock = stock.serve(Server::Stock)?;
    let mut serving = ours.serve(Server::Ssync(shape))?;
    let arguments =
        serde_json::json!({"swift_dir": ours.swift_dir(), "policy": 0, "partition": 3, "count": 1});
    let located = ssync_tests::helper("locate", &arguments)?;
    let object = format!("/sdb1/3{}", located[0]["path"].as_str().unwrap_or_default());
    let mut differences = Vec::new();
    for bad in bad_requests(&object) {
        let theirs = say(stock, &bad)?.status;
        let answer = say(ours, &bad);
        assert!((400..600).contains(&theirs), "stock takes {}: {theirs}", bad.what);
        match answer {
            Ok(answer) if answer.status == theirs => {}
            Ok(answer) => differences.push(format!("{}: stock {theirs}, here {}", bad.what, answer.status)),
            Err(error) => differences.push(format!("{}: stock {theirs}, here {error:#}", bad.what)),
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
    let files = ours.snapshot()?;
    assert!(files.objects().is_empty(), "a bad request left something");
    let good = request("a good one", &format!("PUT {object}"), &[TIME, TYPE, FIVE], "hello");
    assert_eq!(say(ours, &good)?.status, 201, "a good request after the bad ones");
    serving.assert_running();
    Ok(())
}

#[test]
fn are_refused_by_one_process_as_by_stock() -> Result<()> {
    refused_as_by_stock(Shape::OneProcess)
}

#[test]
fn are_refused_by_two_processes_as_by_stock() -> Result<()> {
    refused_as_by_stock(Shape::TwoOverUnix)
}

#[test]
fn what_only_ours_refuses() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let node = cluster.node(1);
    let mut serving = node.serve(Server::Ssync(Shape::OneProcess))?;
    let refusals = [
        // Stock would store where no ring ever looks.
        request("a partition beyond the ring", "PUT /sdb1/8/AUTH_test/c/o", &[TIME, TYPE, FIVE], "hello"),
        request(
            "a partition that is not the object's",
            "PUT /sdb1/0/AUTH_test/c/located-0",
            &[TIME, TYPE, FIVE],
            "hello",
        ),
        request("a partition that is no number", "PUT /sdb1/x/AUTH_test/c/o", &[TIME, TYPE, FIVE], "hello"),
    ];
    for bad in refusals {
        let answer = say(node, &bad)?;
        assert!((400..600).contains(&answer.status), "{}: {answer:?}", bad.what);
    }
    assert!(node.snapshot()?.objects().is_empty(), "a bad request left something");
    serving.assert_running();
    Ok(())
}
