//! What was written and what was acknowledged, and whether a disk tells the same.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;
use ssync_tests::Tree;

/// What a request did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A body of so many bytes.
    Data(usize),
    Tombstone,
    Post,
}

/// One request for one object, by its timestamp as Swift writes it.
#[derive(Debug, Clone)]
struct Tried {
    kind: Kind,
    acknowledged: bool,
}

/// All requests for all objects. A timestamp is used once.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    objects: BTreeMap<String, BTreeMap<String, Tried>>,
}

impl Ledger {
    pub(crate) fn note(&mut self, path: &str, timestamp: &str, kind: Kind, acknowledged: bool) {
        let tried = Tried { kind, acknowledged };
        let known =
            self.objects.entry(path.to_owned()).or_default().entry(timestamp.to_owned()).or_insert(tried);
        known.acknowledged |= acknowledged;
    }

    /// Takes in what a helper lists: path, timestamp, kind, length.
    pub(crate) fn note_all(&mut self, list: &Value, acknowledged: bool) -> Result<()> {
        for entry in list.as_array().context("no list of writes")? {
            let text = |at: usize| entry[at].as_str().context("no text");
            let kind = match text(2)? {
                "data" => Kind::Data(usize::try_from(entry[3].as_u64().context("no length")?)?),
                _ => Kind::Tombstone,
            };
            self.note(text(0)?, text(1)?, kind, acknowledged);
        }
        Ok(())
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (path, tried) in other.objects {
            for (timestamp, tried) in tried {
                self.note(&path, &timestamp, tried.kind, tried.acknowledged);
            }
        }
    }

    /// Requests, and those of them that were acknowledged.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let all = self.objects.values().flat_map(BTreeMap::values);
        all.fold((0, 0), |(tried, good), one| (tried + 1, good + usize::from(one.acknowledged)))
    }

    /// What is wrong with the disk, as Swift reads it. Objects with "-kept-" in their names were never deleted, so that
    /// metadata posted to them must have lasted.
    pub(crate) fn faults(&self, tree: &Tree) -> Vec<String> {
        let mut faults = Vec::new();
        for (path, tried) in &self.objects {
            if let Err(fault) = judge(path, tried, tree.object(path)) {
                faults.push(format!("{path}: {fault}: {:?}\n  tried: {tried:?}", tree.object(path)));
            }
        }
        let unknown = tree.objects.keys().filter(|path| !self.objects.contains_key(*path));
        faults.extend(unknown.map(|path| format!("{path} was never written")));
        faults
    }
}

fn judge(path: &str, tried: &BTreeMap<String, Tried>, found: Option<&Value>) -> Result<(), String> {
    // Timestamps of one width are ordered as text.
    let newest = |posts: bool| {
        let counts = |one: &Tried| one.acknowledged && (one.kind == Kind::Post) == posts;
        tried.iter().rev().find(|(_, one)| counts(one)).map(|(timestamp, _)| timestamp.as_str())
    };
    let Some(found) = found else {
        return newest(false).map_or(Ok(()), |timestamp| Err(format!("lost; {timestamp} was acknowledged")));
    };
    let text = |field: &str| found[field].as_str().unwrap_or_default();
    let is_data = text("kind") == "data";
    let stands = if is_data { text("data_timestamp") } else { text("timestamp") };
    if newest(false).is_some_and(|timestamp| stands < timestamp) {
        return Err(format!("{stands} stands, {:?} was acknowledged", newest(false)));
    }
    let expected = tried.get(stands).map(|one| one.kind);
    let written = found["data"]["X-Object-Meta-Written"].as_str().unwrap_or_default();
    match expected {
        Some(Kind::Tombstone) if !is_data => return Ok(()),
        Some(Kind::Data(length)) if is_data && found["length"] == length && written == stands => {}
        other => return Err(format!("{stands} stands, which was {other:?}")),
    }
    let posted = text("timestamp");
    if posted != stands {
        let by_request = tried.get(posted).is_some_and(|one| one.kind == Kind::Post);
        if !by_request || found["merged"]["X-Object-Meta-Posted"] != posted {
            return Err(format!("{posted} was not posted"));
        }
    }
    match newest(true) {
        Some(timestamp) if path.contains("-kept-") && posted < timestamp => {
            Err(format!("the metadata are of {posted}, {timestamp} was acknowledged"))
        }
        _ => Ok(()),
    }
}
