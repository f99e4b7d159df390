//! Writes pickles of protocol 0, in which Swift keeps what its own daemons read back: pending updates.
//!
//! Nothing is put into the memo, since no value is written twice. Python's pickler does, and its reader does not mind.

use crate::{Value, opcode as op};

/// The pickle of a value, in protocol 0.
#[must_use]
pub fn write_text(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out, value);
    out.push(op::STOP);
    out
}

fn push(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::None => out.push(op::NONE),
        Value::Bool(truth) => line(out, op::INT, if *truth { "01" } else { "00" }),
        Value::Int(number) => line(out, op::INT, &number.to_string()),
        Value::Float(number) => line(out, op::FLOAT, &format!("{number:?}")),
        Value::Bytes(bytes) => {
            line(out, op::GLOBAL, "_codecs\nencode");
            let arguments = [Value::characters(bytes), Value::text("latin1")];
            push(out, &Value::Tuple(arguments.to_vec()));
            out.push(op::REDUCE);
        }
        Value::Text(text) => unicode(out, text),
        Value::List(items) => {
            out.extend_from_slice(&[op::MARK, op::LIST]);
            for item in items {
                push(out, item);
                out.push(op::APPEND);
            }
        }
        Value::Tuple(items) => {
            out.push(op::MARK);
            items.iter().for_each(|item| push(out, item));
            out.push(op::TUPLE);
        }
        Value::Dict(pairs) => {
            out.extend_from_slice(&[op::MARK, op::DICT]);
            for (key, value) in pairs {
                push(out, key);
                push(out, value);
                out.push(op::SETITEM);
            }
        }
    }
}

fn line(out: &mut Vec<u8>, opcode: u8, text: &str) {
    out.push(opcode);
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

/// Latin-1 with escapes (Python's raw-unicode-escape, and what pickle escapes on top of it).
fn unicode(out: &mut Vec<u8>, text: &[u8]) {
    out.push(op::UNICODE);
    let mut rest = text;
    while !rest.is_empty() {
        let (valid, after) = match std::str::from_utf8(rest) {
            Ok(valid) => (valid, &[][..]),
            Err(error) => {
                let (valid, after) = rest.split_at(error.valid_up_to());
                (std::str::from_utf8(valid).unwrap_or_default(), after)
            }
        };
        valid.chars().for_each(|character| escape(out, character.into()));
        rest = match after {
            // A lone surrogate, which stands for itself.
            [0xed, high @ 0xa0..=0xbf, low @ 0x80..=0xbf, after @ ..] => {
                escape(out, 0xd000 | u32::from(high & 0x3f) << 6 | u32::from(low & 0x3f));
                after
            }
            // No text at all: a reader could not make anything of it either.
            [_, after @ ..] => {
                escape(out, char::REPLACEMENT_CHARACTER.into());
                after
            }
            [] => after,
        };
    }
    out.push(b'\n');
}

fn escape(out: &mut Vec<u8>, code: u32) {
    match u8::try_from(code) {
        Ok(byte) if !matches!(byte, b'\\' | b'\0' | b'\n' | b'\r' | 0x1a) => out.push(byte),
        _ if code <= 0xffff => out.extend_from_slice(format!("\\u{code:04x}").as_bytes()),
        _ => out.extend_from_slice(format!("\\U{code:08x}").as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read;

    #[test]
    fn reads_back_what_it_wrote() {
        let texts = ["", "a\\u0041\n\r\0\u{1a}", "\u{e9}\u{ff}", "\u{20ac}\\", "\u{1f600}x"].map(Value::text);
        let all = Value::Dict(vec![
            (Value::text("texts"), Value::List(texts.to_vec())),
            (Value::text("lone"), Value::Text(b"x\xed\xb2\x80y".to_vec())),
            (Value::text("bytes"), Value::bytes(&b"\x00\xff\\"[..])),
            (Value::Int(-7), Value::Tuple(vec![Value::None, Value::Bool(true), Value::Bool(false)])),
            (Value::text("float"), Value::Float(1.5e300)),
            (Value::text("empty"), Value::List(vec![Value::Dict(vec![]), Value::Tuple(vec![])])),
        ]);
        assert_eq!(read(&write_text(&all)).unwrap(), all);
    }

    #[test]
    fn writes_lines_of_text() {
        let update = Value::Dict(vec![
            (Value::text("op"), Value::text("PUT")),
            (Value::text("obj"), Value::text("o\u{e9}\u{2603}\n")),
            (Value::text("db_state"), Value::None),
        ]);
        assert_eq!(write_text(&update), b"(dVop\nVPUT\nsVobj\nVo\xe9\\u2603\\u000a\nsVdb_state\nNs.");
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        assert_eq!(read(&write_text(&Value::Text(b"a\xffb".to_vec()))).unwrap(), Value::text("a\u{fffd}b"));
    }
}
