//! PUT in several documents: footers and the two-phase commit, as the proxy speaks them for encryption and erasure coding.

use anyhow::Result;

use crate::{
    case::{Case, case},
    compare::group,
    fragment::fragment,
    names::md5,
    step::{Move, Step, Talk, bytes, chunk, get, head, hear, post, put, say},
};

const BODY: &str = "--B0undary\r\nX-Document: object body\r\n\r\nsecret\r\n--B0undary\r\n";
const COMMIT: &str = "X-Document: put commit\r\n\r\nput_commit_confirmation\r\n--B0undary--";
const END: &str = "0\r\n\r\n";

fn footer(json: &str, end: &str) -> String {
    let digest = md5(json.as_bytes());
    format!("X-Document: object metadata\r\nContent-MD5: {digest}\r\n\r\n{json}\r\n--B0undary{end}")
}

fn finish() -> Talk {
    Talk::Do(Move::Finish)
}

fn mime(second: u64) -> Step {
    put()
        .at(second)
        .no("Content-Length")
        .header("Transfer-Encoding", "chunked")
        .header("X-Backend-Obj-Multipart-Mime-Boundary", "B0undary")
        .header("X-Backend-Obj-Content-Length", "6")
}

fn footers(second: u64, content: impl IntoIterator<Item = Talk>) -> Step {
    mime(second).header("X-Backend-Obj-Metadata-Footer", "yes").expecting().content(content)
}

/// A fragment as the first document.
fn archive() -> Talk {
    bytes(
        &[b"--B0undary\r\nX-Document: object body\r\n\r\n", fragment(1).as_slice(), b"\r\n--B0undary\r\n"]
            .concat(),
    )
}

/// One with all of it; the commit comes after the second `100 Continue`.
fn phases(second: u64, content: impl IntoIterator<Item = Talk>) -> Step {
    mime(second)
        .header("X-Backend-Obj-Metadata-Footer", "yes")
        .header("X-Backend-Obj-Multiphase-Commit", "yes")
        .header("X-Backend-Obj-Content-Length", "90")
        .expecting()
        .content(content)
}

fn with_footers() -> Vec<Case> {
    let good = r#"{"X-Object-Meta-X": "Y", "X-Object-Sysmeta-Crypto": "{a: b}", "Etag": "5ebe2294ecd0e0f08eab7690d2a6ee69"}"#;
    let simple = |json: &str| vec![chunk(BODY), chunk(footer(json, "--")), say(END)];
    let mut cases = vec![
        case(53, "footers", [footers(1, simple(good)), get(), head()]),
        case(53, "footers beat headers", [
            footers(1, simple(r#"{"X-Object-Meta-X": "Z", "Content-Type": "a/b", "Content-Encoding": "br", "X-Other": "no", "x-object-meta-low": "1"}"#))
                .header("X-Object-Meta-X", "Y").header("X-Object-Meta-W", "V").header("Content-Encoding", "gzip"),
            get(),
        ]),
        case(53, "a footer with a wrong etag", [footers(1, simple(r#"{"Etag": "00000000000000000000000000000000"}"#)), get()]),
        case(53, "the footer's etag beats the header's", [
            footers(1, simple(r#"{"Etag": "5ebe2294ecd0e0f08eab7690d2a6ee69"}"#)).header("ETag", "wrong"), get(),
        ]),
        case(53, "a header's etag with footers", [footers(1, simple(r#"{"X-Object-Meta-X": "Y"}"#)).header("ETag", "wrong"), get()]),
        case(53, "no checksum", [
            footers(1, [chunk(BODY), chunk("X-Document: object metadata\r\n\r\n{}\r\n--B0undary--"), say(END)]), get(),
        ]),
        case(53, "a wrong checksum", [
            footers(1, [chunk(BODY), chunk("X-Document: object metadata\r\nContent-MD5: 00000000000000000000000000000000\r\n\r\n{}\r\n--B0undary--"), say(END)]), get(),
        ]),
        case(53, "a checksum in capitals", [
            footers(1, [chunk(BODY), chunk(format!("X-Document: object metadata\r\nContent-MD5: {}\r\n\r\n{{}}\r\n--B0undary--", md5(b"{}").to_uppercase())), say(END)]), get(),
        ]),
        case(53, "no footer", [footers(1, [chunk("--B0undary\r\nX-Document: object body\r\n\r\nsecret\r\n--B0undary--"), say(END)]), get()]),
        case(53, "another document for the footer", [
            footers(1, [chunk(BODY), chunk(footer(good, "--").replace("object metadata", "something")), say(END)]), get(),
        ]),
        case(53, "further documents", [
            footers(1, [chunk(BODY), chunk(footer(good, "\r\n")), chunk("X-Document: more\r\n\r\njunk\r\n--B0undary\r\n"), chunk("X-A: b\r\n\r\n\r\n--B0undary--"), say(END)]),
            get(),
        ]),
        case(53, "blank lines before the first", [footers(1, [chunk(format!("\r\n\r\n{BODY}")), chunk(footer(good, "--")), say(END)]), get()]),
        case(53, "text before the first", [footers(1, [chunk(format!("preamble\r\n{BODY}")), chunk(footer(good, "--")), say(END)]), get()]),
        case(53, "another boundary", [footers(1, [chunk(BODY.replace("B0undary", "Other")), chunk(footer(good, "--")), say(END)]), get()]),
        case(53, "no boundary", [footers(1, simple(good)).no("X-Backend-Obj-Multipart-Mime-Boundary"), get()]),
        case(53, "an empty boundary", [footers(1, simple(good)).header("X-Backend-Obj-Multipart-Mime-Boundary", ""), get()]),
        case(53, "a boundary within the body", [
            footers(1, [chunk("--B0undary\r\nX-Document: object body\r\n\r\nse--B0undary\r\ncret\r\n\r\n--B0undar\r\n--B0undary\r\n"), chunk(footer("{}", "--")), say(END)]), get(),
        ]),
        case(53, "documents with length", [
            footers(1, [say(format!("{BODY}{}", footer("{}", "--")))]).no("Transfer-Encoding").header("Content-Length", (BODY.len() + footer("{}", "--").len()).to_string()), get(),
        ]),
        case(53, "documents cut everywhere", [
            footers(1, format!("{BODY}{}", footer(good, "--")).chars().map(|c| chunk(c.to_string())).chain([say(END)])), get(),
        ]),
        case(53, "a body that ends before its boundary", [footers(1, [chunk("--B0undary\r\nX-Document: object body\r\n\r\nsec"), say(END)]), get()]),
        case(53, "a client that goes away within the body", [footers(1, [chunk("--B0undary\r\nX-Document: object body\r\n\r\nsec"), finish()]), get()]),
        case(53, "a client that goes away before the footer", [footers(1, [chunk(BODY), finish()]), get()]),
        case(53, "a client that goes away within the footer", [footers(1, [chunk(BODY), chunk("X-Document: object metadata\r\nContent-MD5: "), finish()]), get()]),
        case(53, "more than it said", [footers(1, simple(good)).header("X-Backend-Obj-Content-Length", "3"), get()]),
        case(53, "less than it said", [footers(1, simple(good)).header("X-Backend-Obj-Content-Length", "30"), get()]),
        case(53, "a length that is none", [footers(1, simple(good)).header("X-Backend-Obj-Content-Length", "many"), get()]),
        case(53, "an old PUT with footers", [put().at(9).body("x"), footers(1, simple(good)), get()]),
        // As the proxy has them: a character for each byte.
        case(53, "footers that are not ASCII", [
            footers(1, simple("{\"X-Object-Meta-\\u00c3\\u00a9\": \"\\u00e6\\u0097\\u00a5\", \"X-Object-Meta-E\": \"\u{c3}\u{a9}\"}")), get(),
        ]),
        case(53, "a footer that no header can be", [footers(1, simple("{\"X-Object-Meta-E\": \"\\u65e5\"}")), get()]),
        case(53, "a POST after footers", [footers(1, simple(good)), post().at(2).header("X-Object-Meta-New", "1"), get()]),
        case(53, "nothing stored of what is not kept", [footers(1, simple(r#"{"X-Backend-Foo": "1", "X-Timestamp": "1800000000", "Content-Length": "99", "name": "/x", "X-Delete-At": "9999999998"}"#)), get()]),
    ];
    for (number, json) in [
        "",
        "not json",
        "[1, 2]",
        "null",
        "3",
        "{\"a\": 1}",
        "{\"X-Object-Meta-A\": 1}",
        "{\"X-Object-Meta-A\": null}",
        "{\"X-Object-Meta-A\": [1]}",
        "{\"X-Object-Meta-A\": \"1\"} ",
        "{\"X-Object-Meta-A\": \"1\",}",
        "{\"X-Object-Meta-A\": \"1\", \"X-Object-Meta-A\": \"2\"}",
        "{\"X-Object-Meta-A\": true}",
    ]
    .into_iter()
    .enumerate()
    {
        cases.push(case(53, format!("the footer {json} ({number})"), [footers(1, simple(json)), get()]));
    }
    cases
}

fn with_commits() -> Vec<Case> {
    let json = r#"{"X-Object-Sysmeta-Ec-Frag-Index": "1", "X-Object-Sysmeta-Ec-Etag": "e", "X-Object-Sysmeta-Ec-Content-Length": "6", "X-Object-Meta-A": "b"}"#;
    // The body ends, in chunks, before the second 100; what comes after that is in chunks again.
    let until = |rest: Vec<Talk>| [vec![archive(), chunk(footer(json, "\r\n")), say(END)], rest].concat();
    let whole = || until(vec![hear(), chunk(COMMIT), say(END)]);
    let bare = || {
        mime(1)
            .header("X-Backend-Obj-Multiphase-Commit", "yes")
            .header("X-Backend-Obj-Content-Length", "90")
            .expecting()
    };
    let coded = |name: &str, steps: Vec<Step>| case(54, name, steps).policy(2);
    vec![
        coded("two phases", vec![phases(1, whole()), get(), head()]),
        case(54, "two phases of a replicated object", [phases(1, whole()), get()]),
        case(
            54,
            "two phases without footers",
            [bare().content([archive(), say(END), hear(), chunk(COMMIT), say(END)]), get()],
        ),
        coded(
            "two phases, the index in a header",
            vec![
                bare()
                    .header("X-Object-Sysmeta-Ec-Frag-Index", "1")
                    .header("X-Object-Sysmeta-Ec-Etag", "e")
                    .content([archive(), say(END), hear(), chunk(COMMIT), say(END)]),
                get(),
            ],
        ),
        coded(
            "another word for the commit",
            vec![
                phases(
                    1,
                    until(vec![
                        hear(),
                        chunk("X-Document: put commit\r\n\r\nanything\r\n--B0undary--"),
                        say(END),
                    ]),
                ),
                get(),
            ],
        ),
        coded(
            "another document for the commit",
            vec![
                phases(
                    1,
                    until(vec![
                        hear(),
                        chunk("X-Document: something\r\n\r\nput_commit_confirmation\r\n--B0undary--"),
                        say(END),
                    ]),
                ),
                get(),
            ],
        ),
        coded(
            "junk after the commit",
            vec![
                phases(
                    1,
                    until(vec![
                        hear(),
                        chunk(COMMIT.replace("--B0undary--", "--B0undary\r\n")),
                        chunk("X-Document: junk\r\n\r\njunk\r\n--B0undary--"),
                        say(END),
                    ]),
                ),
                get(),
            ],
        ),
        coded("no commit", vec![phases(1, until(vec![hear(), say(END)])), get()]),
        coded(
            "a client that goes away before the commit",
            vec![phases(1, until(vec![hear(), finish()])), get()],
        ),
        coded(
            "a client that goes away within the commit",
            vec![phases(1, until(vec![hear(), chunk("X-Document: put com"), finish()])), get()],
        ),
        coded(
            "a fragment without an index",
            vec![
                phases(
                    1,
                    [archive(), chunk(footer("{}", "\r\n")), say(END), hear(), chunk(COMMIT), say(END)],
                ),
                get(),
            ],
        ),
        coded(
            "a fragment that is none",
            vec![put().at(1).body("x").header("X-Object-Sysmeta-Ec-Frag-Index", "2"), get(), head()],
        ),
        coded(
            "a plain PUT of a fragment",
            vec![put().at(1).body(fragment(2)).header("X-Object-Sysmeta-Ec-Frag-Index", "2"), get(), head()],
        ),
        coded(
            "a fragment whose index is none",
            vec![
                put().at(1).body("x").header("X-Object-Sysmeta-Ec-Frag-Index", "two"),
                put().at(1).body("x").header("X-Object-Sysmeta-Ec-Frag-Index", "-1"),
                get(),
            ],
        ),
        coded(
            "a fragment whose index is out of range",
            vec![put().at(1).body(fragment(2)).header("X-Object-Sysmeta-Ec-Frag-Index", "7"), get()],
        ),
        coded(
            "a fragment that is not to be committed",
            vec![
                put()
                    .at(1)
                    .body(fragment(2))
                    .header("X-Object-Sysmeta-Ec-Frag-Index", "2")
                    .header("X-Backend-No-Commit", "true"),
                get(),
                get().header("X-Backend-Fragment-Preferences", "[]"),
                get().header(
                    "X-Backend-Fragment-Preferences",
                    r#"[{"timestamp": "1700000001.00000", "exclude": [2]}]"#,
                ),
                get().header(
                    "X-Backend-Fragment-Preferences",
                    r#"[{"timestamp": "1700000001.00000", "exclude": []}]"#,
                ),
                get().header("X-Backend-Fragment-Preferences", "{bad"),
                get().header("X-Backend-Fragment-Preferences", "3"),
            ],
        ),
        coded(
            "two fragments of one time",
            vec![
                put().at(1).body(fragment(1)).header("X-Object-Sysmeta-Ec-Frag-Index", "1"),
                put().at(1).body(fragment(2)).header("X-Object-Sysmeta-Ec-Frag-Index", "2"),
                put()
                    .at(1)
                    .body(fragment(2))
                    .header("X-Object-Sysmeta-Ec-Frag-Index", "2")
                    .header("X-Backend-Ssync-Frag-Index", "2"),
                get(),
                get().header(
                    "X-Backend-Fragment-Preferences",
                    r#"[{"timestamp": "1700000001.00000", "exclude": [2]}]"#,
                ),
            ],
        ),
        coded(
            "an older fragment that is kept",
            vec![
                put().at(1).body(fragment(1)).header("X-Object-Sysmeta-Ec-Frag-Index", "1"),
                put()
                    .at(5)
                    .body(fragment(2))
                    .header("X-Object-Sysmeta-Ec-Frag-Index", "2")
                    .header("X-Backend-No-Commit", "true"),
                get(),
                head(),
                get().header("X-Backend-Fragment-Preferences", "[]"),
                post().at(9).header("X-Object-Meta-A", "1"),
                get(),
            ],
        ),
        coded(
            "deletion of a fragment",
            vec![
                put().at(1).body(fragment(1)).header("X-Object-Sysmeta-Ec-Frag-Index", "1"),
                crate::step::delete().at(2),
                get(),
                head(),
                crate::step::delete().at(1),
            ],
        ),
        coded(
            "a range of a fragment",
            vec![
                put()
                    .at(1)
                    .body(fragment(1))
                    .header("X-Object-Sysmeta-Ec-Frag-Index", "1")
                    .header("X-Object-Sysmeta-Ec-Etag", "e")
                    .header("X-Object-Sysmeta-Ec-Content-Length", "20"),
                get().header("Range", "bytes=2-4"),
                get().header("Range", "bytes=0-1,4-5"),
                get().header("If-Match", "e").header("X-Backend-Etag-Is-At", "X-Object-Sysmeta-Ec-Etag"),
            ],
        ),
    ]
}

#[test]
fn footers_of_a_put() -> Result<()> {
    group(with_footers()).compare()
}

#[test]
fn commits() -> Result<()> {
    group(with_commits()).compare()
}
