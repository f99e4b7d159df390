//! Writes pickles of protocol 2, as Python 3's own pickler does: it is the newest protocol that every Swift reads.

use std::collections::BTreeMap;

use crate::{Value, opcode as op, text::from_latin1};

/// How many items Python puts into a container with one instruction.
const BATCH: usize = 1000;

/// The pickle of a value.
#[must_use]
pub fn write(value: &Value) -> Vec<u8> {
    let mut writer = Writer { out: vec![op::PROTO, 2], ..Writer::default() };
    writer.value(value);
    writer.out.push(op::STOP);
    writer.out
}

#[derive(Default)]
struct Writer {
    out: Vec<u8>,
    /// How many values are in the memo.
    memo: u32,
    /// Where in the memo is what Python, too, has only once.
    encode: Option<u32>,
    latin1: Option<u32>,
    empty_bytes: Option<u32>,
    single_bytes: BTreeMap<u8, u32>,
}

impl Writer {
    fn value(&mut self, value: &Value) {
        match value {
            Value::None => self.out.push(op::NONE),
            Value::Bool(true) => self.out.push(op::NEWTRUE),
            Value::Bool(false) => self.out.push(op::NEWFALSE),
            Value::Int(number) => self.integer(*number),
            Value::Float(number) => {
                self.out.push(op::BINFLOAT);
                self.out.extend_from_slice(&number.to_be_bytes());
            }
            Value::Bytes(bytes) => self.bytes(bytes),
            Value::Text(text) => {
                self.text(text);
            }
            Value::List(items) => self.list(items),
            Value::Tuple(items) => self.tuple(items),
            Value::Dict(pairs) => self.dict(pairs),
        }
    }

    fn integer(&mut self, number: i64) {
        if let Ok(small) = u8::try_from(number) {
            self.out.extend_from_slice(&[op::BININT1, small]);
        } else if let Ok(small) = u16::try_from(number) {
            self.out.push(op::BININT2);
            self.out.extend_from_slice(&small.to_le_bytes());
        } else if let Ok(small) = i32::try_from(number) {
            self.out.push(op::BININT);
            self.out.extend_from_slice(&small.to_le_bytes());
        } else {
            // As few bytes as leave the sign in the last one.
            let length = (1..8_u8)
                .find(|&bytes| (number << (64 - 8 * bytes)) >> (64 - 8 * bytes) == number)
                .unwrap_or(8);
            self.out.extend_from_slice(&[op::LONG1, length]);
            self.out.extend(number.to_le_bytes().into_iter().take(length.into()));
        }
    }

    /// Protocol 2 has no bytes, so Python 3 writes a call that makes them out of text.
    fn bytes(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return self.empty_bytes();
        }
        if let [single] = bytes
            && let Some(&index) = self.single_bytes.get(single)
        {
            return self.get(index);
        }
        match self.encode {
            Some(index) => self.get(index),
            None => {
                self.out.extend_from_slice(b"c_codecs\nencode\n");
                self.encode = Some(self.put());
            }
        }
        self.text(&from_latin1(bytes));
        match self.latin1 {
            Some(index) => self.get(index),
            None => self.latin1 = Some(self.text(b"latin1")),
        }
        self.out.push(op::TUPLE2);
        self.put();
        self.out.push(op::REDUCE);
        let index = self.put();
        if let [single] = bytes {
            self.single_bytes.insert(*single, index);
        }
    }

    fn empty_bytes(&mut self) {
        if let Some(index) = self.empty_bytes {
            return self.get(index);
        }
        self.out.extend_from_slice(b"c__builtin__\nbytes\n");
        self.put();
        self.out.extend_from_slice(&[op::EMPTY_TUPLE, op::REDUCE]);
        self.empty_bytes = Some(self.put());
    }

    /// Writes a text; gives its place in the memo.
    fn text(&mut self, text: &[u8]) -> u32 {
        // Longer than 4 GiB is longer than any reader takes: such a text is cut, never mislabelled.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.out.push(op::BINUNICODE);
        self.out.extend_from_slice(&length.to_le_bytes());
        self.out.extend_from_slice(text.get(..length as usize).unwrap_or(text));
        self.put()
    }

    fn list(&mut self, items: &[Value]) {
        self.out.push(op::EMPTY_LIST);
        self.put();
        if let [item] = items {
            self.value(item);
            self.out.push(op::APPEND);
            return;
        }
        for batch in items.chunks(BATCH) {
            self.out.push(op::MARK);
            batch.iter().for_each(|item| self.value(item));
            self.out.push(op::APPENDS);
        }
    }

    fn tuple(&mut self, items: &[Value]) {
        let made = match items.len() {
            0 => return self.out.push(op::EMPTY_TUPLE),
            1 => op::TUPLE1,
            2 => op::TUPLE2,
            3 => op::TUPLE3,
            _ => {
                self.out.push(op::MARK);
                op::TUPLE
            }
        };
        items.iter().for_each(|item| self.value(item));
        self.out.push(made);
        self.put();
    }

    fn dict(&mut self, pairs: &[(Value, Value)]) {
        self.out.push(op::EMPTY_DICT);
        self.put();
        if let [(key, value)] = pairs {
            self.value(key);
            self.value(value);
            self.out.push(op::SETITEM);
            return;
        }
        let batches = pairs.chunks(BATCH);
        // Python learns that a dict has ended only by an empty batch after a full one.
        let ends_full = pairs.last().is_some() && pairs.len().is_multiple_of(BATCH);
        for batch in batches.chain(ends_full.then_some(&[][..])) {
            self.out.push(op::MARK);
            for (key, value) in batch {
                self.value(key);
                self.value(value);
            }
            self.out.push(op::SETITEMS);
        }
    }

    /// Numbers what was written last; gives its number.
    fn put(&mut self) -> u32 {
        let index = self.memo;
        self.memo = self.memo.wrapping_add(1);
        self.reference(op::BINPUT, op::LONG_BINPUT, index);
        index
    }

    fn get(&mut self, index: u32) {
        self.reference(op::BINGET, op::LONG_BINGET, index);
    }

    fn reference(&mut self, short: u8, long: u8, index: u32) {
        if let Ok(index) = u8::try_from(index) {
            self.out.extend_from_slice(&[short, index]);
        } else {
            self.out.push(long);
            self.out.extend_from_slice(&index.to_le_bytes());
        }
    }
}
