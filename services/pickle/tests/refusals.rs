//! Pickles that nobody should read.

use super::pickle;
use crate::{DEPTH_MAX, ITEMS_MAX, PICKLE_BYTES_MAX, PickleError, Value, read, write};

#[test]
fn refuses_code() {
    for name in ["CODE", "CODE_4"] {
        assert_eq!(read(&pickle(name)), Err(PickleError::Global { name: "posix.system".into() }));
    }
    for global in [
        "os\nsystem\n",
        "builtins\neval\n",
        "__builtin__\ngetattr\n",
        "_codecs\ndecode\n",
        "copyreg\nadd_extension\n",
        "builtins\nobject\n",
    ] {
        let refused = read(format!("c{global}(U\x04truetR.").as_bytes());
        assert!(matches!(refused, Err(PickleError::Global { .. })), "{global:?}: {refused:?}");
    }
    // A long name, with control characters, from a peer: short and plain in the log.
    let named = read(format!("c\x1b[31m{}\nx\n.", "m".repeat(9999)).as_bytes()).unwrap_err().to_string();
    assert!(named.len() < 200 && !named.contains('\x1b'), "{named}");
}

#[test]
fn refuses_other_calls_of_known_globals() {
    let calls: [&[u8]; 7] = [
        b"c_codecs\nencode\n(X\x01\0\0\0aX\x04\0\0\0utf8tR.",
        b"c_codecs\nencode\n(X\x03\0\0\0\xe2\x82\xacX\x06\0\0\0latin1tR.",
        b"c_codecs\nencode\n)R.",
        b"cbuiltins\nbytes\n(K\xfftR.",
        b"ccopyreg\n_reconstructor\n(cbuiltins\ndict\ncbuiltins\ndict\nNtR.",
        b"cbuiltins\nbytes\n)\x81.",
        b"}(X\x01\0\0\0aK\x01db.",
    ];
    for call in calls {
        assert!(
            matches!(read(call), Err(PickleError::Malformed { .. } | PickleError::Value { .. })),
            "{call:?}"
        );
    }
}

#[test]
fn refuses_what_never_ends() {
    let nested = |depth: usize| ["(".repeat(depth), "l".repeat(depth), ".".to_owned()].concat().into_bytes();
    assert!(read(&nested(DEPTH_MAX)).is_ok());
    let too_deep = Err(PickleError::TooMuch { what: "levels of nesting", max: DEPTH_MAX });
    assert_eq!(read(&nested(DEPTH_MAX + 1)), too_deep);
    assert_eq!(read(&nested(100_000)), too_deep);
    assert_eq!(read(&pickle("CYCLE")), too_deep);
}

#[test]
fn refuses_what_costs_too_much() {
    let too_much = |pickle: &[u8]| matches!(read(pickle), Err(PickleError::TooMuch { .. }));
    assert!(too_much(&pickle("LAUGHS")));
    assert!(too_much(&vec![b'N'; PICKLE_BYTES_MAX + 1]));
    assert!(too_much(&vec![b'N'; ITEMS_MAX + 1]));
    assert!(too_much(&vec![b'('; ITEMS_MAX + 1]));
    // One long text a hundred times, as text and as bytes.
    let long = Value::text("x".repeat(1 << 20));
    let mut text = write(&Value::List(vec![long]));
    text.truncate(text.len() - 2);
    assert!(read(&[&text[..], b"a."].concat()).is_ok());
    assert!(too_much(&[&text[..], b"a(", &b"h\x01".repeat(100)[..], b"e."].concat()));
    let call = b"c_codecs\nencode\n(h\x01X\x06\0\0\0latin1tR";
    assert!(read(&[&text[..], b"a(", call, b"e."].concat()).is_ok());
    assert!(too_much(&[&text[..], b"a(", &call.repeat(100)[..], b"e."].concat()));
}

#[test]
fn refuses_every_truncation() {
    for name in
        ["METADATA", "HASHES", "EC_HASHES", "INTEGERS", "SHAPES", "TEXTS", "UPDATE_0", "UPDATE_2", "UPDATE_4"]
    {
        let whole = pickle(name);
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{name} cut to {length}");
        }
    }
}

/// Python reads the first two otherwise, and none of the rest.
#[test]
fn refuses_numbers_that_python_does_not_write() {
    for number in ["I+1", "I010", "I-0", "I1L", "L010L", "L", "I"] {
        assert!(read(format!("{number}\n.").as_bytes()).is_err(), "{number}");
    }
    assert_eq!(read(b"L-10L\n.").unwrap(), Value::Int(-10));
}

/// One flipped bit makes them of a good pickle; Python refuses them, and Swift then takes nothing for known.
#[test]
fn refuses_unknown_protocols_and_frames_beyond_the_end() {
    assert!(read(b"\x80\x05N.").is_ok());
    assert!(matches!(read(b"\x80\x06N."), Err(PickleError::Malformed { at: 0, .. })));
    assert!(read(b"\x80\x04\x95\x02\0\0\0\0\0\0\0N.").is_ok());
    for length in [3, u64::MAX] {
        let pickle = [&b"\x80\x04\x95"[..], &length.to_le_bytes(), b"N."].concat();
        assert_eq!(read(&pickle), Err(PickleError::Truncated { at: 13 }));
    }
}

#[test]
fn refuses_what_is_not_in_order() {
    let broken: [&[u8]; 16] = [
        b".",
        b"(.",
        b"K\x01(.",
        b"0N.",
        b"(K\x01d.",
        b"}K\x01s.",
        b"K\x01a.",
        b"K\x01K\x02a.",
        b"]]a}(u\x85e.",
        b"}]Ns.",
        b"h\x00.",
        b"q\x00N.",
        b"gx\n.",
        b"I1 2\n.",
        b"\x8a\x09\0\0\0\0\0\0\0\0\x01.",
        b"X\x01\0\0\0\xff.",
    ];
    for pickle in broken {
        assert!(read(pickle).is_err(), "{:?}", String::from_utf8_lossy(pickle));
    }
    assert_eq!(read(b"\x90."), Err(PickleError::Opcode { opcode: 0x90, at: 0 }));
    assert_eq!(
        read(b"cbuiltins\ndict\n."),
        Err(PickleError::Value { problem: "a global stands where a value should" })
    );
}
