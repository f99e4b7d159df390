//! SSYNC as a stock sender speaks it, and REPLICATE.

use anyhow::Result;

use crate::{
    case::{Case, case},
    compare::group,
    fragment::fragment,
    names::md5,
    step::{Move, Step, Talk, bytes, chunk, delete, get, head, post, put, raw, request, say},
};

const HEAD: &str = "SSYNC /sdb1/{part} HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\n";
const END: &str = "0\r\n\r\n";
const OFFERS: &str = ":MISSING_CHECK: START\r\n";
const OFFERED: &str = ":MISSING_CHECK: END\r\n";
const UPDATES: &str = ":UPDATES: START\r\n";
const UPDATED: &str = ":UPDATES: END\r\n";

/// A conversation of these chunks, with more headers.
fn session_with(headers: &str, chunks: &[&str]) -> Step {
    let head = [say(format!("{HEAD}{headers}\r\n"))];
    raw(head
        .into_iter()
        .chain(chunks.iter().map(|text| chunk(*text)))
        .chain([say(END), Talk::Do(Move::Finish)]))
}

fn session(chunks: &[&str]) -> Step {
    session_with("X-Backend-Storage-Policy-Index: 0\r\n", chunks)
}

fn offers(lines: &[&str]) -> Step {
    session(&[&[OFFERS], lines, &[OFFERED, UPDATES, UPDATED]].concat())
}

fn updates(requests: &[&str]) -> Step {
    session(&[&[OFFERS, OFFERED, UPDATES], requests, &[UPDATED]].concat())
}

fn check() -> Vec<Case> {
    let stored = || put().at(5).body("x").header("X-Object-Meta-A", "1");
    let lines = [
        "{hash} 1700000004.00000",
        "{hash} 1700000005.00000",
        "{hash} 1700000006.00000",
        "{hash2} 1700000005.00000",
        "{hash} 1700000005.00000 m:186a0",
        "{hash} 1700000004.00000 m:186a0",
        "{hash} 1700000004.00000 m:30d40",
        "{hash} 1700000005.00000 m:186a0,t:186a0",
        "{hash} 1700000005.00000 m:30d40,t:186a0",
        "{hash} 1700000005.00000 durable:False",
        "{hash} 1700000006.00000 durable:False",
        "{hash} 1700000005.00000 durable:no",
        "{hash} 1700000005.00000_0000000000000001",
        "{hash} 1700000005.00000 m:0__1",
        "{hash} 1700000005.00000_0000000000000001 m:0__2",
        "{hash} 1700000005.00000 t:186a0",
        "{hash} 1700000005.00000 x:1,m:186a0,y",
        "{hash} 1700000005.00000 m:186a0 extra parts",
        "{hash} 1700000005.00000 m:",
        "{hash} 1700000005.00000 m:xyz",
        "{hash} 1700000005.00000 m:-1",
        "{hash} 1700000005.00000 m:186a0__zz",
        "{hash} bad",
        "{hash}",
        "",
        "{hash}  1700000006.00000",
        "{hash} 1700000006",
        "{hash} 1700000006.1",
        "{hash}%20 1700000006.00000",
        "%7b 1700000006.00000",
        "{hash} 1700000006.00000\r\n{hash2} 1700000001.00000\r\n{hash3} 1700000001.00000 m:1",
        "{hash} 17000000%306.00000",
        "short 1700000006.00000",
        "{hash}ff 1700000006.00000",
        "{hash} 1700000005.00000 m:186a0,m:0",
        "{hash} nan",
        "{hash} inf",
        "{hash} -1",
        "{hash} 1700000006.00000 \u{e9}",
        "\u{e9} 1700000006.00000",
    ];
    let mut cases: Vec<Case> = lines
        .iter()
        .enumerate()
        .flat_map(|(number, line)| {
            let offer = format!("{line}\r\n");
            let steps = |before: Vec<Step>| before.into_iter().chain([offers(&[&offer])]);
            [
                case(103, format!("the offer {line} ({number}) beside data"), steps(vec![stored()])),
                case(
                    103,
                    format!("the offer {line} ({number}) beside metadata"),
                    steps(vec![stored(), post().at(6).header("X-Object-Meta-B", "2")]),
                ),
                case(
                    103,
                    format!("the offer {line} ({number}) beside a tombstone"),
                    steps(vec![delete().at(5)]),
                ),
            ]
        })
        .collect();
    cases.extend([
        case(103, "nothing offered", [offers(&[])]),
        case(103, "offers in one chunk", [session(&[":MISSING_CHECK: START\r\n{hash} 1700000005.00000\r\n:MISSING_CHECK: END\r\n:UPDATES: START\r\n:UPDATES: END\r\n"])]),
        case(103, "offers byte by byte", [session(&[":MISSING_CHECK: ", "START\r", "\n{hash}", " 1700000005.00000\r\n", OFFERED, UPDATES, ":UPD", "ATES: END", "\r\n"])]),
        case(103, "lines that end in a line feed", [session(&[":MISSING_CHECK: START\n", "{hash} 1700000005.00000\n", ":MISSING_CHECK: END\n", ":UPDATES: START\n", ":UPDATES: END\n"])]),
        case(103, "a start without a space", [session(&[":MISSING_CHECK:START\r\n"])]),
        case(103, "a line without an end", [session(&[OFFERS, "{hash} 17000000"])]),
        case(103, "an expired object", [
            put().at(1).body("x").header("X-Delete-At", "1700000100").header("X-Backend-Replication", "1"), offers(&["{hash} 1700000001.00000\r\n"]), offers(&["{hash} 1700000001.00000 m:1\r\n"]),
        ]),
        case(103, "no end", [session(&[OFFERS, "{hash} 1700000005.00000\r\n"])]),
        case(103, "no start", [session(&[]), session(&[""])]),
        case(103, "offers, and no updates", [session(&[OFFERS, "{hash} 1700000005.00000\r\n", OFFERED])]),
        case(103, "no end of the updates", [session(&[OFFERS, OFFERED, UPDATES])]),
    ]);
    cases
}

fn subrequests() -> Vec<Case> {
    let put_of = |headers: &str, body: &str| format!("PUT {{path}}\r\n{headers}\r\n{body}");
    let bare = "Content-Length: 5\r\nContent-Type: text/plain\r\nX-Timestamp: 1700000005.00000\r\n";
    let good = &format!("{bare}ETag: 5d41402abc4b2a76b9719d911017c592\r\n");
    let all = format!(
        "{good}X-Object-Meta-A: 1\r\nX-Object-Sysmeta-B: 2\r\nSpecial: 3\r\nX-Delete-At: 1700000100\r\nContent-Encoding: gzip\r\n"
    );
    let plain = put_of(good, "hello");
    let full = put_of(&all, "hello");
    let one = |name: &str, before: Vec<Step>, request: &str| {
        case(
            106,
            name,
            before.into_iter().chain([updates(&[request]), get().header("X-Backend-Open-Expired", "true")]),
        )
    };
    let mut cases = vec![
        one("a PUT by ssync", vec![], &plain),
        one("a PUT by ssync without an etag", vec![], &put_of(bare, "hello")),
        one("a PUT by ssync with all there is", vec![], &full),
        one("a PUT by ssync over what is newer", vec![put().at(9).body("new")], &plain),
        one("a PUT by ssync over the same", vec![put().at(5).body("same")], &plain),
        one(
            "a PUT by ssync with a wrong etag",
            vec![],
            &put_of(&format!("{bare}ETag: 00000000000000000000000000000000\r\n"), "hello"),
        ),
        one(
            "a PUT by ssync that is not ASCII",
            vec![],
            &put_of(&format!("{good}X-Object-Meta-\u{e9}: \u{65e5}\u{672c}\r\n"), "hello"),
        ),
        one(
            "a PUT by ssync with spaces",
            vec![],
            &put_of(
                "Content-Length:5\r\nContent-Type :text/plain\r\n  X-Timestamp:   1700000005.00000  \r\nX-Object-Meta-A:b:c\r\nETag: 5d41402abc4b2a76b9719d911017c592\r\n",
                "hello",
            ),
        ),
        one(
            "a PUT by ssync of nothing",
            vec![],
            &put_of(
                "Content-Length: 0\r\nContent-Type: a/b\r\nX-Timestamp: 1700000005.00000\r\nETag: d41d8cd98f00b204e9800998ecf8427e\r\n",
                "",
            ),
        ),
        one(
            "a PUT by ssync without a type",
            vec![],
            &put_of(
                "Content-Length: 5\r\nX-Timestamp: 1700000005.00000\r\nETag: 5d41402abc4b2a76b9719d911017c592\r\n",
                "hello",
            ),
        ),
        one(
            "a PUT by ssync without a time",
            vec![],
            &put_of(
                "Content-Length: 5\r\nContent-Type: a/b\r\nETag: 5d41402abc4b2a76b9719d911017c592\r\n",
                "hello",
            ),
        ),
        one(
            "a PUT by ssync with two lengths",
            vec![],
            &put_of(&format!("{good}Content-Length: 3\r\n"), "hello"),
        ),
        one("a PUT by ssync with too short a body", vec![], &put_of(good, "hel")),
        one(
            "a PUT by ssync with limits passed",
            vec![],
            &put_of(&format!("{good}X-Object-Meta-{}: 1\r\n", "n".repeat(200)), "hello"),
        ),
        one(
            "a DELETE by ssync",
            vec![put().at(1).body("x")],
            "DELETE {path}\r\nX-Timestamp: 1700000005.00000\r\n\r\n",
        ),
        one("a DELETE by ssync of nothing", vec![], "DELETE {path}\r\nX-Timestamp: 1700000005.00000\r\n\r\n"),
        one(
            "a DELETE by ssync that is old",
            vec![put().at(9).body("x")],
            "DELETE {path}\r\nX-Timestamp: 1700000005.00000\r\n\r\n",
        ),
        one(
            "a DELETE by ssync of what expires",
            vec![put().at(1).body("x").header("X-Delete-At", "4000000000")],
            "DELETE {path}\r\nX-Timestamp: 1700000005.00000\r\n\r\n",
        ),
        one(
            "a DELETE by ssync with a length",
            vec![],
            "DELETE {path}\r\nX-Timestamp: 1700000005.00000\r\nContent-Length: 0\r\n\r\n",
        ),
        one(
            "a DELETE by ssync with a body",
            vec![],
            "DELETE {path}\r\nX-Timestamp: 1700000005.00000\r\nContent-Length: 1\r\n\r\nx",
        ),
        one(
            "a POST by ssync",
            vec![put().at(1).body("x")],
            "POST {path}\r\nX-Timestamp: 1700000005.00000\r\nX-Object-Meta-A: 1\r\nSpecial: 2\r\n\r\n",
        ),
        one(
            "a POST by ssync with a type",
            vec![put().at(1).body("x")],
            "POST {path}\r\nX-Timestamp: 1700000005.00000\r\nContent-Type: new/type\r\nContent-Type-Timestamp: 1700000003.00000\r\n\r\n",
        ),
        one("a POST by ssync to nothing", vec![], "POST {path}\r\nX-Timestamp: 1700000005.00000\r\n\r\n"),
        one(
            "a POST by ssync that is old",
            vec![put().at(1).body("x"), post().at(9)],
            "POST {path}\r\nX-Timestamp: 1700000005.00000\r\n\r\n",
        ),
        one(
            "a POST by ssync with a body",
            vec![put().at(1).body("x")],
            "POST {path}\r\nX-Timestamp: 1700000005.00000\r\nContent-Length: 1\r\n\r\nx",
        ),
        one(
            "a POST by ssync of an expiry that is past",
            vec![put().at(1).body("x")],
            "POST {path}\r\nX-Timestamp: 1700000005.00000\r\nX-Delete-At: 1700000002\r\n\r\n",
        ),
        one("no method that there is", vec![], "GET {path}\r\n\r\n"),
        one("no method at all", vec![], "{path}\r\n\r\n"),
        one(
            "a request line of three",
            vec![],
            "DELETE {path} HTTP/1.1\r\nX-Timestamp: 1700000005.00000\r\n\r\n",
        ),
        one("a header without a colon", vec![], "DELETE {path}\r\nX-Timestamp\r\n\r\n"),
        one("headers that do not end", vec![], "DELETE {path}\r\nX-Timestamp: 1700000005.00000\r\n"),
        one("no header at all", vec![], "DELETE {path}\r\n\r\n"),
        one("a length that is none", vec![], "PUT {path}\r\nContent-Length: five\r\n\r\nhello"),
        one("no length", vec![], "PUT {path}\r\nX-Timestamp: 1700000005.00000\r\n\r\n"),
        one("a path that is none", vec![], "DELETE /a\r\nX-Timestamp: 1700000005.00000\r\n\r\n"),
        one("another path", vec![], "DELETE nonsense\r\nX-Timestamp: 1700000005.00000\r\n\r\n"),
        one("a quoted path", vec![], "DELETE /AUTH_test/%63/{o}\r\nX-Timestamp: 1700000005.00000\r\n\r\n"),
    ];
    cases.extend([
        case(
            106,
            "several requests by ssync",
            [
                put().at(9).body("new").object("{path2}"),
                updates(&[
                    &plain,
                    &put_of(good, "hello").replace("{path}", "{path2}"),
                    "DELETE {path3}\r\nX-Timestamp: 1700000005.00000\r\n\r\n",
                ]),
                get(),
                get().object("{path2}"),
                get().object("{path3}"),
            ],
        ),
        case(
            106,
            "requests by ssync in one chunk",
            [
                updates(&[&format!("{plain}DELETE {{path2}}\r\nX-Timestamp: 1700000005.00000\r\n\r\n")]),
                get(),
                get().object("{path2}"),
            ],
        ),
        case(
            116,
            "the body of a failed request is skipped",
            [
                put().at(9).body("new"),
                updates(&[&plain, "DELETE {path2}\r\nX-Timestamp: 1700000005.00000\r\n\r\n"]),
                get(),
                get().object("{path2}"),
            ],
        ),
        case(
            106,
            "a PUT and a POST by ssync",
            [
                updates(&[
                    &plain,
                    "POST {path}\r\nX-Timestamp: 1700000007.00000\r\nX-Object-Meta-Z: 1\r\n\r\n",
                ]),
                get(),
            ],
        ),
        case(
            113,
            "too many failures",
            [
                updates(&vec!["POST {path}\r\nX-Timestamp: bad\r\n\r\n"; 101]),
                updates(&vec!["POST {path}\r\nX-Timestamp: bad\r\n\r\n"; 99]),
            ],
        ),
        case(
            113,
            "failures and successes",
            [updates(
                &[
                    vec!["POST {path}\r\nX-Timestamp: bad\r\n\r\n"; 99],
                    vec!["DELETE {path}\r\nX-Timestamp: 1700000005.00000\r\n\r\n"; 1],
                    vec!["POST {path}\r\nX-Timestamp: bad\r\n\r\n"; 99],
                ]
                .concat(),
            )],
        ),
    ]);
    cases
}

fn heads() -> Vec<Case> {
    let whole = [OFFERS, "{hash} 1700000005.00000\r\n", OFFERED, UPDATES, UPDATED];
    let to = |target: &str| {
        raw([
            say(format!("SSYNC {target} HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\n\r\n")),
            chunk(OFFERS),
            chunk(OFFERED),
            chunk(UPDATES),
            chunk(UPDATED),
            say(END),
            Talk::Do(Move::Finish),
        ])
    };
    let coded = "X-Backend-Storage-Policy-Index: 2\r\n";
    let indexed = |index: u8| {
        format!("{coded}X-Backend-Ssync-Frag-Index: {index}\r\nX-Backend-Ssync-Node-Index: {index}\r\n")
    };
    let stored = |durable: bool| {
        let step = put().at(5).policy("2").body(fragment(1)).header("X-Object-Sysmeta-Ec-Frag-Index", "1");
        if durable { step } else { step.header("X-Backend-No-Commit", "true") }
    };
    let sent = |offer: &str, more: &str| {
        let etag = md5(&fragment(1));
        let head = format!(
            "PUT {{path}}\r\nContent-Length: 90\r\nContent-Type: a/b\r\nETag: {etag}\r\nX-Object-Sysmeta-Ec-Frag-Index: 1\r\n\
             X-Timestamp: 1700000005.00000\r\n{more}\r\n"
        );
        raw([
            say(format!("{HEAD}{}\r\n", indexed(1))),
            chunk(OFFERS),
            chunk(offer),
            chunk(OFFERED),
            chunk(UPDATES),
            chunk(head),
            bytes(&fragment(1)),
            chunk(UPDATED),
            say(END),
            Talk::Do(Move::Finish),
        ])
    };
    let ec_offer = |line: &'static str| session_with(&indexed(1), &[OFFERS, line, OFFERED, UPDATES, UPDATED]);
    let mut cases = vec![
        case(
            108,
            "policies of ssync",
            [
                session_with("", &whole),
                session_with("X-Backend-Storage-Policy-Index: 1\r\n", &whole),
                session_with("X-Backend-Storage-Policy-Index: 77\r\n", &whole),
                session_with("X-Backend-Storage-Policy-Index: x\r\n", &whole),
                session_with("X-Backend-Storage-Policy-Index: \r\n", &whole),
            ],
        ),
        case(
            109,
            "fragment indexes of a replicated policy",
            [
                session_with("X-Backend-Ssync-Frag-Index: 1\r\n", &whole),
                session_with("X-Backend-Ssync-Frag-Index: None\r\n", &whole),
                session_with("X-Backend-Ssync-Frag-Index: x\r\n", &whole),
                session_with("X-Backend-Ssync-Frag-Index: \r\n", &whole),
                session_with("X-Backend-Ssync-Node-Index: 1\r\n", &whole),
                session_with("X-Backend-Ssync-Node-Index: x\r\n", &whole),
                session_with("X-Backend-Ssync-Frag-Index: 1\r\nX-Backend-Ssync-Node-Index: 2\r\n", &whole),
            ],
        ),
        case(118, "a fragment by ssync", [sent("{hash} 1700000005.00000\r\n", ""), get().policy("2")]),
        case(
            118,
            "a fragment by ssync that is not committed",
            [
                sent("{hash} 1700000005.00000 durable:False\r\n", "X-Backend-No-Commit: True\r\n"),
                get().policy("2"),
            ],
        ),
        case(
            118,
            "a fragment that is there",
            [
                stored(true),
                ec_offer("{hash} 1700000005.00000\r\n"),
                ec_offer("{hash} 1700000005.00000 durable:False\r\n"),
                ec_offer("{hash} 1700000006.00000 durable:False\r\n"),
                ec_offer("{hash} 1700000004.00000\r\n"),
            ],
        ),
        case(
            118,
            "a fragment that is committed by an offer",
            [stored(false), ec_offer("{hash} 1700000005.00000\r\n"), get().policy("2")],
        ),
        case(
            118,
            "a fragment that is not committed by an offer",
            [stored(false), ec_offer("{hash} 1700000005.00000 durable:False\r\n"), get().policy("2")],
        ),
        case(
            118,
            "another fragment",
            [
                stored(true),
                session_with(
                    &indexed(2),
                    &[OFFERS, "{hash} 1700000005.00000\r\n", OFFERED, UPDATES, UPDATED],
                ),
            ],
        ),
        case(
            118,
            "no fragment index",
            [
                stored(true),
                session_with(coded, &[OFFERS, "{hash} 1700000005.00000\r\n", OFFERED, UPDATES, UPDATED]),
            ],
        ),
        case(
            118,
            "a deletion of a fragment",
            [
                stored(true),
                session_with(
                    &indexed(1),
                    &[
                        OFFERS,
                        OFFERED,
                        UPDATES,
                        "DELETE {path}\r\nX-Timestamp: 1700000009.00000\r\n\r\n",
                        UPDATED,
                    ],
                ),
                get().policy("2"),
            ],
        ),
    ];
    let targets = [
        "/sdb1",
        "/sdb1/",
        "/",
        "/sdb1/{part}/abc",
        "/sdz9/{part}",
        "/sdb1/x",
        "/sdb1/99999",
        "/../{part}",
        "/sdb1/{part}/",
        "//{part}",
    ];
    cases.extend(targets.map(|target| case(109, format!("a target of ssync: {target}"), [to(target)])));
    cases.push(case(
        102,
        "a connection after a session",
        [raw([
            say(format!("{HEAD}\r\n")),
            chunk(OFFERS),
            chunk(OFFERED),
            chunk(UPDATES),
            chunk(UPDATED),
            say(END),
            say("GET /healthcheck HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"),
        ])],
    ));
    cases.push(case(102, "a session with a length", [raw([
        say("SSYNC /sdb1/{part} HTTP/1.1\r\nHost: node\r\nContent-Length: 78\r\n\r\n:MISSING_CHECK: START\r\n:MISSING_CHECK: END\r\n:UPDATES: START\r\n:UPDATES: END\r\n"), Talk::Do(Move::Finish),
    ])]));
    cases.push(case(
        102,
        "a session without a body",
        [raw([say("SSYNC /sdb1/{part} HTTP/1.1\r\nHost: node\r\n\r\n"), Talk::Do(Move::Finish)])],
    ));
    cases.push(case(102, "REPLICATION as of old", [request("REPLICATION").target("/sdb1/{part}")]));
    cases
}

fn replicate() -> Vec<Case> {
    let ask = |target: &str| request("REPLICATE").target(target).header("Content-Length", "0");
    let hashes = || ask("/sdb1/{part}").pickled();
    vec![
        case(75, "hashes of nothing", [hashes()]),
        case(
            75,
            "hashes",
            [
                put().at(1).body("x"),
                hashes(),
                post().at(2),
                hashes(),
                put().at(1).body("y").object("{path2}"),
                hashes(),
                delete().at(3),
                hashes(),
                hashes(),
            ],
        ),
        case(
            75,
            "hashes of an old tombstone",
            [delete().header("X-Timestamp", "1000000000"), hashes(), head()],
        ),
        case(
            75,
            "hashes of fragments",
            [
                put().at(1).body(fragment(1)).header("X-Object-Sysmeta-Ec-Frag-Index", "1"),
                hashes(),
                put()
                    .at(2)
                    .body(fragment(2))
                    .header("X-Object-Sysmeta-Ec-Frag-Index", "2")
                    .header("X-Backend-No-Commit", "true"),
                hashes(),
                delete().at(5),
                hashes(),
            ],
        )
        .policy(2),
        case(75, "hashes of another policy", [put().at(1).body("x"), hashes()]).policy(1),
        case(
            76,
            "suffixes",
            [
                put().at(1).body("x"),
                hashes(),
                ask("/sdb1/{part}/{suffix}").pickled(),
                hashes(),
                ask("/sdb1/{part}/{suffix}-fff-000").pickled(),
                hashes(),
            ],
        ),
        case(
            76,
            "suffixes that are none",
            [
                put().at(1).body("x"),
                hashes(),
                ask("/sdb1/{part}/zzz").pickled(),
                ask("/sdb1/{part}/abcd-1").pickled(),
                ask("/sdb1/{part}/-").pickled(),
                ask("/sdb1/{part}/").pickled(),
                hashes(),
            ],
        ),
        case(76, "suffixes of nothing", [ask("/sdb1/{part}/abc").pickled(), hashes()]),
        case(
            75,
            "targets of REPLICATE",
            [
                ask("/sdb1"),
                ask("/"),
                ask("/sdz9/{part}"),
                ask("/sdz9/{part}/abc"),
                ask("/../{part}"),
                ask("/sdb1/../abc"),
            ],
        ),
        case(
            75,
            "REPLICATE with a body",
            [put().at(1).body("x"), request("REPLICATE").target("/sdb1/{part}").body("body").pickled()],
        ),
        case(
            75,
            "REPLICATE without a length",
            [put().at(1).body("x"), request("REPLICATE").target("/sdb1/{part}").pickled()],
        ),
        case(
            76,
            "no rehash",
            [
                put().at(1).body("x"),
                ask("/sdb1/{part}").header("X-Backend-Skip-Rehash", "true").pickled(),
                hashes(),
            ],
        ),
    ]
}

#[test]
fn offered() -> Result<()> {
    group(check()).compare()
}

#[test]
fn updated() -> Result<()> {
    group([subrequests(), heads()].concat()).compare()
}

#[test]
fn hashes() -> Result<()> {
    group(replicate()).compare()
}
