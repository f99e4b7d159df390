//! What the placeholders of a vector stand for: names, hashes and times of one run.

use std::{collections::BTreeMap, time::SystemTime};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use ssync_types::{HashPathConfig, ObjectHash, ObjectPath, PartitionRef, Timestamp};

use super::{vectors::ObjectSpec, wire};

/// How long before the run its first time lies: all of them are past, and no other run's.
const BEFORE_TICKS: i64 = 100_000;
/// Between two times of a vector.
const STEP_TICKS: i64 = 10;
/// Names that are tried for one that lies in the partition: enough for a ring of 2^22 partitions.
const NAMES_MAX: u64 = 1 << 27;
/// Most elements that a vector repeats.
const REPEAT_MAX: u64 = 10_000;

/// Where a run may write, and how names are hashed there.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub partition: PartitionRef,
    pub part_power: u32,
    pub salt: HashPathConfig,
}

/// One run.
#[derive(Debug)]
pub(crate) struct World {
    place: Place,
    run: u64,
    begin: Timestamp,
    inline_bytes_max: u64,
}

/// The objects of one vector.
pub(crate) type Objects = BTreeMap<String, (ObjectPath, ObjectHash)>;

impl World {
    pub(crate) fn new(place: Place, inline_bytes_max: u64) -> anyhow::Result<Self> {
        let now = Timestamp::from_system_time(SystemTime::now());
        Ok(Self { place, run: now.ticks(), begin: now.shifted(-BEFORE_TICKS, 0)?, inline_bytes_max })
    }

    pub(crate) fn partition(&self) -> &PartitionRef {
        &self.place.partition
    }

    /// Real names for the objects of a vector.
    pub(crate) fn objects(
        &self,
        vector: &str,
        specs: &BTreeMap<String, ObjectSpec>,
    ) -> anyhow::Result<Objects> {
        specs
            .iter()
            .map(|(name, spec)| Ok((name.clone(), self.object(&format!("{vector}-{name}"), spec)?)))
            .collect()
    }

    /// A name of this run that lies in the partition, or does not.
    pub(crate) fn object(&self, name: &str, spec: &ObjectSpec) -> anyhow::Result<(ObjectPath, ObjectHash)> {
        let begins = wire::from_base64(&spec.begins)?;
        for number in 0..NAMES_MAX {
            let head = format!("/.ssync-conformance/{}/", self.run);
            let path = [head.as_bytes(), &begins, format!("{name}-{number}").as_bytes()].concat();
            let path = ObjectPath::parse(Bytes::from(path))?;
            let hash = self.place.salt.hash(&path);
            if (hash.partition(self.place.part_power) == self.place.partition.partition) != spec.elsewhere {
                return Ok((path, hash));
            }
        }
        bail!("no name lies in partition {}; compare it with --part-power", self.place.partition.partition)
    }

    /// The `number`th time of the run.
    fn time(&self, number: i64) -> anyhow::Result<Timestamp> {
        Ok(self.begin.shifted(number * STEP_TICKS, 0)?)
    }

    /// A value with every placeholder replaced.
    pub(crate) fn resolve(&self, value: &Value, objects: &Objects) -> anyhow::Result<Value> {
        Ok(match value {
            Value::String(text) => self.resolve_text(text, objects)?,
            Value::Array(items) => {
                let mut resolved = Vec::new();
                for item in items {
                    match item.get("$repeat").and_then(Value::as_u64) {
                        Some(times) => {
                            let one = self.resolve(&item["$of"], objects)?;
                            resolved.extend((0..times.min(REPEAT_MAX)).map(|_| one.clone()));
                        }
                        None => resolved.push(self.resolve(item, objects)?),
                    }
                }
                Value::Array(resolved)
            }
            Value::Object(fields) => {
                let resolved =
                    fields.iter().map(|(name, value)| Ok((name.clone(), self.resolve(value, objects)?)));
                Value::Object(resolved.collect::<anyhow::Result<_>>()?)
            }
            other => other.clone(),
        })
    }

    /// A placeholder that is the whole of a text stands for a value; within a text, for text.
    fn resolve_text(&self, text: &str, objects: &Objects) -> anyhow::Result<Value> {
        let Some((before, rest)) = text.split_once("${") else { return Ok(text.into()) };
        let (inner, after) = rest.split_once('}').with_context(|| format!("{text:?} has no }}"))?;
        let value = self.placeholder(inner, objects).with_context(|| format!("${{{inner}}}"))?;
        match (before, after, &value) {
            ("", "", _) => Ok(value),
            (_, _, Value::String(value)) => self.resolve_text(&format!("{before}{value}{after}"), objects),
            _ => bail!("{text:?}: what stands within a text has to be text"),
        }
    }

    fn placeholder(&self, inner: &str, objects: &Objects) -> anyhow::Result<Value> {
        let (kind, what) = inner.split_once(':').unwrap_or((inner, ""));
        let object = || objects.get(what).with_context(|| format!("the vector has no object {what:?}"));
        let here = &self.place.partition;
        Ok(match kind {
            "partition" => json!({
                "device": here.device.as_str(), "partition": here.partition.get(), "policyIndex": here.policy.get(),
            }),
            "open" => {
                let partition = self.placeholder("partition", objects)?;
                json!({"open": {"partition": partition, "sender": {"agent": "ssync-conformance", "job": "JOB_CLIENT"}}})
            }
            "device" => here.device.as_str().into(),
            "path" => wire::to_base64(object()?.0.as_bytes()).into(),
            "hash" => object()?.1.to_string().into(),
            "ticks" => self.time(what.parse()?)?.ticks().to_string().into(),
            "time" => self.time(what.parse()?)?.normal().into(),
            "base64" => wire::to_base64(what.as_bytes()).into(),
            "body" => wire::to_base64(&body(self.length(what)?)).into(),
            "md5" => {
                let digest: [u8; 16] = Md5::digest(body(self.length(what)?)).into();
                format!("{:032x}", u128::from_be_bytes(digest)).into()
            }
            "length" => self.length(what)?.to_string().into(),
            _ => bail!("is no placeholder"),
        })
    }

    /// A number of bytes; `inline` is the receiver's own limit.
    fn length(&self, text: &str) -> anyhow::Result<u64> {
        match text.strip_prefix("inline") {
            Some("") => Ok(self.inline_bytes_max),
            Some(more) => Ok(self.inline_bytes_max + more.trim_start_matches('+').parse::<u64>()?),
            None => Ok(text.parse()?),
        }
    }
}

/// The body of so many bytes that vectors mean: byte `i` is `i` modulo 251.
fn body(length: u64) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}
