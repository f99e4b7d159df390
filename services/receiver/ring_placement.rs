//! The rings of a node's policies, followed as their files are replaced.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use ssync_ring::{LocalAddresses, Policies, Ring, RingDevice, RingError, RingEvent, RingFile};
use ssync_types::{DeviceName, Identity, Partition, PartitionRef, PolicyIndex, Sender, host_key};
use tokio_util::sync::CancellationToken;

use crate::placement::{Placement, SenderClaim};

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

/// A ring, which of its devices are this node's, and which are at a host.
struct View {
    ring: Arc<Ring>,
    local: HashMap<DeviceName, Vec<u32>>,
    hosts: HashMap<String, Vec<u32>>,
}

impl View {
    fn of(ring: Arc<Ring>, addresses: &LocalAddresses) -> Self {
        let mut local: HashMap<DeviceName, Vec<u32>> = HashMap::new();
        let mut hosts: HashMap<String, Vec<u32>> = HashMap::new();
        for device in ring.devices() {
            if addresses.hosts(device) {
                local.entry(device.device.clone()).or_default().push(device.id);
            }
            let host = host_key(&device.replication_ip);
            let for_clients = Some(host_key(&device.ip)).filter(|other| *other != host);
            for host in for_clients.into_iter().chain([host]) {
                hosts.entry(host).or_default().push(device.id);
            }
        }
        Self { ring, local, hosts }
    }

    fn devices_of<'a>(&'a self, identity: &'a Identity) -> impl Iterator<Item = &'a RingDevice> {
        let ids = identity.hosts().filter_map(|host| self.hosts.get(&host)).flatten();
        ids.filter_map(|&id| self.ring.device(id))
    }

    /// The devices at an address, as senders give theirs.
    fn devices_at(&self, address: &str) -> Vec<&RingDevice> {
        let Some((host, port)) = address.rsplit_once(':') else { return Vec::new() };
        let (host, Ok(port)) = (host_key(host), port.parse::<u16>()) else { return Vec::new() };
        let ids = self.hosts.get(&host).into_iter().flatten();
        let devices = ids.filter_map(|&id| self.ring.device(id));
        devices.filter(|device| [device.port, device.replication_port].contains(&port)).collect()
    }
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
        let view = Arc::new(View::of(ring, addresses));
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

    fn has_node(&self, identity: &Identity) -> bool {
        let mut views = self.followed.keys().filter_map(|&policy| self.view(policy));
        views.any(|view| identity.hosts().any(|host| view.hosts.contains_key(&host)))
    }

    /// A sender says its node's address and a device's name. Where the ring has such a device at that address it is that one, and
    /// has to be the certificate's; an address that the ring does not have (a wildcard) is the certificate's to tell.
    fn claim(&self, at: &PartitionRef, identity: &Identity, sender: &Sender) -> SenderClaim {
        let Some(view) = self.view(at.policy) else { return SenderClaim::NoNode };
        let own: Vec<&RingDevice> = view.devices_of(identity).collect();
        if own.is_empty() {
            return SenderClaim::NoNode;
        }
        let meant = view.devices_at(&sender.address);
        let is_meant =
            |device: &RingDevice| meant.is_empty() || meant.iter().any(|other| other.id == device.id);
        let claimed =
            own.into_iter().filter(|device| device.device.as_str() == sender.device && is_meant(device));
        let primaries: Vec<bool> =
            claimed.map(|device| view.ring.is_primary(device.id, at.partition)).collect();
        match primaries.as_slice() {
            [] => SenderClaim::NotItsDevice,
            some => SenderClaim::ItsDevice { is_primary: some.contains(&true) },
        }
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

    use ssync_ring::SwiftConf;
    use ssync_types::{Standing, SubjectName};

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

    fn partition(number: u32) -> PartitionRef {
        PartitionRef {
            device: "d1".parse().unwrap(),
            partition: Partition::new(number),
            policy: POLICY,
            fragment: None,
        }
    }

    fn identity(host: &str) -> Identity {
        let name = match host.parse() {
            Ok(ip) => SubjectName::Ip(ip),
            Err(_) => SubjectName::Dns(host.to_owned()),
        };
        Identity { names: vec![name], standing: Standing::Peer }
    }

    fn sender(address: &str, device: &str) -> Sender {
        Sender {
            address: address.to_owned(),
            device: device.to_owned(),
            job: ssync_types::Job::Sync,
            agent: String::new(),
        }
    }

    /// Two nodes of two devices each, of which one has a name and not an address; two replicas.
    fn two_nodes(swift_dir: &Path) -> RingPlacement {
        let device = |id: u32, host: &str, name: &str| {
            let device = RingDevice::local(id, 1 + id / 2, ([10, 0, 0, 1], 6200).into(), name).unwrap();
            RingDevice { ip: "192.0.2.1".to_owned(), replication_ip: host.to_owned(), ..device }
        };
        let devices =
            [(0, "10.0.0.1", "d1"), (1, "10.0.0.1", "d2"), (2, "Node-2", "d1"), (3, "Node-2", "d9")];
        let devices = devices.map(|(id, host, name)| device(id, host, name)).to_vec();
        let ring = Ring::balanced(devices, 4, 1).unwrap();
        fs::write(swift_dir.join("object.ring.gz"), ring.to_v1().unwrap()).unwrap();
        placement(swift_dir, 6200)
    }

    #[test]
    fn a_certificate_names_the_devices_of_its_node_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let placement = two_nodes(folder.path());
        let claim = |host: &str, address: &str, device: &str| {
            placement.claim(&partition(0), &identity(host), &sender(address, device))
        };
        let is_its_own = |claim| matches!(claim, SenderClaim::ItsDevice { .. });
        assert!(placement.has_node(&identity("10.0.0.1")) && placement.has_node(&identity("NODE-2.")));
        assert!(!placement.has_node(&identity("10.0.0.9")));
        assert!(is_its_own(claim("10.0.0.1", "10.0.0.1:6200", "d2")));
        assert!(is_its_own(claim("node-2", "Node-2:6200", "d9")));
        // A wildcard, or whatever else the ring does not know.
        assert!(is_its_own(claim("10.0.0.1", "0.0.0.0:6200", "d1")));
        for (host, address, device) in [
            ("10.0.0.1", "Node-2:6200", "d1"),
            ("10.0.0.1", "0.0.0.0:6200", "d9"),
            ("node-2", "10.0.0.1:6200", "d1"),
            ("node-2", "node-2:6200", "d2"),
        ] {
            assert_eq!(claim(host, address, device), SenderClaim::NotItsDevice, "{host} {address} {device}");
        }
        assert_eq!(claim("10.0.0.9", "10.0.0.1:6200", "d1"), SenderClaim::NoNode);
    }

    #[test]
    fn a_claim_tells_primaries_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let placement = two_nodes(folder.path());
        let mut primaries = 0;
        for number in 0..16 {
            for device in ["d1", "d2"] {
                let sender = sender("10.0.0.1:6200", device);
                let claim = placement.claim(&partition(number), &identity("10.0.0.1"), &sender);
                primaries += usize::from(claim == SenderClaim::ItsDevice { is_primary: true });
            }
        }
        assert_eq!(primaries, 8, "a half of the partitions, one replica of each");
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
