//! What CPython writes is read as it was meant, what we write is what CPython would, and damage is an error.

mod damage;
mod golden;
mod refusals;

use crate::Value;

/// The bytes of a pickle in testdata/pickles.txt.
fn pickle(name: &str) -> Vec<u8> {
    let lines = include_str!("testdata/pickles.txt").lines();
    let hex = lines.filter_map(|line| line.split_once(' ')).find(|(first, _)| *first == name).unwrap().1;
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn dict<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    Value::Dict(pairs.into_iter().map(|(key, value)| (Value::text(key), value)).collect())
}
