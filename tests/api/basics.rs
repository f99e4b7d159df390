//! PUT, GET, HEAD, POST and DELETE without anything special.

use anyhow::Result;

use crate::{
    case::{Case, case},
    compare::group,
    step::{delete, get, head, post, put, request},
};

fn writes() -> Vec<Case> {
    vec![
        case(51, "a plain PUT", [put().at(1).body("VERIFY"), get(), head()]),
        case(51, "an older PUT is a conflict", [put().at(10).body("new"), put().at(5).body("old"), get()]),
        case(
            51,
            "a PUT at the same time is a conflict",
            [put().at(10).body("a"), put().at(10).body("b"), get()],
        ),
        case(51, "a newer PUT replaces", [put().at(1).body("a"), put().at(2).body("bb"), get()]),
        case(
            51,
            "a PUT with a good etag",
            [put().at(1).body("VERIFY").header("ETag", "0b4c12d7e0a73840c1c4f148fda3b037")],
        ),
        case(51, "a PUT with a wrong etag", [put().at(1).body("VERIFY").header("ETag", "invalid"), get()]),
        case(51, "a PUT without a timestamp", [put().body("x")]),
        case(51, "a PUT with a bad timestamp", [put().body("x").header("X-Timestamp", "bad")]),
        case(51, "a PUT without a type", [put().at(1).no("Content-Type").body("x")]),
        case(51, "a PUT without a length", [put().at(1).no("Content-Length")]),
        case(51, "a PUT of nothing", [put().at(1), get(), head()]),
        case(51, "a chunked PUT", [put().at(1).chunked(&["1234", "567890"]), get()]),
        case(52, "a PUT that waits", [put().at(1).body("VERIFY").expecting(), get()]),
        case(
            52,
            "a PUT that waits and is refused",
            [put().at(5).body("a"), put().at(1).body("VERIFY").expecting()],
        ),
        case(
            55,
            "a PUT where nothing may be",
            [
                put().at(1).body("x").header("If-None-Match", "*"),
                put().at(2).body("y").header("If-None-Match", "*"),
                get(),
            ],
        ),
        case(
            60,
            "a POST replaces metadata",
            [
                put().at(1).body("x").header("X-Object-Meta-A", "1").header("Content-Encoding", "gzip"),
                post().at(2).header("X-Object-Meta-B", "2"),
                get(),
            ],
        ),
        case(60, "a POST to nothing", [post().at(1)]),
        case(62, "a DELETE", [put().at(1).body("x"), delete().at(2), get(), head(), delete().at(3)]),
        case(62, "a DELETE of nothing", [delete().at(2), delete().at(1), get()]),
        case(62, "an old DELETE", [put().at(5).body("x"), delete().at(2), get()]),
        case(74, "OPTIONS", [request("OPTIONS"), request("OPTIONS").target("/")]),
        case(78, "an unknown method", [request("BOGUS"), request("COPY").at(1)]),
    ]
}

#[test]
fn basics() -> Result<()> {
    group(writes()).compare()
}
