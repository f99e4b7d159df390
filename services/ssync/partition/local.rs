//! What a device of this node has of a partition, by a listing that changes nothing.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use ssync_diskfile::{Devices, LocalObject};
use ssync_types::{DeviceName, ObjectKind, Partition, PolicyIndex, Suffix};

use super::Held;

/// How long is counted: a partition of millions is not counted to its end.
const COUNT_MAX: Duration = Duration::from_secs(2);

/// A partition on a device of this node.
#[derive(Debug)]
pub(crate) struct Local {
    device: DeviceName,
    held: Held,
    objects: BTreeMap<Suffix, Vec<LocalObject>>,
}

impl Local {
    /// Lists it.
    pub(crate) fn list(
        devices: &Devices,
        name: &DeviceName,
        policy: PolicyIndex,
        partition: Partition,
    ) -> anyhow::Result<Self> {
        let device = devices.open_to_look(name)?;
        let begun = Instant::now();
        let mut local = Self {
            device: name.clone(),
            held: Held { whole: true, ..Held::default() },
            objects: BTreeMap::new(),
        };
        for suffix in device.suffixes(policy, partition)? {
            if begun.elapsed() > COUNT_MAX {
                local.held.whole = false;
                break;
            }
            let look = device.look_at_suffix(policy, partition, suffix)?;
            local.held.unread += look.unread;
            for (object, bytes) in look.objects {
                let is_live = object.offer.kind == Some(ObjectKind::Data);
                local.held.objects += u64::from(is_live);
                local.held.tombstones += u64::from(!is_live);
                local.held.bytes += bytes;
                local.objects.entry(suffix).or_default().push(object);
            }
        }
        let place = devices.objects_path(name, policy).join(partition.to_string());
        local.held.hashed_seconds = age(&place.join("hashes.pkl"));
        Ok(local)
    }

    pub(crate) fn device(&self) -> &DeviceName {
        &self.device
    }

    pub(crate) fn held(&self) -> Held {
        self.held
    }

    /// The objects of some suffixes, as they are offered.
    pub(crate) fn objects_of(&self, suffixes: &[Suffix]) -> Vec<LocalObject> {
        suffixes.iter().filter_map(|suffix| self.objects.get(suffix)).flatten().cloned().collect()
    }
}

fn age(path: &Path) -> Option<u64> {
    let written = std::fs::metadata(path).and_then(|found| found.modified()).ok()?;
    Some(written.elapsed().unwrap_or_default().as_secs())
}
