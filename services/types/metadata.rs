//! An object's metadata: header names and values, both raw bytes.

use std::{borrow::Borrow, collections::BTreeMap, fmt};

use bytes::Bytes;

use crate::Invalid;

const NAME_BYTES_MAX: usize = 8192;
/// Names that stand in this program's text are shorter.
const NAME_BYTES_USUAL: usize = 64;

/// A header name in Swift's canonical spelling: the first letter of every run of ASCII letters upper case, the others
/// lower, all other bytes as they are (Swift: Python's bytes.title). So two spellings of a name are one name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderName(Bytes);

impl HeaderName {
    /// The canonical spelling of `name`; refuses what cannot be sent as a header.
    pub fn new(name: &[u8]) -> Result<Self, Invalid> {
        let sendable = |&b: &u8| b > b' ' && b != b':' && b != 0x7f;
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.iter().all(sendable) {
            return Err(Invalid::new(
                "metadata.name",
                format!("{:?} is no header name", String::from_utf8_lossy(name)),
            ));
        }
        Ok(Self::canonical(name))
    }

    /// Whether the name can be sent as a header. One that was read from a disk may be anything.
    #[must_use]
    pub fn is_sendable(&self) -> bool {
        Self::new(&self.0).is_ok()
    }

    /// A name that stands in this program's text.
    #[must_use]
    pub fn from_static(name: &'static str) -> Self {
        debug_assert!(Self::new(name.as_bytes()).is_ok());
        Self::canonical(name.as_bytes())
    }

    /// The canonical spelling of a name read from a disk, whatever it is.
    #[must_use]
    pub fn canonical(name: &[u8]) -> Self {
        if name.eq_ignore_ascii_case(b"etag") {
            // The one name that Swift spells otherwise in a `.data` file.
            return Self(Bytes::from_static(b"ETag"));
        }
        let mut spelled = name.to_vec();
        spell(&mut spelled);
        Self(Bytes::from(spelled))
    }

    /// The name's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the name begins so, without regard to case.
    #[must_use]
    pub fn starts_with(&self, prefix: &str) -> bool {
        self.0.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
    }

    /// Whether it is this name, without regard to case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.0.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The canonical spelling of a name, but for the one that Swift spells otherwise.
fn spell(name: &mut [u8]) {
    let mut in_word = false;
    for b in name {
        let letter = if in_word { b.to_ascii_lowercase() } else { b.to_ascii_uppercase() };
        in_word = b.is_ascii_alphabetic();
        *b = letter;
    }
}

impl Borrow<[u8]> for HeaderName {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// Whether a value can be sent as a header's: with a line break in it, it would be several lines, and the rest of it a
/// request of its own. HTTP brings no such value; a program that writes files or speaks gRPC might.
#[must_use]
pub fn is_sendable_value(value: &[u8]) -> bool {
    !value.iter().any(|b| matches!(b, b'\r' | b'\n'))
}

/// Header names and values, in the order of the canonical names, each name once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata(BTreeMap<HeaderName, Bytes>);

impl Metadata {
    /// No metadata.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a name, whatever its spelling.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        if name.eq_ignore_ascii_case("etag") {
            return self.0.get(&b"ETag"[..]);
        }
        // Every request asks for dozens of names.
        let mut usual = [0; NAME_BYTES_USUAL];
        match usual.get_mut(..name.len()) {
            Some(spelled) => {
                spelled.copy_from_slice(name.as_bytes());
                spell(spelled);
                self.0.get(&*spelled)
            }
            None => self.0.get(&HeaderName::canonical(name.as_bytes())),
        }
    }

    /// The value of a name as text; `None` also when it is not UTF-8.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The first name that cannot be sent as a header, or whose value cannot.
    #[must_use]
    pub fn unsendable(&self) -> Option<&HeaderName> {
        let bad = |(name, value): &(&HeaderName, &Bytes)| !name.is_sendable() || !is_sendable_value(value);
        self.0.iter().find(bad).map(|(name, _)| name)
    }

    /// Sets a value; a later one wins.
    pub fn insert(&mut self, name: HeaderName, value: impl Into<Bytes>) {
        self.0.insert(name, value.into());
    }

    /// Sets the value of a name that stands in this program's text.
    pub fn set(&mut self, name: &'static str, value: impl Into<Bytes>) {
        self.insert(HeaderName::from_static(name), value);
    }

    /// Takes a name out.
    pub fn remove(&mut self, name: &str) -> Option<Bytes> {
        self.0.remove(&HeaderName::canonical(name.as_bytes()))
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&HeaderName, &Bytes)> {
        self.0.iter()
    }

    /// Keeps what `keep` says.
    pub fn retain(&mut self, mut keep: impl FnMut(&HeaderName) -> bool) {
        self.0.retain(|name, _| keep(name));
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Extend<(HeaderName, Bytes)> for Metadata {
    fn extend<I: IntoIterator<Item = (HeaderName, Bytes)>>(&mut self, items: I) {
        self.0.extend(items);
    }
}

impl FromIterator<(HeaderName, Bytes)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (HeaderName, Bytes)>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl IntoIterator for Metadata {
    type Item = (HeaderName, Bytes);
    type IntoIter = std::collections::btree_map::IntoIter<HeaderName, Bytes>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.iter().map(|(name, value)| (name, String::from_utf8_lossy(value))))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_names_as_swift_does() {
        let spelled = |name: &[u8]| HeaderName::new(name).unwrap().as_bytes().to_vec();
        assert_eq!(spelled(b"x-object-meta-t\xc3\xa8st2"), b"X-Object-Meta-T\xc3\xa8St2");
        assert_eq!(spelled(b"ETAG"), b"ETag");
        assert_eq!(spelled(b"x-1a"), b"X-1A");
    }

    #[test]
    fn refuses_names_that_break_a_header() {
        for bad in [&b""[..], b"a b", b"a:b", b"a\r\nb", b"a\0"] {
            assert!(HeaderName::new(bad).is_err());
        }
    }

    #[test]
    fn one_name_has_one_value() {
        let mut metadata = Metadata::new();
        metadata.insert(HeaderName::new(b"x-colour").unwrap(), "red");
        metadata.insert(HeaderName::new(b"X-COLOUR").unwrap(), "blue");
        assert_eq!(metadata.len(), 1);
        assert_eq!(metadata.get_str("x-Colour"), Some("blue"));
    }
}
