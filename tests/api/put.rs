//! PUT: rules for the head, conflicts, lengths, what is stored of the head.

use anyhow::Result;

use crate::{
    case::{Case, case},
    compare::group,
    step::{Move, Step, Talk, delete, get, head, post, put, raw, request, say, time},
};

/// A case for each value of a header, on an otherwise good PUT, and what a GET tells then.
fn each(row: u8, header: &'static str, values: &[&str]) -> Vec<Case> {
    let cases = values.iter().enumerate().map(|(number, value)| {
        let name = format!("{header}: {} ({number})", value.get(..40).unwrap_or(value));
        case(row, name, [put().at(5).body("hello").header(header, value), get(), head()])
    });
    cases.collect()
}

fn timestamps() -> Vec<Case> {
    let odd = [
        "",
        "bad",
        "-1",
        "0",
        "1",
        "0.00001",
        "inf",
        "nan",
        "1e9",
        "1_000",
        "1700000005",
        " 1700000005.5 ",
        "1700000005.123456789",
        "1700000005.00000_0000000000000001",
        "1700000005.00000_1",
        "1700000005.00000_",
        "1700000005.00000_g",
        "1700000005.00000-1",
        "9999999999.99999",
        "10000000000",
        "99999999999999999",
        "0x10",
        "1700000005,1",
        "1700000005.00000__1",
        "+1700000005",
        "1700000005.",
        ".5",
        "１７",
    ];
    let mut cases = each(51, "X-Timestamp", &odd);
    for (number, value) in odd.iter().enumerate() {
        let stored = || put().at(5).body("hello");
        let timed = |step: Step| step.header("X-Timestamp", value);
        cases.push(case(
            60,
            format!("POST with X-Timestamp {value} ({number})"),
            [stored(), timed(post()), get()],
        ));
        cases.push(case(
            62,
            format!("DELETE with X-Timestamp {value} ({number})"),
            [stored(), timed(delete()), get()],
        ));
        cases.push(case(
            56,
            format!("GET with X-Timestamp {value} ({number})"),
            [stored(), timed(get()), timed(head())],
        ));
    }
    cases
}

fn lengths() -> Vec<Case> {
    // A length that is more than comes is waited for, unless the client says that this was all.
    let five = |value: &str| {
        let rest = (value.len() > 5).then_some(Talk::Do(Move::Finish));
        put().at(1).header("Content-Length", value).content([say("hello")].into_iter().chain(rest))
    };
    let mut cases: Vec<Case> =
        ["five", "-1", "+5", "5.0", "0x5", "5 ", "05", "", "5 5", "5368709123", "99999999999999999999"]
            .iter()
            .enumerate()
            .map(|(number, value)| {
                case(51, format!("Content-Length {value} ({number})"), [five(value), get()])
            })
            .collect();
    let coded = |coding: &str| {
        put()
            .at(1)
            .no("Content-Length")
            .header("Transfer-Encoding", coding)
            .content([say("5\r\nhello\r\n0\r\n\r\n")])
    };
    for coding in
        ["gzip", "identity", "CHUNKED", "chunked ", "gzip, chunked", "chunked, gzip", "chunked, chunked", ""]
    {
        cases.push(case(51, format!("Transfer-Encoding {coding:?}"), [coded(coding), get()]));
    }
    cases.extend([
        case(51, "chunks with extensions", [
            put().at(1).no("Content-Length").header("Transfer-Encoding", "chunked")
                .content([say("5;a=b\r\nhello\r\n4 ; c\r\n you\r\n0;end\r\n\r\n")]),
            get(),
        ]),
        case(51, "chunks in capitals, with zeros", [
            put().at(1).no("Content-Length").header("Transfer-Encoding", "chunked")
                .content([say("000A\r\n0123456789\r\n0\r\n\r\n")]),
            get(),
        ]),
        case(51, "chunks with trailers", [
            put().at(1).no("Content-Length").header("Transfer-Encoding", "chunked")
                .content([say("5\r\nhello\r\n0\r\nX-Object-Meta-Late: 1\r\n\r\n")]),
            get(),
        ]),
        case(51, "a chunked PUT of nothing", [put().at(1).chunked(&[]), get(), head()]),
        case(51, "a chunked PUT with an etag", [
            put().at(1).chunked(&["hello"]).header("ETag", "5d41402abc4b2a76b9719d911017c592"), get(),
        ]),
        case(51, "a body that ends early", [
            raw([
                say("PUT /sdb1/{part}{path} HTTP/1.1\r\nHost: n\r\nX-Timestamp: 1700000001\r\nContent-Type: a/b\r\nContent-Length: 10\r\n\r\nhello"),
                Talk::Do(Move::Finish),
            ]),
            get(),
        ]),
        case(51, "a chunked body that ends early", [
            raw([
                say("PUT /sdb1/{part}{path} HTTP/1.1\r\nHost: n\r\nX-Timestamp: 1700000001\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
                Talk::Do(Move::Finish),
            ]),
            get(),
        ]),
    ]);
    cases
}

fn conflicts() -> Vec<Case> {
    let offset = |second: u64, offset: u64| format!("{}_{offset:016x}", time(second));
    vec![
        case(51, "after a tombstone of the same time", [delete().at(5), put().at(5).body("x"), get()]),
        case(51, "after an older tombstone", [delete().at(5), put().at(6).body("x"), get()]),
        case(51, "before a tombstone", [delete().at(5), put().at(4).body("x"), get()]),
        case(
            51,
            "between data and a later POST",
            [
                put().at(1).body("a").header("X-Object-Meta-A", "1"),
                post().at(9).header("X-Object-Meta-B", "2"),
                put().at(5).body("bb").header("X-Object-Meta-C", "3"),
                get(),
            ],
        ),
        case(
            51,
            "an offset makes it newer",
            [
                put().at(5).body("a"),
                put().header("X-Timestamp", offset(5, 1)).body("bb"),
                get(),
                put().header("X-Timestamp", offset(5, 1)).body("ccc"),
                delete().at(5),
                delete().header("X-Timestamp", offset(5, 2)),
                get(),
            ],
        ),
        case(
            55,
            "If-None-Match with the etag",
            [
                put().at(1).body("hello"),
                put().at(2).body("x").header("If-None-Match", "5d41402abc4b2a76b9719d911017c592"),
                put().at(3).body("y").header("If-None-Match", "\"5d41402abc4b2a76b9719d911017c592\""),
                put()
                    .at(4)
                    .body("z")
                    .header("If-None-Match", "\"other\", \"5d41402abc4b2a76b9719d911017c592\""),
                put().at(5).body("other").header("If-None-Match", "notthere"),
                get(),
            ],
        ),
        case(
            55,
            "If-None-Match and an object that is gone",
            [
                put().at(1).body("hello"),
                delete().at(2),
                put().at(3).body("x").header("If-None-Match", "*"),
                get(),
            ],
        ),
        case(
            55,
            "If-None-Match is asked before the time",
            [
                put().at(9).body("hello"),
                put().at(3).body("x").header("If-None-Match", "*"),
                put().at(3).body("x").header("If-None-Match", "*").expecting(),
            ],
        ),
        case(
            55,
            "If-None-Match and an expired object",
            [
                put()
                    .at(1)
                    .body("hello")
                    .header("X-Delete-At", "1700000100")
                    .header("X-Backend-Replication", "true"),
                put().at(200).body("x").header("If-None-Match", "*"),
                get(),
            ],
        ),
        case(55, "If-Match on a PUT", [put().at(1).body("a").header("If-Match", "nothing"), get()]),
        case(
            51,
            "an etag in quotes",
            [put().at(1).body("hello").header("ETag", "\"5d41402abc4b2a76b9719d911017c592\""), get()],
        ),
        case(
            51,
            "an etag in capitals",
            [put().at(1).body("hello").header("ETag", "5D41402ABC4B2A76B9719D911017C592"), get()],
        ),
        case(51, "an empty etag", [put().at(1).body("hello").header("ETag", ""), get()]),
        case(
            51,
            "a PUT into no device",
            [put().at(1).body("a").target("/sdz9/{part}{path}"), get().target("/sdz9/{part}{path}")],
        ),
        case(
            51,
            "a PUT that waits for no device",
            [put().at(1).body("a").target("/sdz9/{part}{path}").expecting()],
        ),
        case(
            52,
            "a PUT that waits without a timestamp",
            [put().body("a").expecting(), put().at(1).no("Content-Type").body("x").expecting()],
        ),
        case(
            52,
            "a PUT that waits with a wrong etag",
            [put().at(1).body("a").header("ETag", "x").expecting(), get()],
        ),
        case(52, "a PUT in chunks that waits", [put().at(1).chunked(&["one", "two"]).expecting(), get()]),
        case(52, "nothing to wait for", [put().at(1).body("").expecting(), get()]),
        case(
            52,
            "other expectations",
            [
                put().at(1).body("a").header("Expect", "200-ok"),
                put().at(2).body("b").header("Expect", "100-Continue").expecting(),
            ],
        ),
        case(
            52,
            "a GET and a DELETE that wait",
            [
                put().at(1).body("a"),
                get().header("Expect", "100-continue"),
                delete().at(2).header("Expect", "100-continue"),
            ],
        ),
        case(
            52,
            "an HTTP/1.0 client that waits",
            [
                raw([say(
                    "PUT /sdb1/{part}{path} HTTP/1.0\r\nX-Timestamp: 1700000001\r\nContent-Type: a/b\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
                )]),
                get(),
            ],
        ),
        case(
            78,
            "policies",
            [
                put().at(1).body("one").policy("1"),
                get(),
                get().policy("1"),
                get().policy(""),
                get().policy("one"),
                get().policy("-1"),
                get().policy("01"),
                get().policy("77"),
                put().at(1).body("x").policy("77"),
                post().at(1).policy("77"),
                delete().at(1).policy("77"),
                request("REPLICATE").policy("77").target("/sdb1/{part}"),
            ],
        ),
    ]
}

fn kept() -> Vec<Case> {
    let mut cases = vec![
        case(
            66,
            "allowed headers",
            [
                put()
                    .at(1)
                    .body("x")
                    .header("Content-Disposition", "attachment; filename=\"a b\"")
                    .header("Content-Encoding", "gzip")
                    .header("X-Object-Manifest", "c/prefix")
                    .header("X-Static-Large-Object", "True")
                    .header("Cache-Control", "max-age=5")
                    .header("Content-Language", "en, de")
                    .header("Expires", "Wed, 25 Dec 2013 04:04:04 GMT")
                    .header("X-Robots-Tag", "noindex")
                    .header("X-Custom", "no")
                    .header("Content-Location", "no")
                    .header("Last-Modified", "no")
                    .header("Deleted", "1")
                    .header("Content-Range", "bytes 0-1/2")
                    .header("Foo", "bar")
                    .header("X-Object-Meta-1", "One"),
                get(),
                head(),
            ],
        ),
        case(
            66,
            "allowed headers by POST",
            [
                put()
                    .at(1)
                    .body("x")
                    .header("Content-Encoding", "gzip")
                    .header("X-Object-Manifest", "c/p")
                    .header("X-Static-Large-Object", "True")
                    .header("Foo", "x"),
                post()
                    .at(2)
                    .header("Content-Disposition", "inline")
                    .header("Content-Encoding", "br")
                    .header("Foo", "y")
                    .header("X-Robots-Tag", "noindex"),
                head(),
                post().at(3).header("X-Object-Manifest", "d/q").header("X-Static-Large-Object", "False"),
                head(),
            ],
        ),
        case(
            66,
            "allowed headers in other spellings",
            [
                put()
                    .at(1)
                    .body("x")
                    .header("CONTENT-disposition", "inline")
                    .header("x-oBJECT-mETA-mIXED-case", "V")
                    .header("x-object-meta-under_score", "1")
                    .header("X-Object-Meta-A.b~c!d", "2"),
                get(),
            ],
        ),
        case(
            67,
            "system metadata",
            [
                put()
                    .at(1)
                    .body("x")
                    .header("X-Object-Sysmeta-A", "1")
                    .header("X-Object-Transient-Sysmeta-B", "2")
                    .header("X-Object-Meta-C", "3")
                    .header("X-Container-Sysmeta-D", "4")
                    .header("X-Object-Transient-Sysmeta-", "5"),
                head(),
                post()
                    .at(2)
                    .header("X-Object-Sysmeta-A", "10")
                    .header("X-Object-Sysmeta-New", "10")
                    .header("X-Object-Transient-Sysmeta-E", "20"),
                head(),
                put().at(3).body("y").header("X-Object-Sysmeta-Z", "1"),
                head(),
            ],
        ),
        case(
            73,
            "headers that replication names",
            [
                put()
                    .at(1)
                    .body("x")
                    .header("X-Backend-Replication-Headers", "Foo X-Object-Meta-Bar content-length X-Other")
                    .header("Foo", "1")
                    .header("X-Object-Meta-Bar", "2")
                    .header("X-Other", "3")
                    .header("X-Third", "4"),
                head(),
                get(),
                post()
                    .at(2)
                    .header("X-Backend-Replication-Headers", "foo\tx-third")
                    .header("Foo", "5")
                    .header("X-Third", "6"),
                get(),
            ],
        ),
        case(
            72,
            "replication may say that it has expired",
            [
                put().at(1).body("x").header("X-Delete-At", "1700000000"),
                put()
                    .at(2)
                    .body("x")
                    .header("X-Delete-At", "1700000000")
                    .header("X-Backend-Replication", "True"),
                get(),
                get().header("X-Backend-Replication", "true"),
                head().header("X-Backend-Open-Expired", "true"),
                get().header("X-Timestamp", "1699999999"),
            ],
        ),
        case(
            50,
            "names and values that are not ASCII",
            [
                put()
                    .at(1)
                    .body("x")
                    .header("X-Object-Meta-Fl\u{f6}ckchen", "\u{fc}ber")
                    .header("X-Object-Meta-\u{65e5}\u{672c}", "\u{1f600}"),
                get(),
                head(),
                post().at(2).header("X-Object-Meta-\u{3b1}\u{3b2}x", "\u{3b3}"),
                get(),
            ],
        ),
        case(
            50,
            "names and values that are not UTF-8",
            [
                put().at(1).body("x").header(b"X-Object-Meta-A\xff".as_slice(), b"\xfe\xff".as_slice()),
                get(),
                put().at(2).body("x").header("X-Object-Meta-B", b"\xe9".as_slice()),
                get(),
                post().at(3).header(b"X-Object-Meta-\xe9".as_slice(), b"\xe9".as_slice()),
                get(),
            ],
        ),
        case(
            50,
            "values with spaces, tabs, nothing, twice",
            [
                put()
                    .at(1)
                    .body("x")
                    .header("X-Object-Meta-A", "  a \t b  ")
                    .header("X-Object-Meta-B", "")
                    .and("X-Object-Meta-C", "1")
                    .and("X-Object-Meta-C", "2")
                    .and("x-object-meta-c", "3")
                    .header("X-Object-Meta-D", "\t"),
                get(),
                post()
                    .at(2)
                    .header("X-Object-Meta-B", "")
                    .and("X-Object-Meta-C", "1")
                    .and("X-Object-Meta-C", "2"),
                get(),
            ],
        ),
        case(
            51,
            "content types",
            [
                put().at(1).body("x").header("Content-Type", "text/plain; charset=\"UTF-8\"; swift_bytes=12"),
                get(),
                put().at(2).body("x").header("Content-Type", b"\xff\xff".as_slice()),
                get(),
                put().at(3).body("x").header("Content-Type", "none"),
                get(),
                put().at(4).body("x").header("Content-Type", "\u{e9}/x"),
                get(),
                put().at(5).body("x").header("Content-Type", ""),
                get(),
                put().at(6).body("x").and("Content-Type", "second/type"),
                get(),
            ],
        ),
    ];
    cases.extend(each(
        64,
        "X-Delete-At",
        &[
            "soon",
            "-1",
            "0",
            "1000",
            "1700000004",
            "1700000005",
            "1700000006",
            "4000000000",
            "4000000000.5",
            "04000000000",
            " 4000000000 ",
            "9999999999",
            "10000000000",
            "99999999999999999999999",
            "",
            "4e9",
            "4_000_000_000",
            "+4000000000",
        ],
    ));
    cases.extend(each(64, "X-Delete-After", &["soon", "-1", "0", "", "1.5", "1e3", "99999999999"]));
    cases
}

fn limits() -> Vec<Case> {
    let many = |count: usize| {
        (0..count)
            .fold(put().at(1).body("x"), |step, number| step.header(format!("X-Object-Meta-{number}"), "v"))
    };
    let with = |name: usize, value: usize| {
        put().at(1).body("x").header(format!("X-Object-Meta-{}", "n".repeat(name)), "v".repeat(value))
    };
    let total = |count: usize| {
        (0..count).fold(put().at(1).body("x"), |step, number| {
            step.header(format!("X-Object-Meta-{number:03}"), "v".repeat(250))
        })
    };
    let sysmeta = |length: usize| put().at(1).body("x").header("X-Object-Sysmeta-Long", "v".repeat(length));
    let long = |length: usize| format!("/AUTH_test/c/{{o}}{}", "n".repeat(length));
    vec![
        case(65, "90 items", [many(90), head()]),
        case(65, "91 items", [many(91), head()]),
        case(65, "a name of 128", [with(128, 1), head()]),
        case(65, "a name of 129", [with(129, 1), head()]),
        case(65, "a name of none", [with(0, 1), head()]),
        case(65, "a value of 256", [with(1, 256), head()]),
        case(65, "a value of 257", [with(1, 257), head()]),
        case(65, "a total of 4048", [total(16), head()]),
        case(65, "a total above 4096", [total(17), head()]),
        case(65, "long values of others", [sysmeta(8000), head()]),
        case(65, "too long values of others", [sysmeta(8192), head(), sysmeta(8193), head()]),
        case(65, "a long object name", [put().at(1).object(&long(900)), get().object(&long(900))]),
        case(
            65,
            "a too long object name",
            [
                put().at(1).object(&long(1100)),
                get().object(&long(1100)),
                post().at(1).object(&long(1100)),
                delete().at(2).object(&long(1100)),
            ],
        ),
        case(
            65,
            "limits of a POST",
            [
                put().at(1).body("x"),
                post().at(2).header(format!("X-Object-Meta-{}", "n".repeat(129)), "1"),
                post().at(2).header("X-Object-Meta-A", "v".repeat(257)),
                (0..91)
                    .fold(post().at(2), |step, number| step.header(format!("X-Object-Meta-{number}"), "v")),
                post().at(2).header("X-Object-Transient-Sysmeta-A", "v".repeat(4000)),
                head(),
            ],
        ),
        case(
            65,
            "200 headers, as the parser counts them",
            [(0..190).fold(put().at(1).body("x"), |step, number| step.header(format!("X-{number}"), "v"))],
        ),
        case(
            65,
            "300 headers",
            [
                (0..300).fold(put().at(1).body("x"), |step, number| step.header(format!("X-{number}"), "v")),
                get(),
            ],
        ),
    ]
}

fn paths() -> Vec<Case> {
    let object = |path: &str| {
        [
            put().at(1).body("x").object(path),
            get().object(path),
            head().object(path),
            post().at(2).object(path),
            delete().at(3).object(path),
        ]
    };
    let whole = |target: &str| {
        [
            put().at(1).body("x").target(target),
            get().target(target),
            head().target(target),
            post().at(2).target(target),
            delete().at(3).target(target),
        ]
    };
    let good = [
        "/AUTH_test/c/{o}/a/b/",
        "/AUTH_test/c/{o}//x",
        "/AUTH_test/c/{o}/../../../etc",
        "/AUTH_test/c/{o}%2F..%2Fx",
        "/AUTH_test/c/{o}+a",
        "/AUTH_test/c/{o}%20a%25b",
        "/AUTH_test/c/{o}%3Fq%23f",
        "/AUTH_test/c/{o};p=1",
        "/AUTH_test/c/{o}%E2%98%83",
        "/AUTH_test/c/{o}%zz",
        "/AUTH_test/c/{o}%",
        "/AUTH_test/c/{o}%0a%0d",
        "/AUTH_test/c/{o}%ff",
        "/AUTH_test/c/{o}%00x",
        "/AUTH_test/%00c/%00{o}",
        "/AUTH_test/c/%00{o}",
        "/AUTH_test/%00c/{o}",
        "/%00a/%00c/%00{o}",
        "/.a/c/{o}",
        "/AUTH_test/c/{o}%ed%a0%80",
        "/AUTH_test/c/{o}&'\"<>|\\^`{}[]",
        "/a%2Fb/c/{o}",
        "/AUTH_test/c/..{o}",
        "/../c/{o}",
        "/AUTH_test/../{o}",
        "/AUTH_test/./{o}",
    ];
    let bad = [
        "/",
        "*",
        "/sdb1",
        "/sdb1/0",
        "/sdb1/0/a",
        "/sdb1/0/a/c",
        "/sdb1/0/a/c/",
        "//0/a/c/o",
        "/sdb1//a/c/o",
        "/sdb1/0//c/o",
        "/sdb1/0/a//o",
        "/./0/a/c/o",
        "/../0/a/c/o",
        "/sdb1/./a/c/o",
        "/sdb1/../a/c/o",
        "/%2e%2e/0/a/c/o",
        "/%2e/0/a/c/o",
        "/sd%2Fb1/0/a/c/o",
        "/sdb1/%2e%2e/a/c/o",
        "sdb1/0/a/c/o",
        "/sdb1%00/0/a/c/o",
        "/sdb%ff/0/a/c/o",
    ];
    let mut cases: Vec<Case> =
        good.iter().map(|path| case(49, format!("the object {path}"), object(path))).collect();
    cases.extend(bad.iter().map(|target| case(49, format!("the target {target}"), whole(target))));
    cases.push(case(49, "an empty target", [get().target(""), put().at(1).body("x").target("")]));
    cases.push(case(
        49,
        "a query",
        [
            put().at(1).body("x").target("/sdb1/{part}{path}?a=b&c=d"),
            get().target("/sdb1/{part}{path}?x"),
            get(),
        ],
    ));
    cases.push(case(
        49,
        "a partition that is not the object's",
        [put().at(1).body("x").target("/sdb1/0/AUTH_test/c/{slug}-o")],
    ));
    cases.push(case(
        49,
        "a partition that is no number",
        [put().at(1).body("x").target("/sdb1/p{path}"), get().target("/sdb1/p{path}")],
    ));
    cases.push(case(
        49,
        "an absolute URI",
        [raw([say("GET http://node/sdb1/{part}{path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")])],
    ));
    cases
}

#[test]
fn heads() -> Result<()> {
    group([timestamps(), lengths(), conflicts()].concat()).compare()
}

#[test]
fn what_is_stored() -> Result<()> {
    group([kept(), limits(), paths()].concat()).compare()
}
