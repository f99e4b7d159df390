//! The rings of a node's policies, followed as their files are replaced.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use ssync_ring::{LocalAddresses, Policies, Ring, RingError, RingEvent, RingFile};
use ssync_types::{DeviceName, Partition, PolicyIndex};
use tokio_util::sync::CancellationToken;

use crate::placement::Placement;

/// [`Placement`] by the ring files of a directory. A ring that is missing, or bad, costs its policy and nothing else; it is
/// looked for again.
pub struct RingPlacement {
    local: LocalAddresses,
    check_interval: Duration,
    followed: BTreeMap<PolicyIndex, Followed>,
}

/// One policy's ring.
struct Followed {
    path: PathBuf,
    required_replicas: Option<u32>,
    file: Mutex<Option<RingFile>>,
    view: RwLock<Option<Arc<View>>>,
}

/// A ring, and which of its devices are this node's.
struct View {
    ring: Arc<Ring>,
    local: HashMap<DeviceName, Vec<u32>>,
}

impl RingPlacement {
    /// Reads the rings of all policies in `swift_dir`. It may block, also for host names in the rings.
    #[must_use]
    pub fn load(
        swift_dir: &Path,
        policies: &Policies,
        local: LocalAddresses,
        check_interval: Duration,
    ) -> Self {
        let follow = |path, required_replicas| Followed {
            path,
            required_replicas,
            file: Mutex::default(),
            view: RwLock::default(),
        };
        let followed = policies
            .iter()
            .map(|policy| (policy.index, follow(policy.ring_path(swift_dir), policy.required_replicas())))
            .collect();
        let placement = Self { local, check_interval, followed };
        placement.refresh();
        placement
    }

    /// Looks whether any file was replaced. It may block.
    pub fn refresh(&self) {
        for followed in self.followed.values() {
            followed.refresh(&self.local, self.check_interval, RingFile::refresh);
        }
    }

    /// The same, however long ago the last look was. It may block.
    pub fn refresh_now(&self) {
        for followed in self.followed.values() {
            followed.refresh(&self.local, self.check_interval, RingFile::refresh_now);
        }
    }

    /// Looks for new rings until it is told to stop.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(self.check_interval)).await.is_some() {
            let placement = Arc::clone(&self);
            if tokio::task::spawn_blocking(move || placement.refresh()).await.is_err() {
                tracing::error!("a look at the rings failed; the old ones stay");
            }
        }
    }

    /// The policy's ring as it is now.
    #[must_use]
    pub fn ring(&self, policy: PolicyIndex) -> Option<Arc<Ring>> {
        self.view(policy).map(|view| Arc::clone(&view.ring))
    }

    fn view(&self, policy: PolicyIndex) -> Option<Arc<View>> {
        self.followed.get(&policy)?.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Followed {
    fn refresh(
        &self,
        local: &LocalAddresses,
        check_interval: Duration,
        look: impl FnOnce(&RingFile) -> Option<RingEvent>,
    ) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match file.as_ref() {
            None => match RingFile::open(&self.path, self.required_replicas, check_interval) {
                Ok(opened) => {
                    self.show(opened.ring(), local);
                    *file = Some(opened);
                }
                Err(error) => self.complain(&error),
            },
            Some(known) => match look(known) {
                Some(RingEvent::Reloaded(path)) => {
                    tracing::info!(path = %path.display(), "ring reloaded");
                    self.show(known.ring(), local);
                }
                Some(RingEvent::Kept(error)) => self.complain(&error),
                None => {}
            },
        }
    }

    fn complain(&self, error: &RingError) {
        tracing::warn!(path = %self.path.display(), %error, "ring not loaded; what is known of its policy stays");
    }

    fn show(&self, ring: Arc<Ring>, addresses: &LocalAddresses) {
        let mut local: HashMap<DeviceName, Vec<u32>> = HashMap::new();
        for device in ring.devices().filter(|device| addresses.hosts(device)) {
            local.entry(device.device.clone()).or_default().push(device.id);
        }
        let view = Arc::new(View { ring, local });
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Some(view);
    }
}

impl Placement for RingPlacement {
    fn part_power(&self, policy: PolicyIndex) -> Option<u32> {
        self.view(policy).map(|view| view.ring.part_power())
    }

    /// A device that the ring does not have at this node's addresses is neither primary nor handoff: the addresses, or the
    /// ring, may be wrong.
    fn is_primary(&self, policy: PolicyIndex, partition: Partition, device: &DeviceName) -> Option<bool> {
        let view = self.view(policy)?;
        let ids = view.local.get(device)?;
        Some(ids.iter().any(|&id| view.ring.is_primary(id, partition)))
    }

    fn ring_digest(&self, policy: PolicyIndex) -> Option<Vec<u8>> {
        self.view(policy).map(|view| view.ring.digest().to_vec())
    }
}

impl fmt::Debug for RingPlacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let loaded = self.followed.keys().filter(|&&policy| self.view(policy).is_some());
        f.debug_struct("RingPlacement").field("loaded", &loaded.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ssync_ring::{RingDevice, SwiftConf};

    use super::*;

    const POLICY: PolicyIndex = PolicyIndex::new(0);

    fn write(path: &Path, part_power: u32) {
        let devices = (0..3).map(|id| {
            let address = ([127, 0, 0, 1], 6200 + u16::try_from(id).unwrap()).into();
            RingDevice::local(id, id + 1, address, "d1").unwrap()
        });
        let ring = Ring::balanced(devices.collect(), part_power, 2).unwrap();
        fs::write(path, ring.to_v1().unwrap()).unwrap();
    }

    fn placement(swift_dir: &Path, port: u16) -> RingPlacement {
        fs::write(swift_dir.join("swift.conf"), "[swift-hash]\nswift_hash_path_suffix = x\n").unwrap();
        let conf = SwiftConf::load(swift_dir).unwrap();
        let local = LocalAddresses::new(Some("127.0.0.1"), Some(port)).unwrap();
        RingPlacement::load(swift_dir, conf.policies(), local, Duration::ZERO)
    }

    #[test]
    fn a_ring_says_who_is_primary_here() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("object.ring.gz"), 4);
        let device: DeviceName = "d1".parse().unwrap();
        let primaries = (6200..6203).map(|port| {
            let placement = placement(folder.path(), port);
            (0..16)
                .filter(|&n| placement.is_primary(POLICY, Partition::new(n), &device) == Some(true))
                .count()
        });
        // Two replicas of sixteen partitions, all on these three devices of the same name.
        assert_eq!(primaries.sum::<usize>(), 32);
        let placement = placement(folder.path(), 6200);
        let in_ring = |n| placement.partition_in_ring(POLICY, Partition::new(n));
        assert_eq!((in_ring(15), in_ring(16)), (Some(true), Some(false)));
        let elsewhere = "d9".parse().unwrap();
        assert_eq!(placement.is_primary(POLICY, Partition::new(0), &elsewhere), None, "not a device of ours");
        assert_eq!(placement.part_power(PolicyIndex::new(7)), None);
    }

    #[test]
    fn looks_at_its_file_before_it_is_time_when_it_is_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("object.ring.gz");
        write(&path, 4);
        fs::write(folder.path().join("swift.conf"), "[swift-hash]\nswift_hash_path_suffix = x\n").unwrap();
        let conf = SwiftConf::load(folder.path()).unwrap();
        let local = LocalAddresses::new(Some("127.0.0.1"), Some(6200)).unwrap();
        let placement = RingPlacement::load(folder.path(), conf.policies(), local, Duration::from_secs(3600));
        write(&path, 5);
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        placement.refresh();
        assert_eq!(placement.part_power(POLICY), Some(4), "it is not time yet");
        placement.refresh_now();
        assert_eq!(placement.part_power(POLICY), Some(5));
    }

    #[test]
    fn follows_its_file_and_keeps_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("object.ring.gz");
        let placement = placement(folder.path(), 6200);
        assert_eq!(placement.partition_in_ring(POLICY, Partition::new(0)), None, "there is no ring yet");
        write(&path, 4);
        placement.refresh();
        assert_eq!(placement.part_power(POLICY), Some(4));
        let digest = placement.ring_digest(POLICY);
        fs::write(&path, "no ring").unwrap();
        placement.refresh();
        assert_eq!(placement.ring_digest(POLICY), digest, "a bad file changes nothing");
        write(&path, 5);
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        placement.refresh();
        assert_eq!(placement.part_power(POLICY), Some(5));
    }
}
