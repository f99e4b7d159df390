//! A device as Swift's own Python reads it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

/// What Swift's DiskFile wrote.
#[derive(Debug, Clone, Deserialize)]
pub struct Written {
    /// What is special about an object, and its path. One character a byte.
    pub objects: BTreeMap<String, String>,
    /// Sum of all bodies.
    pub bytes: u64,
}

/// What Swift's DiskFile reads. Strings hold one character a byte.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Tree {
    /// Every object and tombstone by path: metadata of each file and as merged, timestamps, digest of the body, names of
    /// the files.
    pub objects: BTreeMap<String, Value>,
    /// Suffix hashes of each partition, as `hashes.pkl` and `hashes.invalid` lead to them.
    pub hashes: BTreeMap<String, BTreeMap<String, String>>,
    /// The same, calculated from the files.
    pub rehashed: BTreeMap<String, BTreeMap<String, String>>,
    /// What could not be read.
    pub damaged: Vec<String>,
    /// What was moved out of the way.
    pub quarantined: Vec<String>,
}

impl Tree {
    /// Fails unless all of it can be read and the stored hashes are true.
    ///
    /// # Panics
    ///
    /// That is how it fails.
    pub fn assert_sound(&self) {
        assert!(self.damaged.is_empty(), "Swift cannot read {:#?}", self.damaged);
        assert!(self.quarantined.is_empty(), "in quarantine: {:#?}", self.quarantined);
        assert_eq!(self.hashes, self.rehashed, "hashes.pkl does not tell what the files tell");
    }

    /// Fails unless `other` holds exactly the same: objects, metadata, file names, suffix hashes.
    ///
    /// # Panics
    ///
    /// That is how it fails; it names what differs.
    pub fn assert_same(&self, other: &Self) {
        self.assert_sound();
        other.assert_sound();
        assert!(!self.objects.is_empty(), "nothing was compared");
        let names: BTreeSet<_> = self.objects.keys().chain(other.objects.keys()).collect();
        let different: Vec<String> = names
            .into_iter()
            .filter(|name| self.objects.get(*name) != other.objects.get(*name))
            .map(|name| format!("{name}\n{}", difference(self.objects.get(name), other.objects.get(name))))
            .collect();
        assert!(different.is_empty(), "{} objects differ:\n{}", different.len(), different.join("\n"));
        assert_eq!(self.rehashed, other.rehashed, "equal objects, but Swift gives other suffix hashes");
    }

    /// The object at `path`, which may hold any characters.
    #[must_use]
    pub fn object(&self, path: &str) -> Option<&Value> {
        // As the helpers write it: one character a byte.
        let key: String = path.bytes().map(char::from).collect();
        self.objects.get(&key)
    }
}

/// The fields that differ, one a line.
fn difference(here: Option<&Value>, there: Option<&Value>) -> String {
    let (Some(Value::Object(here)), Some(Value::Object(there))) = (here, there) else {
        return format!("  {}\n", if here.is_some() { "only here" } else { "only there" });
    };
    let fields: BTreeSet<_> = here.keys().chain(there.keys()).collect();
    let differ = fields.into_iter().filter(|field| here.get(*field) != there.get(*field));
    let none = Value::Null;
    differ
        .map(|field| {
            let (here, there) = (here.get(field).unwrap_or(&none), there.get(field).unwrap_or(&none));
            format!("  {field}\n    here  {here}\n    there {there}\n")
        })
        .collect()
}
