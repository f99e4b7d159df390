//! What lies on the disks, by the names of the files alone: quick to look at, as often as one likes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use ssync_tests::Cluster;

use crate::rings::Primaries;

/// The devices that a node has, whether its ring names them or not.
pub(crate) const DEVICES: [&str; 2] = ["sdb1", "sdb2"];
/// So many copies elsewhere make a device's content safe.
const ELSEWHERE: usize = 2;

/// A device of a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Device {
    pub(crate) node: u8,
    pub(crate) name: String,
}

impl Device {
    pub(crate) fn of(address: &str, name: &str) -> Result<Self> {
        let node = address.rsplit('.').next().and_then(|last| last.parse().ok());
        Ok(Self { node: node.with_context(|| format!("{address} is no node's"))?, name: name.to_owned() })
    }

    pub(crate) fn all(cluster: &Cluster) -> Vec<Self> {
        let of = |node| DEVICES.map(|name| Self { node, name: name.to_owned() });
        (1..=cluster.size()).flat_map(of).collect()
    }

    pub(crate) fn path(&self, cluster: &Cluster) -> PathBuf {
        cluster.node(self.node).devices().join(&self.name)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.node, self.name)
    }
}

/// A hash directory, by its partition and its name.
type Place = (u32, String);

/// The files of every object on every device that make its state.
#[derive(Debug)]
pub(crate) struct Disks(BTreeMap<Device, BTreeMap<Place, BTreeSet<String>>>);

impl Disks {
    pub(crate) fn look(cluster: &Cluster) -> Result<Self> {
        let mut found = BTreeMap::new();
        for device in Device::all(cluster) {
            let held = held(&device.path(cluster).join("objects"))?;
            found.insert(device, held);
        }
        Ok(Self(found))
    }

    /// What is not where the ring wants it, or not the same on each of its primaries.
    pub(crate) fn astray(&self, primaries: &Primaries) -> Vec<String> {
        let mut astray = Vec::new();
        let places: BTreeSet<&Place> = self.0.values().flat_map(BTreeMap::keys).collect();
        for place in places {
            let wanted = primaries.get(&place.0);
            let held: BTreeMap<&Device, &BTreeSet<String>> =
                self.0.iter().filter_map(|(device, held)| Some((device, held.get(place)?))).collect();
            let at_home = wanted.is_some_and(|wanted| held.keys().copied().eq(wanted));
            let alike = held.values().collect::<BTreeSet<_>>().len() == 1;
            if !at_home || !alike {
                let names = wanted.into_iter().flatten().map(Device::to_string).collect::<Vec<_>>();
                let on = held.iter().map(|(device, files)| format!("{device}: {}", listed(files)));
                let on = on.collect::<Vec<_>>().join("; ");
                astray.push(format!(
                    "{}/{} is wanted on {} and is on {on}",
                    place.0,
                    place.1,
                    names.join(" ")
                ));
            }
        }
        astray
    }

    /// What a device has.
    pub(crate) fn on(&self, device: &Device) -> Vec<String> {
        let held = self.0.get(device).into_iter().flatten();
        held.map(|((part, hash), files)| format!("{part}/{hash}: {}", listed(files))).collect()
    }

    /// What of a device is not on enough others.
    pub(crate) fn only_on(&self, device: &Device) -> Vec<Place> {
        let safe = |place: &Place, files: &BTreeSet<String>| {
            let others = self.0.iter().filter(|(other, _)| *other != device);
            let covering =
                others.filter(|(_, held)| held.get(place).is_some_and(|other| covers(other, files)));
            covering.count() >= ELSEWHERE
        };
        let ours = self.0.get(device).into_iter().flatten();
        ours.filter(|(place, files)| !safe(place, files)).map(|(place, _)| place.clone()).collect()
    }
}

/// The files that make an object's state, and those that must go. Metadata newer than a tombstone are neither: a node that has
/// missed a DELETE takes a POST, and keeps its file after the tombstone has come, for as long as reclaim_age, in case that a
/// body comes which is newer than the tombstone. No hash knows of it (Swift: diskfile.py get_ondisk_files and
/// DiskFileManager._process_ondisk_files).
fn counting(files: impl Iterator<Item = String>) -> BTreeSet<String> {
    let (meta, mut files): (BTreeSet<String>, BTreeSet<String>) = files.partition(|name| is_meta(name));
    let base = files.last().cloned().unwrap_or_default();
    files.extend(meta.into_iter().filter(|name| !is_stray(name, &base)));
    files
}

/// Whether metadata are nobody's: those without a body, and those newer than a tombstone.
pub(crate) fn is_stray(meta: &str, base: &str) -> bool {
    !base.ends_with(".data") && meta.strip_suffix(".meta") > base.strip_suffix(".ts")
}

/// Whether a file has metadata alone.
pub(crate) fn is_meta(name: &str) -> bool {
    name.ends_with(".meta")
}

fn listed(files: &BTreeSet<String>) -> String {
    files.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// The newest of the files that hold an object's data or its tombstone, and of those with metadata alone. Timestamps of one
/// width are ordered as text.
fn newest(files: &BTreeSet<String>) -> [&str; 2] {
    let last = |meta: bool| files.iter().rev().find(|name| is_meta(name) == meta);
    [false, true].map(|meta| last(meta).map_or("", String::as_str))
}

/// Whether nothing is lost when `files` go and `other` stays.
fn covers(other: &BTreeSet<String>, files: &BTreeSet<String>) -> bool {
    let ([other_base, other_meta], [base, meta]) = (newest(other), newest(files));
    other_base >= base && (other_meta >= meta || other_base > meta)
}

fn names(folder: &Path) -> Result<Vec<String>> {
    match fs::read_dir(folder) {
        // They come and go while this looks.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error).with_context(|| folder.display().to_string()),
        Ok(entries) => Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()),
    }
}

fn held(objects: &Path) -> Result<BTreeMap<Place, BTreeSet<String>>> {
    let mut held = BTreeMap::new();
    for part in names(objects)? {
        let Ok(number) = part.parse::<u32>() else { continue };
        for suffix in names(&objects.join(&part))? {
            for hash in names(&objects.join(&part).join(&suffix))? {
                let files = names(&objects.join(&part).join(&suffix).join(&hash))?;
                let counts =
                    |name: &String| [".data", ".meta", ".ts"].iter().any(|kind| name.ends_with(kind));
                // rsync's temporary names begin with a dot.
                let files = counting(files.into_iter().filter(|name| counts(name) && !name.starts_with('.')));
                if !files.is_empty() {
                    held.insert((number, hash), files);
                }
            }
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(files: &[&str]) -> Vec<String> {
        counting(files.iter().map(|&name| name.to_owned())).into_iter().collect()
    }

    #[test]
    fn metadata_count_with_a_body_alone() {
        assert_eq!(counted(&["3.meta", "1.data", "2.meta"]), ["1.data", "2.meta", "3.meta"]);
        assert_eq!(counted(&["2.ts", "3.meta"]), ["2.ts"], "posted where the DELETE was missed");
        assert_eq!(counted(&["2.ts", "1.meta"]), ["1.meta", "2.ts"], "what the tombstone hides must go");
        assert_eq!(counted(&["3.meta"]), [""; 0]);
        assert_eq!(
            counted(&["1.ts", "2.data", "3.meta"]),
            ["1.ts", "2.data", "3.meta"],
            "what is to go still counts"
        );
        assert_eq!(counted(&["1.data", "2.ts"]), ["1.data", "2.ts"]);
    }
}
