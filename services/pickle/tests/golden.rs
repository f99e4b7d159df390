//! Pickles of CPython.

use super::{dict, pickle};
use crate::{Value, read, write, written_by_python3};

fn metadata() -> Value {
    let pairs = [
        ("X-Timestamp", "1380144470.00000"),
        ("name", "/a/c/o\u{e8}"),
        ("X-Object-Meta-E", ""),
        ("X-Object-Meta-F", ""),
    ];
    Value::Dict(pairs.into_iter().map(|(key, value)| (Value::bytes(key), Value::bytes(value))).collect())
}

/// Python has each string of one byte only once.
fn singles() -> Value {
    let pairs = [("X-A", "v"), ("X-B", "v"), ("w", "w"), ("X-C", "vv"), ("X-D", "vv")];
    Value::Dict(pairs.into_iter().map(|(key, value)| (Value::bytes(key), Value::bytes(value))).collect())
}

fn hashes() -> Value {
    dict([
        ("000", Value::text("d41d8cd98f00b204e9800998ecf8427e")),
        ("abc", Value::None),
        ("valid", Value::Bool(true)),
        ("updated", Value::Float(1_380_144_470.25)),
    ])
}

fn fragment_hashes() -> Value {
    let fragments = vec![(Value::None, Value::text("aa")), (Value::Int(2), Value::text("bb"))];
    dict([("07b", Value::Dict(fragments)), ("updated", Value::Int(-1)), ("valid", Value::Bool(false))])
}

fn integers() -> Value {
    let (int, edge) = (i64::from(i32::MIN), 1 << 31);
    let all = [1, -1, 255, 256, 65535, 65536, edge, int, int - 1, i64::MAX, i64::MIN, 128, -128];
    Value::List(all.map(Value::Int).to_vec())
}

fn shapes() -> Value {
    let upto = |n: i64| Value::Tuple((1..=n).map(Value::Int).collect());
    let pair = |key, value| (Value::Int(key), value);
    let inner = Value::Dict(vec![pair(2, Value::Int(3))]);
    let mut all: Vec<Value> = (0..=4).map(upto).collect();
    all.extend([
        Value::List(vec![]),
        Value::List(vec![Value::Int(1)]),
        Value::Dict(vec![]),
        Value::Dict(vec![pair(1, inner), pair(3, Value::Int(4))]),
    ]);
    Value::List(all)
}

fn texts() -> Value {
    let lone = Value::Text(b"\xed\xb2\x80".to_vec());
    Value::List([lone].into_iter().chain(["a", "", "\u{20ac}", "\u{1f600}"].map(Value::text)).collect())
}

#[test]
fn reads_and_writes_what_python_writes() {
    let goldens = [
        ("METADATA", metadata()),
        ("SINGLES", singles()),
        ("HASHES", hashes()),
        ("EC_HASHES", fragment_hashes()),
        ("INTEGERS", integers()),
        ("SHAPES", shapes()),
        ("TEXTS", texts()),
    ];
    for (name, value) in goldens {
        assert_eq!(read(&pickle(name)).unwrap(), value, "{name}");
        assert_eq!(write(&value), pickle(name), "{name}");
    }
    assert_eq!(write(&Value::None), b"\x80\x02N.");
    assert_eq!(write(&dict([])), b"\x80\x02}q\x00.");
}

#[test]
fn reads_every_protocol() {
    let update = dict([
        ("op", Value::text("PUT")),
        ("headers", dict([("X-Size", Value::text("1"))])),
        ("b", Value::bytes(*b"abc\xff")),
        ("e", Value::bytes("")),
        ("t", Value::Bool(true)),
        ("u", Value::text("\u{20ac}\\x\n")),
        ("f", Value::Float(1.5)),
        ("i", Value::Int(5)),
        ("l", Value::Int(1 << 40)),
        ("n", Value::None),
        ("x", Value::Tuple(vec![Value::Int(1), Value::List(vec![Value::Int(2)])])),
    ]);
    for protocol in 0..=5 {
        assert_eq!(read(&pickle(&format!("UPDATE_{protocol}"))).unwrap(), update, "protocol {protocol}");
    }
}

/// As Python 2 wrote them: its `str` is bytes, and instances of a dict subclass go through `_reconstructor`.
#[test]
fn reads_python_2() {
    let expected = Value::Dict(vec![
        (Value::bytes("X-Timestamp"), Value::bytes("1.5")),
        (Value::bytes("name"), Value::bytes("/a/c/o\u{e8}")),
    ]);
    let text = b"(dp1\nS'X-Timestamp'\np2\nS'1.5'\np3\nsS'name'\np4\nS'/a/c/o\\xc3\\xa8'\np5\ns.";
    let binary =
        b"\x80\x02}q\x01(U\x0bX-Timestampq\x02U\x031.5q\x03U\x04nameq\x04T\x08\0\0\0/a/c/o\xc3\xa8q\x05u.";
    assert_eq!(read(text).unwrap(), expected);
    assert_eq!(read(binary).unwrap(), expected);
    assert_eq!(read(b"L-5L\n.").unwrap(), Value::Int(-5));
    assert_eq!(read(b"(I00\nF-1e5\nl.").unwrap(), Value::List(vec![Value::Bool(false), Value::Float(-1e5)]));
}

#[test]
fn tells_python_3_by_the_first_32_bytes() {
    assert!(written_by_python3(&pickle("METADATA")));
    assert!(!written_by_python3(&pickle("HASHES")));
    assert!(!written_by_python3(b""));
    let late = [&[b' '; 19][..], b"_codecs\nencode\n"].concat();
    assert!(!written_by_python3(&late));
    assert!(written_by_python3(&late[1..]));
}

/// A value that stands twice is one object in Python, and changes of it after it was noted are seen by both.
#[test]
fn reads_shared_values() {
    let inner = dict([("k", Value::Int(1))]);
    assert_eq!(read(&pickle("SHARED")).unwrap(), Value::List(vec![inner.clone(), inner]));
}

#[test]
fn batches_as_python_does() {
    let numbers =
        |count: usize| Value::Dict((0..count).map(|n| (Value::Int(n as i64), Value::None)).collect());
    assert!(write(&numbers(999)).ends_with(b"\x4d\xe6\x03Nu."));
    assert!(write(&numbers(1000)).ends_with(b"\x4d\xe7\x03Nu(u."));
    assert!(write(&numbers(1001)).ends_with(b"\x4d\xe7\x03Nu(\x4d\xe8\x03Nu."));
    assert!(write(&Value::List(vec![Value::None; 1000])).ends_with(b"NNe."));
    assert!(write(&Value::List(vec![Value::None; 1001])).ends_with(b"Ne(Ne."));
    for count in [999, 1000, 1001, 2000] {
        assert_eq!(read(&write(&numbers(count))).unwrap(), numbers(count));
    }
}

/// More than 256 values in the memo need its long form.
#[test]
fn round_trips_many_values() {
    let key = |n| Value::bytes(format!("X-Object-Meta-{n}"));
    let many = Value::Dict((0..300).map(|n| (key(n), Value::bytes(vec![0, 0xff, n as u8]))).collect());
    assert_eq!(read(&write(&many)).unwrap(), many);
}
