//! Reads back every replica of every object, and holds it against what was stored.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderValue;
use indicatif::ProgressBar;
use ssync_types::Partition;

use crate::demo::{
    client::{Answer, Client},
    damage::misplaced_partitions,
    dataset::DemoObject,
    placement::{DemoDevice, Placement},
};

/// Most differences that are named.
const NAMED_MAX: usize = 20;

/// What was compared.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Replicas that were equal.
    pub replicas: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Partitions whose suffix hashes were equal at all primaries.
    pub partitions: u64,
    differences: Vec<String>,
    unnamed: u64,
}

impl Comparison {
    /// Every difference, by name; empty when all is equal.
    pub(crate) fn differences(&self) -> Vec<String> {
        let mut lines = self.differences.clone();
        if self.unnamed > 0 {
            lines.push(format!("and {} more", self.unnamed));
        }
        lines
    }

    fn add(&mut self, other: Self) {
        self.replicas += other.replicas;
        self.bytes += other.bytes;
        self.unnamed += other.unnamed;
        other.differences.into_iter().for_each(|what| self.differs(what));
    }

    fn differs(&mut self, what: String) {
        if self.differences.len() < NAMED_MAX {
            self.differences.push(what);
        } else {
            self.unnamed += 1;
        }
    }
}

/// Compares bodies, metadata and suffix hashes at every primary, and looks for what lies elsewhere.
pub(crate) async fn verify(
    placement: &Placement,
    objects: &[DemoObject],
    progress: &ProgressBar,
) -> anyhow::Result<Comparison> {
    let devices = placement.devices.iter().map(|device| compare_device(placement, device, objects, progress));
    let mut comparison = Comparison::default();
    for of_device in futures_util::future::try_join_all(devices).await? {
        comparison.add(of_device);
    }
    compare_hashes(placement, &mut comparison).await?;
    for place in misplaced_partitions(placement)? {
        comparison.differs(format!("partition {place} lies where it does not belong"));
    }
    Ok(comparison)
}

async fn compare_device(
    placement: &Placement,
    device: &DemoDevice,
    objects: &[DemoObject],
    progress: &ProgressBar,
) -> anyhow::Result<Comparison> {
    let mut comparison = Comparison::default();
    let mut client = Client::connect(device.address).await?;
    for object in objects {
        let (_, partition) = placement.locate(&object.path);
        if !placement.is_primary(device, partition) {
            continue;
        }
        let answer = client.get(&device.name, partition.get(), &object.path).await?;
        match difference(object, &answer) {
            None => {
                comparison.replicas += 1;
                comparison.bytes += object.size as u64;
            }
            Some(what) => comparison.differs(format!("{} at {}: {what}", object.path, device.name)),
        }
        progress.inc(1);
    }
    Ok(comparison)
}

fn difference(object: &DemoObject, answer: &Answer) -> Option<String> {
    if answer.status != http::StatusCode::OK {
        return Some(format!("answered {}", answer.status));
    }
    if answer.body != object.body() {
        return Some(format!("{} bytes that are not the {} bytes stored", answer.body.len(), object.size));
    }
    let mut expected = object.metadata();
    expected.push(("Content-Type".to_owned(), "application/octet-stream".to_owned()));
    expected.push(("ETag".to_owned(), format!("\"{}\"", object.etag())));
    expected.push(("X-Backend-Timestamp".to_owned(), object.timestamp.internal()));
    expected.into_iter().find_map(|(name, value)| {
        let found = answer.headers.get(&name).map(HeaderValue::as_bytes);
        (found != Some(value.as_bytes()))
            .then(|| format!("{name} is {:?}, not {value:?}", found.map(String::from_utf8_lossy)))
    })
}

async fn compare_hashes(placement: &Placement, comparison: &mut Comparison) -> anyhow::Result<()> {
    let mut clients = BTreeMap::new();
    for device in &placement.devices {
        clients.insert(device.id, Client::connect(device.address).await?);
    }
    for number in 0..placement.partitions() {
        let mut answers: Vec<(&DemoDevice, Bytes)> = Vec::new();
        for device in placement.primaries(Partition::new(number)) {
            if let Some(client) = clients.get_mut(&device.id) {
                answers.push((device, client.suffix_hashes(&device.name, number).await?));
            }
        }
        match answers.windows(2).find(|pair| pair[0].1 != pair[1].1) {
            None => comparison.partitions += 1,
            Some(pair) => comparison.differs(format!(
                "suffix hashes of partition {number} differ between {} and {}",
                pair[0].0.name, pair[1].0.name
            )),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use ssync_types::Timestamp;

    use super::*;
    use crate::demo::dataset::objects;

    fn answer(object: &DemoObject) -> Answer {
        let mut headers = HeaderMap::new();
        for (name, value) in object.metadata() {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers.insert("Content-Type", "application/octet-stream".parse().unwrap());
        headers.insert("ETag", format!("\"{}\"", object.etag()).parse().unwrap());
        headers.insert("X-Backend-Timestamp", object.timestamp.internal().parse().unwrap());
        Answer { status: StatusCode::OK, headers, body: object.body() }
    }

    #[test]
    fn whatever_is_not_as_it_was_stored_is_told() {
        let object = &objects(5, Timestamp::from_seconds(1)).unwrap()[4];
        assert_eq!(difference(object, &answer(object)), None);
        let told = |change: fn(&mut Answer)| {
            let mut answer = answer(object);
            change(&mut answer);
            difference(object, &answer).unwrap()
        };
        assert!(told(|answer| answer.status = StatusCode::NOT_FOUND).contains("404"));
        assert!(told(|answer| answer.body = answer.body.slice(1..)).contains("bytes that are not"));
        assert!(
            told(|answer| drop(answer.headers.remove("X-Object-Meta-Empty")))
                .starts_with("X-Object-Meta-Empty")
        );
        let red = |answer: &mut Answer| {
            answer.headers.insert("X-Object-Meta-Number", "x".parse().unwrap());
        };
        assert!(told(red).starts_with("X-Object-Meta-Number"));
    }

    #[test]
    fn names_some_differences_and_counts_the_rest() {
        let mut comparison = Comparison::default();
        (0..NAMED_MAX + 5).for_each(|number| comparison.differs(format!("object {number}")));
        let lines = comparison.differences();
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (NAMED_MAX + 1, "and 5 more"));
    }
}
