//! What containers and the expirer are told, and what waits in async_pending when they do not listen.

use anyhow::Result;

use crate::{
    case::{Case, case},
    compare::group,
    step::{Step, delete, head, post, put},
};

const HOST: &str = "{recorder}";

/// With a container server to tell, on devices of these names.
fn told(step: Step, devices: &str) -> Step {
    let count = devices.split(',').count();
    step.header("X-Container-Host", vec![HOST; count].join(","))
        .header("X-Container-Partition", "7")
        .header("X-Container-Device", devices)
}

/// With a server of the expirer's queue.
fn queued(step: Step, devices: &str, when: &str) -> Step {
    let count = devices.split(',').count();
    step.header("X-Delete-At", when)
        .header("X-Delete-At-Host", vec![HOST; count].join(","))
        .header("X-Delete-At-Partition", "9")
        .header("X-Delete-At-Device", devices)
        .header("X-Delete-At-Container", "4000000000")
}

fn containers() -> Vec<Case> {
    let stored = || told(put().at(1).body("hello").header("X-Object-Meta-A", "1"), "c201");
    let mut cases = vec![
        case(81, "a container is told of a PUT", [stored()]),
        case(81, "a container is told of a chunked PUT", [told(put().at(1).chunked(&["hel", "lo"]), "c201")]),
        case(
            81,
            "a container is told of a POST",
            [stored(), told(post().at(2).header("X-Object-Meta-B", "1"), "c202")],
        ),
        case(81, "a container is told of a DELETE", [stored(), told(delete().at(2), "c204")]),
        case(81, "a container is told of a DELETE of nothing", [told(delete().at(2), "c204")]),
        case(
            81,
            "several containers",
            [told(put().at(1).body("x"), "c201,c204,c500"), told(delete().at(2), "c404, c201")],
        ),
        case(
            81,
            "no container is told of a conflict",
            [
                stored(),
                told(put().at(1).body("x"), "c201"),
                told(delete().at(1), "c201"),
                told(post().at(0), "c201"),
            ],
        ),
        case(
            81,
            "trans id and referer go along",
            [stored()
                .header("X-Trans-Id", "tx123")
                .header("Referer", "http://me/")
                .header("User-Agent", "me")],
        ),
        case(
            81,
            "another policy",
            [told(put().at(1).body("x"), "c201").policy("1"), told(delete().at(2), "c500").policy("1")],
        ),
        case(
            81,
            "types are told whole",
            [told(
                put().at(1).body("x").header("Content-Type", "text/x; charset=\u{fc}; swift_bytes=9"),
                "c500",
            )],
        ),
        case(
            81,
            "no partition, no update",
            [put().at(1).body("x").header("X-Container-Host", HOST).header("X-Container-Device", "c201")],
        ),
        case(
            81,
            "no host",
            [
                put()
                    .at(1)
                    .body("x")
                    .header("X-Container-Partition", "7")
                    .header("X-Container-Device", "c201"),
                delete().at(2).header("X-Container-Partition", "7"),
            ],
        ),
        case(
            81,
            "more hosts than devices",
            [put()
                .at(1)
                .body("x")
                .header("X-Container-Host", "a:1,b:2")
                .header("X-Container-Partition", "7")
                .header("X-Container-Device", "c201")],
        ),
        case(
            81,
            "empty hosts",
            [put()
                .at(1)
                .body("x")
                .header("X-Container-Host", "")
                .header("X-Container-Partition", "7")
                .header("X-Container-Device", "")],
        ),
        case(
            81,
            "replication tells nobody unless it is said to",
            [told(put().at(1).body("x"), "c201").header("X-Backend-Replication", "true")],
        ),
        case(
            81,
            "a long name",
            [
                told(put().at(1).body("x").object("/AUTH_test/c/{o}%20%E2%98%83+%3F%23"), "c201"),
                told(delete().at(2).object("/AUTH_test/c/{o}%20%E2%98%83+%3F%23"), "c503"),
            ],
        ),
        case(
            82,
            "an update nobody takes",
            [put()
                .at(1)
                .body("x")
                .header("X-Container-Host", "127.0.0.1:1")
                .header("X-Container-Partition", "7")
                .header("X-Container-Device", "sda")],
        ),
        case(
            82,
            "a host that is none",
            [put()
                .at(1)
                .body("x")
                .header("X-Container-Host", "nonsense")
                .header("X-Container-Partition", "7")
                .header("X-Container-Device", "sda")],
        ),
        case(82, "a server that says nothing", [told(put().at(1).body("x"), "silent")]),
        case(
            82,
            "updates that fail one after the other",
            [
                told(put().at(1).body("x"), "c500"),
                told(post().at(2).header("X-Object-Meta-A", "1"), "c500"),
                told(delete().at(3), "c500"),
            ],
        ),
        case(
            82,
            "an offset",
            [told(put().header("X-Timestamp", "1700000001.00000_0000000000000001").body("x"), "c500")],
        ),
        case(
            83,
            "a shard",
            [told(put().at(1).body("x"), "c500")
                .header("X-Backend-Quoted-Container-Path", ".shards_AUTH_test/c-shard%20%E2%98%83")],
        ),
        case(
            83,
            "a shard that is told",
            [told(put().at(1).body("x"), "c201")
                .header("X-Backend-Quoted-Container-Path", ".shards_AUTH_test/c-shard")],
        ),
        case(
            83,
            "a shard, told as of old",
            [told(put().at(1).body("x"), "c500")
                .header("X-Backend-Container-Path", ".shards_AUTH_test/c-shard%20")],
        ),
        case(
            83,
            "a shard's path that is none",
            [told(put().at(1).body("x"), "c201").header("X-Backend-Quoted-Container-Path", "nonsense")],
        ),
        case(83, "a redirection", [told(put().at(1).body("x"), "c301"), told(delete().at(2), "c301")]),
        case(
            83,
            "states of the root",
            [
                told(put().at(1).body("x"), "c500").header("X-Container-Root-Db-State", "sharded"),
                told(delete().at(2), "c201").header("X-Container-Root-Db-State", "unsharded"),
            ],
        ),
        case(
            84,
            "overrides by header",
            [
                told(put().at(1).body("x"), "c201")
                    .header("X-Backend-Container-Update-Override-Etag", "other")
                    .header("X-Backend-Container-Update-Override-Content-Type", "a/b")
                    .header("X-Backend-Container-Update-Override-Size", "77")
                    .header("X-Backend-Container-Update-Override-Foo", "bar"),
                head(),
            ],
        ),
        case(
            84,
            "overrides by system metadata",
            [
                told(put().at(1).body("x"), "c201")
                    .header("X-Object-Sysmeta-Container-Update-Override-Etag", "mine")
                    .header("X-Backend-Container-Update-Override-Etag", "other")
                    .header("X-Object-Sysmeta-Container-Update-Override-Size", "78"),
                head(),
                told(post().at(2).header("X-Object-Meta-A", "1"), "c201"),
                told(delete().at(3), "c201"),
            ],
        ),
        case(
            84,
            "an override that is empty",
            [told(put().at(1).body("x"), "c201")
                .header("X-Object-Sysmeta-Container-Update-Override-Etag", "")],
        ),
        case(
            61,
            "a POST with a type",
            [
                stored(),
                told(
                    post()
                        .at(5)
                        .header("Content-Type", "new/type")
                        .header("Content-Type-Timestamp", "1700000004.00000"),
                    "c201",
                ),
                head(),
                told(post().at(6).header("X-Object-Meta-C", "1"), "c201"),
                head(),
                told(
                    post()
                        .at(7)
                        .header("Content-Type", "old/type")
                        .header("Content-Type-Timestamp", "1700000002.00000"),
                    "c201",
                ),
                head(),
                told(
                    post()
                        .at(3)
                        .header("Content-Type", "late/type")
                        .header("Content-Type-Timestamp", "1700000006.50000"),
                    "c201",
                ),
                head(),
                told(post().at(8).header("Content-Type", "x/y"), "c201"),
                head(),
                post().at(9).header("Content-Type", "x/z").header("Content-Type-Timestamp", "bad"),
                post().at(9).header("Content-Type-Timestamp", "1700000009"),
                head(),
                post()
                    .at(8)
                    .header("Content-Type", "q/r")
                    .header("Content-Type-Timestamp", "1700000008.00000"),
                post()
                    .at(5)
                    .header("Content-Type", "q/s")
                    .header("Content-Type-Timestamp", "1700000005.00000"),
            ],
        ),
        case(
            61,
            "a POST with a bad type time, to nothing",
            [post().at(9).header("Content-Type", "x/z").header("Content-Type-Timestamp", "bad")],
        ),
        case(
            61,
            "a PUT between the times of a POST",
            [
                put().at(1).body("a").header("Content-Type", "a/a"),
                post()
                    .at(9)
                    .header("Content-Type", "b/b")
                    .header("Content-Type-Timestamp", "1700000003.00000"),
                head(),
                put().at(5).body("b").header("Content-Type", "c/c"),
                head(),
            ],
        ),
        case(
            87,
            "swift_bytes are carried over",
            [
                told(
                    put()
                        .at(1)
                        .body("x")
                        .header("Content-Type", "text/plain; swift_bytes=12345")
                        .header("X-Static-Large-Object", "True"),
                    "c201",
                ),
                head(),
                told(post().at(2).header("Content-Type", "new/type"), "c201"),
                head(),
                told(post().at(3).header("Content-Type", "newer/type; swift_bytes=1"), "c500"),
                head(),
            ],
        ),
    ];
    for status in ["200", "299", "400", "404", "409", "503", "507", "302"] {
        let device = format!("c{status}");
        cases.push(case(
            82,
            format!("a container server answers {status}"),
            [told(put().at(1).body("x"), &device), told(delete().at(2), &device)],
        ));
    }
    cases
}

fn expiry() -> Vec<Case> {
    let far = "4000000000";
    let stored = || put().at(1).body("hello").header("X-Delete-At", far);
    vec![
        case(85, "the queue is told of a PUT", [queued(put().at(1).body("hello"), "c201", far), head()]),
        case(85, "the queue of two servers", [queued(put().at(1).body("hello"), "c201,c500", far)]),
        case(85, "the queue does not listen", [queued(put().at(1).body("hello"), "c500", far)]),
        case(
            85,
            "no host for the queue",
            [
                stored(),
                stored().at(2).header("X-Delete-At-Host", ""),
                stored().at(3).header("X-Delete-At-Partition", "3"),
            ],
        ),
        case(
            85,
            "no container for the queue",
            [queued(put().at(1).body("x"), "c500", far).no("X-Delete-At-Container")],
        ),
        case(
            85,
            "another container for the queue",
            [queued(put().at(1).body("x"), "c500", far).header("X-Delete-At-Container", "1")],
        ),
        case(
            85,
            "the queue is told of a POST",
            [put().at(1).body("hello"), queued(post().at(2), "c201", far), head()],
        ),
        case(85, "another time by POST", [stored(), queued(post().at(2), "c500", "4000000100"), head()]),
        case(
            85,
            "another time by PUT",
            [stored(), queued(put().at(2).body("x"), "c201", "4000000100"), head()],
        ),
        case(85, "the same time by PUT", [stored(), queued(put().at(2).body("xx"), "c500", far)]),
        case(85, "the same time by POST", [stored(), queued(post().at(2), "c500", far)]),
        case(85, "no time any more by PUT", [stored(), put().at(2).body("x"), head()]),
        case(85, "no time any more by POST", [stored(), post().at(2), head()]),
        case(85, "gone with its time", [stored(), delete().at(2)]),
        case(
            85,
            "gone with a posted time",
            [put().at(1).body("x"), queued(post().at(2), "c201", far), delete().at(3)],
        ),
        case(
            85,
            "replication queues nothing",
            [
                queued(put().at(1).body("x"), "c500", far).header("X-Backend-Replication", "true"),
                delete().at(2).header("X-Backend-Replication", "true"),
            ],
        ),
        case(
            85,
            "the queue is not to be cleaned",
            [
                stored(),
                delete().at(2).header("X-Backend-Clean-Expiring-Object-Queue", "false"),
                stored().at(3),
                put().at(4).body("x").header("X-Backend-Clean-Expiring-Object-Queue", "no"),
                stored().at(5),
                post().at(6).header("X-Backend-Clean-Expiring-Object-Queue", "0"),
            ],
        ),
        case(
            85,
            "the queue is told, and not cleaned",
            [
                stored(),
                queued(put().at(2).body("x"), "c500", "4000000100")
                    .header("X-Backend-Clean-Expiring-Object-Queue", "f"),
            ],
        ),
        case(85, "the queue of another policy", [queued(put().at(1).body("x"), "c500", far), delete().at(2)])
            .policy(1),
        case(
            86,
            "bytes in the queue's type",
            [queued(put().at(1).body("0123456789"), "c500", far), queued(post().at(2), "c500", "4000000200")],
        ),
        case(
            86,
            "times beyond the queue",
            [
                queued(put().at(1).body("x"), "c500", "9999999999"),
                queued(put().at(2).body("x"), "c500", "99999999999"),
            ],
        ),
        case(
            63,
            "X-If-Delete-At",
            [
                stored(),
                delete().at(2).header("X-If-Delete-At", "3999999999"),
                delete().at(2).header("X-If-Delete-At", "bad"),
                delete().at(2).header("X-If-Delete-At", ""),
                delete().at(0).header("X-If-Delete-At", far),
                delete().at(2).header("X-If-Delete-At", far),
                delete().at(3).header("X-If-Delete-At", far),
            ],
        ),
        case(63, "X-If-Delete-At and nothing", [delete().at(2).header("X-If-Delete-At", far)]),
        case(
            63,
            "X-If-Delete-At and no time",
            [put().at(1).body("x"), delete().at(2).header("X-If-Delete-At", far), head()],
        ),
        case(
            63,
            "X-If-Delete-At of an expired object",
            [
                put()
                    .at(1)
                    .body("x")
                    .header("X-Delete-At", "1700000100")
                    .header("X-Backend-Replication", "1"),
                delete().at(200).header("X-If-Delete-At", "1700000099"),
                delete()
                    .at(200)
                    .header("X-If-Delete-At", "1700000100")
                    .header("X-Backend-Clean-Expiring-Object-Queue", "false"),
                head(),
            ],
        ),
        case(
            62,
            "a DELETE of an expired object",
            [
                put()
                    .at(1)
                    .body("x")
                    .header("X-Delete-At", "1700000100")
                    .header("X-Backend-Replication", "1"),
                delete().at(200),
                head(),
            ],
        ),
        case(
            60,
            "a POST to an expired object",
            [
                put()
                    .at(1)
                    .body("x")
                    .header("X-Delete-At", "1700000100")
                    .header("X-Backend-Replication", "1"),
                post().at(200),
                post().at(201).header("X-Backend-Open-Expired", "true"),
                head().header("X-Backend-Open-Expired", "true"),
                post().at(202).header("X-Backend-Replication", "true").header("X-Delete-At", "1700000150"),
                head().header("X-Backend-Open-Expired", "true"),
                post().at(50),
            ],
        ),
        case(
            60,
            "a POST with a bad expiry",
            [
                stored(),
                post().at(2).header("X-Delete-At", "soon"),
                post().at(2).header("X-Delete-At", "1700000001"),
                post().at(2).header("X-Delete-At", "-1"),
                post().at(2).header("X-Delete-After", "100"),
                post().at(2).header("X-Delete-After", "soon"),
                head(),
            ],
        ),
        case(
            60,
            "POSTs out of order",
            [
                put().at(1).body("x"),
                post().at(5).header("X-Object-Meta-A", "5"),
                post().at(3).header("X-Object-Meta-A", "3"),
                post().at(5).header("X-Object-Meta-A", "5b"),
                post().at(1),
                head(),
                post()
                    .header("X-Timestamp", "1700000005.00000_0000000000000001")
                    .header("X-Object-Meta-A", "off"),
                head(),
                delete().at(4),
                head(),
            ],
        ),
        case(60, "a POST to a tombstone", [delete().at(5), post().at(6), post().at(4)]),
        case(
            60,
            "a POST with a body",
            [
                put().at(1).body("x"),
                post().at(2).body("body").header("X-Object-Meta-A", "1"),
                post().at(3).chunked(&["body"]),
                head(),
            ],
        ),
        case(
            62,
            "a DELETE after a POST",
            [
                put().at(1).body("x"),
                post().at(9).header("X-Object-Meta-A", "1"),
                delete().at(5),
                head(),
                delete().at(10),
            ],
        ),
        case(62, "a DELETE with a body", [put().at(1).body("x"), delete().at(2).body("body"), head()]),
    ]
}

#[test]
fn container_updates() -> Result<()> {
    group(containers()).compare()
}

#[test]
fn expirer_updates() -> Result<()> {
    group(expiry()).compare()
}
