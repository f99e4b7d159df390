//! What a pickle says.

use crate::text::from_latin1;

/// A plain Python value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An `int` that fits 64 bits.
    Int(i64),
    /// A `float`.
    Float(f64),
    /// `bytes`, or a Python 2 `str`.
    Bytes(Vec<u8>),
    /// A `str`, or a Python 2 `unicode`, as UTF-8. Lone surrogates are kept as three bytes each, as the pickle has them:
    /// Python's surrogateescape hides non-UTF-8 bytes in them.
    Text(Vec<u8>),
    /// A `list`.
    List(Vec<Value>),
    /// A `tuple`.
    Tuple(Vec<Value>),
    /// A `dict`, as pairs in the order they were written. Of a key that stands twice the last value holds.
    Dict(Vec<(Value, Value)>),
}

impl Value {
    /// This text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into().into_bytes())
    }

    /// The text whose characters have the numbers of these bytes: how Python's servers hold a header.
    #[must_use]
    pub fn characters(bytes: &[u8]) -> Self {
        Self::Text(from_latin1(bytes).into_owned())
    }

    /// These bytes.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(bytes.into())
    }

    /// The text, or the Python 2 string, if it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.as_raw().and_then(|raw| std::str::from_utf8(raw).ok())
    }

    /// The bytes of a text or of a byte string.
    #[must_use]
    pub fn as_raw(&self) -> Option<&[u8]> {
        match self {
            Self::Text(raw) | Self::Bytes(raw) => Some(raw),
            _ => None,
        }
    }

    /// The pairs of a dict.
    #[must_use]
    pub fn as_dict(&self) -> Option<&[(Value, Value)]> {
        match self {
            Self::Dict(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// What a dict holds under a key that is this text, or these bytes.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        let pairs = self.as_dict()?;
        pairs.iter().rev().find(|(name, _)| name.as_raw() == Some(key.as_bytes())).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_key_holds() {
        let dict = Value::Dict(vec![
            (Value::text("k"), Value::Int(1)),
            (Value::bytes("k"), Value::Int(2)),
            (Value::Int(7), Value::Int(3)),
        ]);
        assert_eq!(dict.get("k"), Some(&Value::Int(2)));
        assert_eq!(dict.get("7"), None);
        assert_eq!(Value::None.get("k"), None);
    }

    #[test]
    fn text_with_a_surrogate_is_no_str() {
        assert_eq!(Value::Text(b"\xed\xb2\x80".to_vec()).as_str(), None);
        assert_eq!(Value::text("\u{e9}").as_str(), Some("\u{e9}"));
    }
}
