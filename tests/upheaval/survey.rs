//! Every device as Swift's own tools read it, against what clients were told.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use ssync_tests::{Cluster, Tree, helper};

use crate::{
    disks::{DEVICES, Device, is_meta, is_stray},
    ledger::{History, Ledger, State},
    writers::CONTAINER,
};

#[derive(Debug, Deserialize)]
struct Answer {
    devices: BTreeMap<String, BTreeMap<String, Tree>>,
    primaries: BTreeMap<String, Vec<(String, String)>>,
    complaints: Vec<String>,
}

/// All devices at one time.
#[derive(Debug)]
pub(crate) struct Survey {
    devices: BTreeMap<Device, Tree>,
    primaries: BTreeMap<String, BTreeSet<Device>>,
    complaints: Vec<String>,
}

/// The path of an object on the disks.
pub(crate) fn path_of(name: &str) -> String {
    format!("/AUTH_test{CONTAINER}/{name}")
}

impl Survey {
    /// Reads them all, and looks the ledger's objects up in the proxy's ring.
    pub(crate) fn of(cluster: &Cluster, ledger: &Ledger) -> Result<Self> {
        let node = |number| {
            let node = cluster.node(number);
            json!({"address": node.ring_address().ip(), "devices": node.devices(), "names": DEVICES})
        };
        let paths: Vec<String> = ledger.objects.keys().map(|name| path_of(name)).collect();
        let nodes: Vec<Value> = (1..=cluster.size()).map(node).collect();
        let swift_dir = cluster.folder().join("etc");
        let arguments = json!({"swift_dir": swift_dir, "policy": 0, "nodes": nodes, "paths": paths});
        let answer: Answer = serde_json::from_value(helper("survey", &arguments)?)?;
        let mut devices = BTreeMap::new();
        for (address, trees) in answer.devices {
            for (name, mut tree) in trees {
                tree.objects.values_mut().for_each(leave_out_strays);
                devices.insert(Device::of(&address, &name)?, tree);
            }
        }
        let mut primaries = BTreeMap::new();
        for (path, of) in answer.primaries {
            let of = of.iter().map(|(address, name)| Device::of(address, name)).collect::<Result<_>>()?;
            primaries.insert(path, of);
        }
        Ok(Self { devices, primaries, complaints: answer.complaints })
    }

    pub(crate) fn primaries(&self, name: &str) -> BTreeSet<Device> {
        self.primaries.get(&path_of(name)).cloned().unwrap_or_default()
    }

    /// What a device has of an object.
    pub(crate) fn entry(&self, device: &Device, name: &str) -> Option<&Value> {
        self.devices.get(device)?.object(&path_of(name))
    }

    /// The hash directory of an object.
    pub(crate) fn folder(&self, cluster: &Cluster, device: &Device, name: &str) -> Result<PathBuf> {
        let entry = self.entry(device, name).with_context(|| format!("{device} has no {name}"))?;
        let below = entry["directory"].as_str().context("no directory")?;
        Ok(device.path(cluster).join("objects").join(below))
    }

    /// The file with an object's body.
    pub(crate) fn data_file(&self, cluster: &Cluster, device: &Device, name: &str) -> Result<PathBuf> {
        let files = self.entry(device, name).map(|entry| &entry["files"]);
        let files = files.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let data = files.into_iter().find(|file| file.ends_with(".data"));
        let data = data.with_context(|| format!("{device} has no data of {name}"))?;
        Ok(self.folder(cluster, device, name)?.join(data))
    }

    /// Everything that is wrong.
    pub(crate) fn faults(&self, ledger: &Ledger) -> Vec<String> {
        let mut faults: Vec<String> =
            self.complaints.iter().map(|complaint| format!("swift-object-info: {complaint}")).collect();
        for (device, tree) in &self.devices {
            faults.extend(tree.damaged.iter().map(|damaged| format!("{device}: damaged: {damaged}")));
            faults.extend(tree.quarantined.iter().map(|name| format!("{device}: in quarantine: {name}")));
            let known = |path: &String| self.primaries.contains_key(path);
            let unknown = tree.objects.keys().filter(|path| !known(path));
            faults.extend(unknown.map(|path| format!("{device}: {path} was never written")));
            if tree.hashes != tree.rehashed {
                let (stored, true_ones) = (&tree.hashes, &tree.rehashed);
                faults.push(format!("{device}: stale hashes: {stored:?} where the files give {true_ones:?}"));
            }
        }
        for (name, history) in &ledger.objects {
            if let Err(fault) = self.judge(name, history) {
                faults.push(format!("object {name}: {fault}"));
            }
        }
        faults
    }

    fn judge(&self, name: &str, history: &History) -> Result<(), String> {
        let primaries = self.primaries(name);
        let copies: BTreeMap<&Device, &Value> =
            self.devices.keys().filter_map(|device| Some((device, self.entry(device, name)?))).collect();
        let Some((first, copy)) = copies.first_key_value() else {
            let may = history.may_be(&State::Absent);
            return if may { Ok(()) } else { Err(format!("no copy anywhere; {history:?}")) };
        };
        if !copies.keys().copied().eq(&primaries) {
            return Err(format!("on {:?} in place of {primaries:?}", copies.keys()));
        }
        if let Some((other, differs)) = copies.iter().find(|(_, other)| *other != copy) {
            return Err(format!("{first} has {copy}, {other} has {differs}"));
        }
        let state = state_of(copy);
        if !history.may_be(&state) {
            return Err(format!("{state:?} stands ({copy}); {history:?}"));
        }
        let part = copy["partition"].as_str().unwrap_or_default();
        let hashes: BTreeMap<&Device, _> =
            copies.keys().map(|at| (*at, self.devices[*at].hashes.get(part))).collect();
        let alike = hashes.values().collect::<BTreeSet<_>>().len() == 1;
        if alike { Ok(()) } else { Err(format!("partition {part} has different hashes: {hashes:?}")) }
    }
}

/// Metadata newer than a tombstone are nobody's (see [`crate::disks`]).
fn leave_out_strays(copy: &mut Value) {
    if copy["kind"] == "tombstone"
        && let Some(files) = copy["files"].as_array_mut()
    {
        let names = files.iter().filter_map(Value::as_str);
        let base = names.filter(|name| name.ends_with(".ts")).max().unwrap_or_default().to_owned();
        files.retain(|name| !name.as_str().is_some_and(|name| is_meta(name) && is_stray(name, &base)));
    }
}

fn state_of(copy: &Value) -> State {
    if copy["kind"] == "tombstone" {
        return State::Absent;
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let kind = text(&copy["merged"]["Content-Type"]).unwrap_or_default();
    State::Present {
        put: kind.strip_prefix("written/").unwrap_or(&kind).to_owned(),
        post: text(&copy["merged"]["X-Object-Meta-Posted"]),
    }
}
