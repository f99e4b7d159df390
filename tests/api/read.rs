//! GET and HEAD: conditions, ranges, what is asked of metadata.

use anyhow::Result;

use crate::{
    case::{Case, case},
    compare::group,
    step::{Step, delete, get, head, post, put},
};

const BODY: &str = "0123456789abcdefghijklmnopqrstuvwxyz";
const ETAG: &str = "e9b1713db620f1e3a14b6812de523f4b";

fn stored() -> Step {
    put().at(1).body(BODY).header("X-Object-Meta-Foo", "bar").header("X-Object-Sysmeta-Other-Etag", "other")
}

fn each(row: u8, header: &'static str, values: &[&str]) -> Vec<Case> {
    let cases = values.iter().enumerate().map(|(number, value)| {
        let name = format!("{header}: {} ({number})", value.get(..60).unwrap_or(value));
        case(row, name, [stored(), get().header(header, value), head().header(header, value)])
    });
    cases.collect()
}

fn conditions() -> Vec<Case> {
    let dates = [
        "Tue, 14 Nov 2023 22:13:20 GMT",
        "Tue, 14 Nov 2023 22:13:21 GMT",
        "Tue, 14 Nov 2023 22:13:22 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Wed, 31 Dec 1969 23:59:59 GMT",
        "Not a date",
        "",
        "Tuesday, 14-Nov-23 22:13:21 GMT",
        "Tue Nov 14 22:13:21 2023",
        "1700000001",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Sat, 29 Oct 1000 19:43:31 GMT",
        "Tue, 14 Nov 2023 23:13:21 +0100",
        "14 Nov 2023 22:13:21 GMT",
        "Tue, 14 Nov 2023 22:13:21",
    ];
    let quoted = format!("\"{ETAG}\"");
    let list = format!("\"a\", \"{ETAG}\"");
    let weak = format!("W/\"{ETAG}\"");
    let bare = format!("a,{ETAG}");
    let tags = [ETAG, &quoted, &list, &weak, &bare, "*", "\"*\"", "nothing", "\"nothing\"", "", "\"", ","];
    let mut cases = [
        each(56, "If-Modified-Since", &dates),
        each(56, "If-Unmodified-Since", &dates),
        each(56, "If-Match", &tags),
        each(56, "If-None-Match", &tags),
    ]
    .concat();
    let early = "Tue, 14 Nov 2023 22:13:20 GMT";
    cases.extend([
        case(
            56,
            "conditions on nothing",
            [
                get().header("If-Match", "*"),
                get().header("If-None-Match", "*"),
                head().header("If-Match", "x"),
                get().header("If-Modified-Since", early),
                delete().at(5),
                get().header("If-Match", "*"),
                head().header("If-Unmodified-Since", early),
            ],
        ),
        case(
            56,
            "conditions together",
            [
                stored(),
                get().header("If-Match", "no").header("If-None-Match", ETAG),
                get().header("If-Match", ETAG).header("If-None-Match", ETAG),
                get().header("If-Match", ETAG).header("If-Unmodified-Since", early),
                get()
                    .header("If-None-Match", "no")
                    .header("If-Modified-Since", "Tue, 14 Nov 2023 23:13:20 GMT"),
                get().header("If-None-Match", ETAG).header("Range", "bytes=0-1"),
                get().header("If-Match", "no").header("Range", "bytes=99-"),
                get().header("If-Modified-Since", early).header("Range", "bytes=2-4"),
                get().header("If-Range", "nothing").header("Range", "bytes=2-4"),
            ],
        ),
        case(
            68,
            "an etag that is elsewhere",
            [
                stored(),
                get()
                    .header("If-Match", "other")
                    .header("X-Backend-Etag-Is-At", "X-Object-Sysmeta-Other-Etag"),
                get().header("If-Match", ETAG).header("X-Backend-Etag-Is-At", "X-Object-Sysmeta-Other-Etag"),
                get()
                    .header("If-None-Match", "other")
                    .header("X-Backend-Etag-Is-At", "x-object-sysmeta-none, x-object-sysmeta-other-etag"),
                head()
                    .header("If-None-Match", "\"other\"")
                    .header("X-Backend-Etag-Is-At", "X-Object-Sysmeta-Other-Etag"),
                get().header("If-Match", ETAG).header("X-Backend-Etag-Is-At", "X-Object-Sysmeta-None"),
                get().header("If-Match", "bar").header("X-Backend-Etag-Is-At", "X-Object-Meta-Foo"),
                get().header("If-Match", ETAG).header("X-Backend-Etag-Is-At", ""),
            ],
        ),
        case(
            69,
            "a range that metadata forbid",
            [
                stored(),
                get()
                    .header("Range", "bytes=0-3")
                    .header("X-Backend-Ignore-Range-If-Metadata-Present", "X-Object-Meta-Foo"),
                get()
                    .header("Range", "bytes=0-3")
                    .header("X-Backend-Ignore-Range-If-Metadata-Present", "X-None, x-object-meta-foo"),
                get()
                    .header("Range", "bytes=0-3")
                    .header("X-Backend-Ignore-Range-If-Metadata-Present", "X-None"),
                get()
                    .header("Range", "bytes=99-")
                    .header("X-Backend-Ignore-Range-If-Metadata-Present", "X-Object-Meta-Foo"),
                get()
                    .header("Range", "bytes=0-3")
                    .header("X-Backend-Ignore-Range-If-Metadata-Present", "Content-Type"),
            ],
        ),
        case(
            70,
            "timestamps of data and metadata",
            [
                stored(),
                get(),
                post().at(9).header("X-Object-Meta-New", "1"),
                get(),
                head(),
                delete().at(20),
                get(),
                head(),
                get().header("X-Timestamp", "1700000001"),
            ],
        ),
        case(
            70,
            "fragment preferences of a replicated object",
            [
                stored(),
                get().header("X-Backend-Fragment-Preferences", "[]"),
                get().header("X-Backend-Fragment-Preferences", "not json"),
            ],
        ),
        case(
            71,
            "an expired object",
            [
                put()
                    .at(1)
                    .body("x")
                    .header("X-Delete-At", "1700000100")
                    .header("X-Backend-Replication", "1"),
                get(),
                head(),
                get().header("X-Timestamp", "1700000099"),
                get().header("X-Timestamp", "1700000100"),
                get().header("X-Timestamp", "1700000101"),
                get().header("X-Backend-Open-Expired", "true"),
                get().header("X-Backend-Open-Expired", "no"),
                head().header("X-Backend-Open-Expired", "on"),
                get().header("X-Backend-Replication", "yes"),
                get().header("X-Timestamp", "bad").header("X-Backend-Open-Expired", "true"),
            ],
        ),
    ]);
    cases
}

fn ranges() -> Vec<Case> {
    let many = |count: usize| {
        format!("bytes={}", (0..count).map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(","))
    };
    let overlapping = |count: usize| format!("bytes={}", vec!["0-5"; count].join(","));
    let descending = |count: usize| {
        format!("bytes={}", (0..count).rev().map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(","))
    };
    let (fifty, fifty_one) = (many(36), many(51));
    let (two, three, four) = (overlapping(2), overlapping(3), overlapping(4));
    let (seven, eight, nine) = (descending(7), descending(8), descending(9));
    let single = [
        "bytes=0-0",
        "bytes=0-9",
        "bytes=10-",
        "bytes=-5",
        "bytes=-0",
        "bytes=-100",
        "bytes=35-35",
        "bytes=36-",
        "bytes=35-99",
        "bytes=99-100",
        "bytes=0-35",
        "bytes=5-3",
        "bytes=",
        "bytes",
        "bytes=-",
        "bytes=a-b",
        "bytes=1-b",
        "bytes=1.0-2",
        "bytes=--1",
        "bytes=1-2-3",
        "bytes= 1-2",
        "bytes=1 - 2",
        "bytes=1-2 ",
        "Bytes=0-1",
        "BYTES=0-1",
        " bytes=0-1",
        "bytes =0-1",
        "items=0-1",
        "0-1",
        "bytes=99999999999999999999-",
        "bytes=0-99999999999999999999",
        "bytes=-99999999999999999999",
        "bytes=+1-+2",
        "bytes=0x1-0x2",
        "bytes=1_0-2_0",
        "bytes:0-1",
        "",
        "bytes=0-1;x",
        "bytes=\u{661}-\u{662}",
    ];
    let multiple = [
        "bytes=0-1,3-4",
        "bytes=0-1, 3-4 , 6-",
        "bytes=0-1,,3-4",
        "bytes=,0-1",
        "bytes=0-1,",
        "bytes=0-1,99-",
        "bytes=99-,98-",
        "bytes=5-3,0-1",
        "bytes=a-b,0-1",
        "bytes=-1,-2",
        "bytes=-5,0-",
        "bytes=0-1,-0",
        "bytes=-0,-0",
        "bytes=0-1,0-1",
        "bytes=3-4,0-1",
        &fifty,
        &fifty_one,
        &two,
        &three,
        &four,
        &seven,
        &eight,
        &nine,
        "bytes=0-0,2-2,4-4,1-1,3-3",
        "bytes=0-9,5-14,10-19",
        "bytes=0-9,5-14,10-19,15-24",
        "bytes=0-35,0-35",
    ];
    let mut cases = [each(57, "Range", &single), each(58, "Range", &multiple)].concat();
    let big: String = (0..100_000).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    cases.extend([
        case(
            57,
            "ranges of nothing",
            [
                put().at(1),
                get().header("Range", "bytes=0-0"),
                get().header("Range", "bytes=0-"),
                get().header("Range", "bytes=-5"),
                get().header("Range", "bytes=-0"),
                get().header("Range", "bytes=1-2,3-4"),
                get().header("Range", "bytes=-1,-2"),
                head().header("Range", "bytes=0-"),
            ],
        ),
        case(
            57,
            "a range of what is not there",
            [get().header("Range", "bytes=0-1"), head().header("Range", "bytes=0-1")],
        ),
        case(
            57,
            "a range twice",
            [
                stored(),
                get().header("Range", "bytes=0-1").and("Range", "3-4"),
                get().header("Range", "bytes=0-1").and("Range", "bytes=3-4"),
            ],
        ),
        case(
            57,
            "ranges of a large object",
            [
                put().at(1).body(&big),
                get(),
                get().header("Range", "bytes=65530-65540"),
                get().header("Range", "bytes=0-65535"),
                get().header("Range", "bytes=65536-"),
                get().header("Range", "bytes=10-20,65530-65540,99999-"),
                get().header("Range", "bytes=-1"),
                get().header("Range", "bytes=0-99999"),
            ],
        ),
        case(
            58,
            "the type of parts",
            [
                put()
                    .at(1)
                    .body(BODY)
                    .header("Content-Type", "text/plain; charset=\u{fc}")
                    .header("X-Object-Meta-A", "1"),
                get().header("Range", "bytes=0-1,4-5"),
                head().header("Range", "bytes=0-1,4-5"),
            ],
        ),
    ]);
    cases
}

fn damaged() -> Vec<Case> {
    let file = || put().at(1).body(BODY);
    let truncate: crate::step::Deed = |place| std::fs::write(place.file(".data"), b"").expect("a file");
    let shorten: crate::step::Deed = |place| {
        let file = std::fs::File::options().write(true).open(place.file(".data")).expect("a file");
        file.set_len(10).expect("a shorter file");
    };
    let flip: crate::step::Deed = |place| {
        use std::os::unix::fs::FileExt as _;
        let file = std::fs::File::options().write(true).open(place.file(".data")).expect("a file");
        file.write_all_at(b"X", 3).expect("another byte");
    };
    let bare: crate::step::Deed = |place| {
        rustix::fs::removexattr(place.file(".data"), "user.swift.metadata").expect("no metadata");
    };
    let junk: crate::step::Deed = |place| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(place.file(".data"), "user.swift.metadata", b"junk", flags)
            .expect("other metadata");
    };
    let meta_bare: crate::step::Deed = |place| {
        rustix::fs::removexattr(place.file(".meta"), "user.swift.metadata").expect("no metadata");
    };
    let mut cases = Vec::new();
    let ways: [(&str, crate::step::Deed); 5] = [
        ("is empty", truncate),
        ("is too short", shorten),
        ("is another", flip),
        ("has no metadata", bare),
        ("has bad metadata", junk),
    ];
    for (how, deed) in ways {
        cases.push(case(56, format!("a GET of what {how}"), [file(), get().after(deed), get(), head()]));
        cases.push(case(59, format!("a HEAD of what {how}"), [file(), head().after(deed), head()]));
        cases.push(case(
            60,
            format!("a POST to what {how}"),
            [file(), post().at(2).header("X-Object-Meta-A", "1").after(deed), head()],
        ));
        cases.push(case(62, format!("a DELETE of what {how}"), [file(), delete().at(2).after(deed), head()]));
        cases.push(case(
            51,
            format!("a PUT over what {how}"),
            [file(), put().at(2).body("new").after(deed), get()],
        ));
        cases.push(case(
            57,
            format!("a range of what {how}"),
            [file(), get().header("Range", "bytes=0-1").after(deed), get()],
        ));
    }
    let posted = || [file(), post().at(2).header("X-Object-Meta-A", "1")];
    for step in [get(), head(), post().at(3), delete().at(3), put().at(3).body("y")] {
        let steps = [posted().as_slice(), &[step.after(meta_bare), head()]].concat();
        cases.push(case(56, format!("a .meta without metadata ({})", cases.len()), steps));
    }
    cases
}

#[test]
fn conditional() -> Result<()> {
    group(conditions()).compare()
}

#[test]
fn ranged() -> Result<()> {
    group(ranges()).compare()
}

#[test]
fn in_quarantine() -> Result<()> {
    group(damaged()).compare()
}
