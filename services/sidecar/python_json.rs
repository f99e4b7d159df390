//! JSON as Python's json.dumps writes it: a space behind `,` and `:`, ASCII alone, and its own form of large and small
//! numbers.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{
    Serializer, Value,
    ser::{CharEscape, Formatter},
};

/// A value whose maps have their keys in the order that they were given in: swift-recon prints them so.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Value(Value),
    Map(Vec<(String, Json)>),
    List(Vec<Json>),
}

impl Json {
    pub(crate) fn of(value: impl Into<Value>) -> Self {
        Self::Value(value.into())
    }

    pub(crate) fn map<const N: usize>(pairs: [(&str, Self); N]) -> Self {
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// The text.
    pub(crate) fn python(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Writing to memory cannot fail, and neither can a value that is one already.
        let _ = self.serialize(&mut Serializer::with_formatter(&mut text, Python));
        text
    }
}

impl FromIterator<(String, Json)> for Json {
    fn from_iter<I: IntoIterator<Item = (String, Json)>>(pairs: I) -> Self {
        Self::Map(pairs.into_iter().collect())
    }
}

impl FromIterator<Json> for Json {
    fn from_iter<I: IntoIterator<Item = Json>>(values: I) -> Self {
        Self::List(values.into_iter().collect())
    }
}

impl Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::Map(pairs) => serializer.collect_map(pairs.iter().map(|(key, value)| (key, value))),
            Self::List(values) => serializer.collect_seq(values),
        }
    }
}

struct Python;

impl Formatter for Python {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(float(value).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        for c in text.chars() {
            match c {
                c if c.is_ascii() && c != '\x7f' => write!(writer, "{c}")?,
                // Python leaves DEL alone, too.
                '\x7f' => writer.write_all(b"\x7f")?,
                c => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        match escape {
            CharEscape::AsciiControl(byte) => write!(writer, "\\u{byte:04x}"),
            escape => serde_json::ser::CompactFormatter.write_char_escape(writer, escape),
        }
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// The shortest digits that mean the number, as Python's repr: an exponent below -4 and from 16 on, with a sign and two
/// digits.
fn float(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-4..1e16).contains(&magnitude) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As Python 3.11 writes them.
    #[test]
    fn writes_as_python_does() {
        for (value, text) in [
            (json!({"a": [1, 2.0, null, true], "b": {}}), r#"{"a": [1, 2.0, null, true], "b": {}}"#),
            (json!("grün \u{1f600} \u{1} \n\"\\"), r#""gr\u00fcn \ud83d\ude00 \u0001 \n\"\\""#),
            (
                json!([1e16, 123456789.25, 1e-5, 0.0001, 1.5e300, -2e-7]),
                "[1e+16, 123456789.25, 1e-05, 0.0001, 1.5e+300, -2e-07]",
            ),
            (json!(18446744073709551615_u64), "18446744073709551615"),
        ] {
            assert_eq!(String::from_utf8(Json::of(value).python()).unwrap(), text);
        }
        let ordered = Json::map([("b", Json::of(1)), ("a", [Json::of(2)].into_iter().collect())]);
        assert_eq!(ordered.python(), br#"{"b": 1, "a": [2]}"#);
    }
}
