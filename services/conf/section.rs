//! A section's values, with what it inherits.

use std::collections::BTreeMap;

use crate::{ConfError, Origin};

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    value: String,
    origin: Origin,
}

impl Entry {
    /// A value from somewhere.
    pub fn new(value: impl Into<String>, origin: Origin) -> Self {
        Self { value: value.into(), origin }
    }

    /// The value, its names filled in.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Where it came from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The error that says that the value of `key` must be something else.
    pub fn refused(&self, key: &str, accepted: impl Into<String>) -> ConfError {
        ConfError::Value {
            origin: self.origin.clone(),
            key: key.to_owned(),
            value: self.value.clone(),
            accepted: accepted.into(),
        }
    }
}

/// A section's values, with what it inherits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    name: String,
    entries: BTreeMap<String, Entry>,
}

impl Section {
    /// A section without values.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), entries: BTreeMap::new() }
    }

    /// The section's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of a key. Keys are case-sensitive, as in Swift.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Sets a value, over what the files say.
    pub fn insert(&mut self, key: &str, entry: Entry) {
        self.entries.insert(key.to_owned(), entry);
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: &str) -> Option<Entry> {
        self.entries.remove(key)
    }

    /// Lays another section's values over these.
    pub fn extend(&mut self, over: Section) {
        self.entries.extend(over.entries);
    }

    /// Keys and values, by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(key, entry)| (key.as_str(), entry))
    }
}
