//! Pickles as the Swifts of all ages wrote them.

use md5::{Digest as _, Md5};
use ssync_pickle::Value;

use super::{ours::raw, random::Random};

pub(super) fn md5(body: &str) -> String {
    crate::digest::hex(Md5::new_with_prefix(raw(body)))
}

/// Each byte as the character of its number, in UTF-8: how Python 3 keeps the bytes of a header. Of names the bytes.
fn kept(key: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    let value = if key == "name" { raw(value) } else { value.as_bytes().to_vec() };
    (key.as_bytes().to_vec(), value)
}

pub(super) fn python3(pairs: &[(&str, &str)]) -> Vec<u8> {
    let dict = pairs.iter().map(|(key, value)| kept(key, value));
    ssync_pickle::write(&Value::Dict(dict.map(|(k, v)| (Value::Bytes(k), Value::Bytes(v))).collect()))
}

/// Protocol 2 of Python 2: bytes as they are; with `mixed` some of them as text.
pub(super) fn python2(pairs: &[(&str, &str)], mixed: bool) -> Vec<u8> {
    let mut pickle = b"\x80\x02}q\x00(".to_vec();
    for (index, (key, value)) in pairs.iter().enumerate() {
        binary(&mut pickle, &raw(key));
        match std::str::from_utf8(&raw(value)) {
            Ok(value) if mixed && index % 2 == 1 => {
                pickle.push(b'X');
                pickle.extend_from_slice(&(value.len() as u32).to_le_bytes());
                pickle.extend_from_slice(value.as_bytes());
            }
            _ => binary(&mut pickle, &raw(value)),
        }
    }
    pickle.extend_from_slice(b"u.");
    pickle
}

fn binary(pickle: &mut Vec<u8>, bytes: &[u8]) {
    match u8::try_from(bytes.len()) {
        Ok(length) => pickle.extend_from_slice(&[b'U', length]),
        Err(_) => {
            pickle.push(b'T');
            pickle.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        }
    }
    pickle.extend_from_slice(bytes);
}

/// Protocol 0 of Python 2: lines of text.
pub(super) fn python2_text(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut pickle = b"(dp0\n".to_vec();
    for (key, value) in pairs {
        for part in [key, value] {
            let escaped: String = raw(part)
                .iter()
                .map(|b| match b {
                    b'\\' | b'\'' => format!("\\{}", char::from(*b)),
                    b' '..=b'~' => char::from(*b).to_string(),
                    _ => format!("\\x{b:02x}"),
                })
                .collect();
            pickle.extend_from_slice(format!("S'{escaped}'\n").as_bytes());
        }
        pickle.push(b's');
    }
    pickle.push(b'.');
    pickle
}

/// What may be found in a `hashes.pkl`.
pub(super) fn hashes(random: &mut Random, suffix: &str, coded: bool) -> Vec<u8> {
    const HEX: &str = "0123456789abcdef0123456789abcdef";
    if random.chance(10) {
        return random
            .pick(&[
                &b""[..],
                b"junk",
                b"\x80\x02N.",
                b"\x80\x02].",
                b"\x80\x02}.",
                b"\x80\x02}q\x00(",
                b"cos\nsystem\n.",
            ])
            .to_vec();
    }
    let mut pairs = Vec::new();
    for name in [suffix, "abc", "000"] {
        if random.chance(50) {
            let value = match random.below(4) {
                0 => Value::None,
                _ if coded => {
                    Value::Dict(vec![(Value::None, Value::text(HEX)), (Value::Int(2), Value::text(HEX))])
                }
                _ => Value::text(HEX),
            };
            pairs.push((name, value));
        }
    }
    match random.below(8) {
        0 => pairs.push((random.pick(&["zzz", "ABC", "abcd", "../x", "", "Valid"]), Value::None)),
        1 => pairs.push(("valid", Value::Bool(false))),
        2 => {}
        _ => pairs.push(("valid", Value::Bool(true))),
    }
    if random.chance(70) {
        pairs.push((
            "updated",
            random.pick(&[Value::Float(1_399_999_999.5), Value::Int(-1), Value::Int(1_400_000_000)]),
        ));
    }
    let old = random.chance(20) && !coded;
    if old {
        // Python 2: keys and hashes are bytes.
        let mut pickle = b"\x80\x02}q\x01(".to_vec();
        for (key, value) in pairs {
            binary(&mut pickle, key.as_bytes());
            match value {
                Value::Text(hash) => binary(&mut pickle, &hash),
                Value::Bool(valid) => pickle.push(if valid { 0x88 } else { 0x89 }),
                Value::Float(number) => {
                    pickle.push(b'G');
                    pickle.extend_from_slice(&number.to_be_bytes());
                }
                Value::Int(number) => pickle.extend_from_slice(format!("I{number}\n").as_bytes()),
                _ => pickle.push(b'N'),
            }
        }
        pickle.extend_from_slice(b"u.");
        return pickle;
    }
    let mut pickle =
        ssync_pickle::write(&Value::Dict(pairs.into_iter().map(|(k, v)| (Value::text(k), v)).collect()));
    if random.chance(5) {
        let length = pickle.len() as u64;
        pickle.truncate(random.below(length) as usize);
    }
    pickle
}
