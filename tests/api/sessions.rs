//! SSYNC beyond single requests: fragments beside other fragments, a sender that is slow or goes away, a full node.

use std::time::Duration;

use anyhow::Result;

use crate::{
    case::{Case, case},
    compare::group,
    step::{Move, Place, Step, Talk, chunk, delete, get, post, put, raw, request, say},
};

const HEAD: &str = "SSYNC /sdb1/{part} HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\n";
const END: &str = "0\r\n\r\n";
const OFFERS: &str = ":MISSING_CHECK: START\r\n";
const OFFERED: &str = ":MISSING_CHECK: END\r\n";
const UPDATES: &str = ":UPDATES: START\r\n";
const UPDATED: &str = ":UPDATES: END\r\n";

fn says(head: &str, chunks: &[&str], end: &str) -> Vec<Talk> {
    let talks = [say(format!("{HEAD}{head}\r\n"))].into_iter();
    talks.chain(chunks.iter().map(|text| chunk(*text))).chain([say(end)]).collect()
}

/// A session about one fragment of policy 2.
fn of_fragment(index: Option<u8>, chunks: &[&str]) -> Step {
    let index = index.map_or(String::new(), |index| format!("X-Backend-Ssync-Frag-Index: {index}\r\n"));
    raw(says(&format!("X-Backend-Storage-Policy-Index: 2\r\n{index}"), chunks, END)
        .into_iter()
        .chain([Talk::Do(Move::Finish)]))
}

fn offer(index: Option<u8>, line: &str) -> Step {
    of_fragment(index, &[OFFERS, &format!("{{hash}} {line}\r\n"), OFFERED, UPDATES, UPDATED])
}

fn update(index: Option<u8>, requests: &[&str]) -> Step {
    of_fragment(index, &[&[OFFERS, OFFERED, UPDATES], requests, &[UPDATED]].concat())
}

fn fragment(index: u8, second: u8, more: &str) -> String {
    format!(
        "PUT {{path}}\r\nContent-Length: 4\r\nContent-Type: a/b\r\nX-Object-Sysmeta-Ec-Frag-Index: {index}\r\n\
         X-Object-Sysmeta-Ec-Etag: 00\r\nX-Timestamp: 17000000{second:02}.00000\r\n{more}\r\nfrag"
    )
}

const PENDING: &str = "X-Backend-No-Commit: True\r\n";

/// Durable of index 0 at 5, pending of index 1 at 7.
fn mixed() -> Vec<Step> {
    vec![update(Some(0), &[&fragment(0, 5, "")]), update(Some(1), &[&fragment(1, 7, PENDING)])]
}

fn hashes() -> Step {
    request("REPLICATE").target("/sdb1/{part}").header("Content-Length", "0").policy("2").pickled()
}

fn in_coded_policy(name: &str, before: Vec<Step>, steps: Vec<Step>) -> Case {
    case(118, name, before.into_iter().chain(steps).chain([hashes()]))
}

fn fragments_offered() -> Vec<Case> {
    let ec = in_coded_policy;
    let tombstone = || delete().at(6).policy("2");
    let mut cases = Vec::new();
    for index in [None, Some(0), Some(1), Some(2)] {
        for line in [
            "1700000004.00000",
            "1700000005.00000",
            "1700000006.00000",
            "1700000007.00000",
            "1700000008.00000",
            "1700000007.00000 durable:False",
            "1700000008.00000 durable:False",
            "1700000005.00000 m:186a0",
            "1700000007.00000 m:186a0",
            "1700000007.00000 m:186a0,durable:False",
        ] {
            let name = format!("{line} of {index:?} is offered");
            cases.push(ec(&format!("{name} to two fragments"), mixed(), vec![offer(index, line)]));
            cases.push(ec(
                &format!("{name} to a fragment with metadata"),
                vec![update(Some(0), &[&fragment(0, 5, "")]), post().at(6).policy("2")],
                vec![offer(index, line)],
            ));
            cases.push(ec(
                &format!("{name} to a fragment beside a tombstone"),
                vec![update(Some(1), &[&fragment(1, 7, PENDING)]), tombstone()],
                vec![offer(index, line)],
            ));
        }
    }
    cases
}

fn fragments_sent() -> Vec<Case> {
    let ec = in_coded_policy;
    let tombstone = || delete().at(6).policy("2");
    let mut cases = Vec::new();
    for index in [None, Some(0), Some(1), Some(2)] {
        let name = |what: &str| format!("{what} in a session of {index:?}");
        for (second, more) in [(4, ""), (5, ""), (7, ""), (8, ""), (7, PENDING), (8, PENDING)] {
            let kind = if more.is_empty() { "a fragment" } else { "a pending fragment" };
            for own in [0, 1, 2] {
                let what = name(&format!("{kind} {own} of {second}"));
                cases.push(ec(&what, mixed(), vec![update(index, &[&fragment(own, second, more)])]));
            }
        }
        for second in [4, 6, 9] {
            let delete = format!("DELETE {{path}}\r\nX-Timestamp: 170000000{second}.00000\r\n\r\n");
            let posted = format!(
                "POST {{path}}\r\nX-Timestamp: 170000000{second}.00000\r\nX-Object-Meta-B: 2\r\n\r\n"
            );
            cases.push(ec(&name(&format!("DELETE of {second}")), mixed(), vec![update(index, &[&delete])]));
            cases.push(ec(&name(&format!("POST of {second}")), mixed(), vec![update(index, &[&posted])]));
            cases.push(ec(
                &name(&format!("DELETE of {second} beside a tombstone")),
                vec![tombstone()],
                vec![update(index, &[&delete])],
            ));
        }
    }
    let unnamed =
        "PUT {path}\r\nContent-Length: 4\r\nContent-Type: a/b\r\nX-Timestamp: 1700000005.00000\r\n\r\nfrag";
    cases.extend([
        ec("a fragment that does not say which", vec![], vec![update(Some(1), &[unnamed])]),
        ec("a fragment of which nobody says which", vec![], vec![update(None, &[unnamed])]),
        ec("a fragment beyond the policy", vec![], vec![update(Some(1), &[&fragment(7, 5, "")])]),
        ec(
            "a mark in a file of its own",
            mixed(),
            vec![offer(Some(1), "1700000007.00000 durable:False").after(mark_by_file)],
        ),
        ec("a fragment twice", vec![], vec![update(Some(1), &[&fragment(1, 5, ""), &fragment(1, 5, "")])]),
        ec(
            "a fragment twice, then durable",
            vec![],
            vec![update(Some(1), &[&fragment(1, 5, PENDING), &fragment(1, 5, PENDING), &fragment(1, 5, "")])],
        ),
        ec(
            "offered twice",
            mixed(),
            vec![of_fragment(
                Some(1),
                &[
                    OFFERS,
                    "{hash} 1700000007.00000\r\n",
                    "{hash} 1700000007.00000\r\n",
                    OFFERED,
                    UPDATES,
                    UPDATED,
                ],
            )],
        ),
    ]);
    cases
}

fn mark_by_file(place: &Place) {
    let home = place.object.display().to_string().replace("/objects/", "/objects-2/");
    std::fs::write(format!("{home}/1700000007.00000.durable"), b"").expect("the object's folder");
}

/// `client_timeout` is one second.
fn slow() -> Vec<Case> {
    let pause = || Talk::Do(Move::Pause(Duration::from_millis(1800)));
    let stops = |name: &str, chunks: &[&str], end: &str| {
        case(114, format!("silence {name}"), [raw(says("", chunks, end).into_iter().chain([pause()])), get()])
    };
    let put_head =
        "PUT {path}\r\nContent-Length: 5\r\nContent-Type: a/b\r\nX-Timestamp: 1700000005.00000\r\n";
    let (whole_head, half) = (format!("{put_head}\r\n"), format!("{put_head}\r\nhe"));
    vec![
        stops("at once", &[], ""),
        stops("within a line", &[OFFERS, "{hash} 17000"], ""),
        stops("among offers", &[OFFERS, "{hash} 1700000005.00000\r\n"], ""),
        stops("before the updates", &[OFFERS, OFFERED], ""),
        stops("among updates", &[OFFERS, OFFERED, UPDATES], ""),
        stops("among headers", &[OFFERS, OFFERED, UPDATES, put_head], ""),
        stops("before a body", &[OFFERS, OFFERED, UPDATES, &whole_head], ""),
        stops("within a body", &[OFFERS, OFFERED, UPDATES, &half], ""),
        stops("within a chunk", &[OFFERS, OFFERED, UPDATES], "40\r\nPUT"),
        stops("after a good update", &[OFFERS, OFFERED, UPDATES, &format!("{whole_head}hello")], ""),
    ]
}

fn breaks() -> Vec<Case> {
    let stops = |name: &str, chunks: &[&str], end: &str| {
        let finish = Talk::Do(Move::Finish);
        case(115, format!("cut off {name}"), [raw(says("", chunks, end).into_iter().chain([finish])), get()])
    };
    let head =
        "PUT {path}\r\nContent-Length: 5\r\nContent-Type: a/b\r\nX-Timestamp: 1700000005.00000\r\n\r\n";
    let (whole, half) = (format!("{head}hello"), format!("{head}he"));
    let bad = "POST {path}\r\nX-Timestamp: bad\r\n\r\n";
    vec![
        stops("at once", &[], ""),
        stops("among offers", &[OFFERS, "{hash} 1700000005.00000\r\n"], ""),
        stops("within a body", &[OFFERS, OFFERED, UPDATES, &half], ""),
        stops("within a body that ends", &[OFFERS, OFFERED, UPDATES, &half], END),
        stops("within a chunk", &[OFFERS, OFFERED, UPDATES], "40\r\nPUT"),
        stops("by a bad chunk", &[OFFERS], "zz\r\n"),
        stops("by a bad chunk in a body", &[OFFERS, OFFERED, UPDATES, &half], "zz\r\nllo"),
        stops(
            "after a bad chunk that looks like an update",
            &[OFFERS, OFFERED, UPDATES, &half],
            "zz\r\nDELETE {path}\r\n",
        ),
        case(
            115,
            "what follows a good session",
            [raw(says("", &[OFFERS, OFFERED, UPDATES, &whole, UPDATED, "more\r\n"], END)
                .into_iter()
                .chain([say("GET /healthcheck HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")]))],
        ),
        case(
            115,
            "what follows a session that failed",
            [raw(says("", &[OFFERS, OFFERED, UPDATES, bad, UPDATED], END)
                .into_iter()
                .chain([say("GET /healthcheck HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")]))],
        ),
        case(
            115,
            "Connection: close",
            [raw(says("Connection: close\r\n", &[OFFERS, OFFERED, UPDATES, UPDATED], END))],
        ),
        case(
            115,
            "Expect: 100-continue",
            [raw(says("Expect: 100-continue\r\n", &[OFFERS, OFFERED, UPDATES, UPDATED], END)
                .into_iter()
                .chain([Talk::Do(Move::Finish)]))],
        ),
        case(
            115,
            "a header of another case",
            [raw(says("x-backend-storage-policy-index: 1\r\n", &[OFFERS, OFFERED, UPDATES, UPDATED], END)
                .into_iter()
                .chain([Talk::Do(Move::Finish)]))],
        ),
        case(
            116,
            "the sender reads nothing before it has said all",
            [
                put().at(3).body("old"),
                raw(says(
                    "",
                    &[
                        &[OFFERS],
                        &["{hash} 1700000005.00000\r\n"; 3000][..],
                        &[OFFERED, UPDATES, &whole, UPDATED],
                    ]
                    .concat(),
                    END,
                )
                .into_iter()
                .chain([Talk::Do(Move::Finish)])),
                get(),
            ],
        ),
    ]
}

#[test]
fn that_offer_fragments() -> Result<()> {
    group(fragments_offered()).compare()
}

#[test]
fn that_send_fragments() -> Result<()> {
    group(fragments_sent()).compare()
}

#[test]
fn of_slow_senders() -> Result<()> {
    group(slow()).setting("app:object-server", "client_timeout", "1").compare()
}

#[test]
fn that_break_off() -> Result<()> {
    group(breaks()).compare()
}

/// No slot is free where there is none.
#[test]
fn of_a_full_node() -> Result<()> {
    let whole = says("", &[OFFERS, OFFERED, UPDATES, UPDATED], END);
    let held = raw(whole.into_iter().chain([Talk::Do(Move::Finish)])).after(hold_partition);
    group([case(114, "a partition that somebody holds", [put().at(1).body("x"), held])])
        .setting("app:object-server", "replication_lock_timeout", "1")
        .compare()
}

/// Holds the partition's lock for longer than a session waits for it.
fn hold_partition(place: &Place) {
    const HELD: Duration = Duration::from_millis(2500);
    let partition = place.object.ancestors().nth(2).expect("a partition");
    let lock = std::fs::File::create(partition.join(".lock-replication")).expect("a lock file");
    lock.lock().expect("nobody else");
    std::thread::spawn(move || {
        std::thread::sleep(HELD);
        drop(lock);
    });
}
