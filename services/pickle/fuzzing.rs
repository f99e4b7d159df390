//! What holds for any pickle, checked by the fuzz target `pickle` and by a test of its corpus (tests/fuzz).

use crate::{ITEMS_MAX, PickleError, Value, read, write};

/// Whatever is read can be written, is then read as the same value, and is written the same again. It holds no more than it
/// may, and what comes after its end changes nothing.
pub fn pickle(data: &[u8]) {
    let Ok(value) = read(data) else { return };
    assert!(items(&value) <= ITEMS_MAX);
    let written = write(&value);
    match read(&written) {
        Ok(again) => {
            assert!(write(&again) == written, "{value:?} is written otherwise the second time");
            // Only a value that holds NaN is not equal to itself.
            assert!(again == value || value != value.clone(), "{value:?} became {again:?}");
        }
        // A value that the pickle shares is written in full each time, so a large one may come to more than is read.
        Err(PickleError::TooMuch { .. }) => assert!(written.len() > ITEMS_MAX, "{value:?} became too large"),
        Err(error) => panic!("{value:?} was written as what is not read: {error}"),
    }
    let followed = read(&[data, b"\x80"].concat()).expect("a pickle that something follows");
    assert!(write(&followed) == written, "{value:?} depends on what follows it");
}

/// How many values there are in a value, itself among them.
fn items(value: &Value) -> usize {
    let parts: usize = match value {
        Value::List(parts) | Value::Tuple(parts) => parts.iter().map(items).sum(),
        Value::Dict(pairs) => pairs.iter().map(|(key, value)| items(key) + items(value)).sum(),
        _ => 0,
    };
    parts + 1
}

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;

#[cfg(test)]
#[test]
fn corpus() {
    replay::replay("pickle", pickle);
}
