//! The vectors, as they stand in `proto/conformance`.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

const FILES: [(&str, &str); 6] = [
    ("checks.json", include_str!("../../../proto/conformance/checks.json")),
    ("sessions.json", include_str!("../../../proto/conformance/sessions.json")),
    ("versions.json", include_str!("../../../proto/conformance/versions.json")),
    ("bodies.json", include_str!("../../../proto/conformance/bodies.json")),
    ("order.json", include_str!("../../../proto/conformance/order.json")),
    ("names.json", include_str!("../../../proto/conformance/names.json")),
];

/// One vector.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    pub name: String,
    /// The rule, in a sentence.
    pub says: String,
    /// The objects that it speaks of, by a name of its own.
    #[serde(default)]
    pub objects: BTreeMap<String, ObjectSpec>,
    pub steps: Vec<Step>,
    /// The names of each object's files in the end.
    #[serde(default)]
    pub files: BTreeMap<String, Vec<String>>,
}

/// An object whose real name is chosen by who plays the vector.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectSpec {
    /// It lies in another partition.
    #[serde(default)]
    pub elsewhere: bool,
    /// Bytes that its name begins with, in base64.
    #[serde(default)]
    pub begins: String,
}

/// One call.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub call: Call,
    /// The messages that go in.
    pub send: Vec<Value>,
    /// What comes out.
    #[serde(default)]
    pub expect: Expect,
    /// The call stays open until the vector's last step is over.
    #[serde(default)]
    pub keep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Call {
    MissingCheck,
    Updates,
}

/// What comes out of a call. Fields that are not named are free.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// `Updates`: the session is not accepted.
    #[serde(default)]
    pub not_accepted: bool,
    /// `Updates`: exactly these results, those of one object in this order.
    #[serde(default)]
    pub results: Vec<Value>,
    /// `Updates`: results that may come as well. (What a session that is refused had begun may be answered for, or not.)
    #[serde(default)]
    pub perhaps: Vec<Value>,
    /// `Updates`: the summary.
    pub summary: Option<Value>,
    /// `MissingCheck`: exactly these wants, where it is not refused.
    #[serde(default)]
    pub wants: Vec<Value>,
    /// `MissingCheck`: how many offers are answered.
    pub answered_offers: Option<u64>,
    /// How the call ends; in order, where it is absent.
    pub refusal: Option<Value>,
}

/// All of them, in the order in which they are played.
pub(crate) fn all() -> anyhow::Result<Vec<Vector>> {
    let mut found = Vec::new();
    for (file, text) in FILES {
        let vectors: Vec<Vector> = serde_json::from_str(text).context(file)?;
        found.extend(vectors);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_can_be_read_and_have_names_of_their_own() {
        let vectors = all().unwrap();
        let names: BTreeSet<_> = vectors.iter().map(|vector| vector.name.as_str()).collect();
        assert_eq!(names.len(), vectors.len());
        for vector in &vectors {
            let known = |name: &String| vector.objects.contains_key(name);
            assert!(vector.files.keys().all(known) && !vector.steps.is_empty(), "{}", vector.name);
            assert!(vector.says.ends_with('.'), "{}", vector.name);
        }
    }
}
