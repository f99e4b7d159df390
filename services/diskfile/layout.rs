//! Where things are on a device (Swift: diskfile.py get_data_dir, get_tmp_dir, get_part_path; storage_policy.py).

use std::path::PathBuf;

use ssync_types::{Partition, PolicyIndex, Suffix};

use crate::Location;

pub(crate) const HASHES: &str = "hashes.pkl";
pub(crate) const INVALIDATIONS: &str = "hashes.invalid";
/// Locks a partition's hashes, and with numbers after it a device.
pub(crate) const LOCK: &str = ".lock";
pub(crate) const REPLICATION_LOCK: &str = ".lock-replication";
/// The log of removals. Swift's daemons know the directories of a device by name, and pass over this one.
pub(crate) const REMOVALS: &str = "removal-log";
/// Room for letting go of objects on a full device.
pub(crate) const RESERVE: &str = ".ssync-reserve";
pub(crate) const QUARANTINE: &str = "quarantined";

/// `base`, and for every policy but the first its index.
fn with_policy(base: &str, policy: PolicyIndex) -> PathBuf {
    PathBuf::from(match policy.get() {
        0 => base.to_owned(),
        index => format!("{base}-{index}"),
    })
}

pub(crate) fn objects(policy: PolicyIndex) -> PathBuf {
    with_policy("objects", policy)
}

pub(crate) fn temporary(policy: PolicyIndex) -> PathBuf {
    with_policy("tmp", policy)
}

/// Updates of listings that wait for Swift's object updater.
pub(crate) fn pending(policy: PolicyIndex) -> PathBuf {
    with_policy("async_pending", policy)
}

/// Files that are being let go of. Not in `tmp` itself: Swift's replicator removes what is old there, by the time of the
/// contents.
pub(crate) fn held(policy: PolicyIndex) -> PathBuf {
    temporary(policy).join("held")
}

pub(crate) fn quarantine(policy: PolicyIndex) -> PathBuf {
    PathBuf::from(QUARANTINE).join(objects(policy))
}

pub(crate) fn partition(policy: PolicyIndex, partition: Partition) -> PathBuf {
    objects(policy).join(partition.to_string())
}

pub(crate) fn suffix(policy: PolicyIndex, number: Partition, suffix: Suffix) -> PathBuf {
    partition(policy, number).join(suffix.to_string())
}

pub(crate) fn object(at: &Location) -> PathBuf {
    suffix(at.policy, at.partition, at.hash.suffix()).join(at.hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_policy_has_no_number() {
        let at = Location {
            policy: PolicyIndex::new(0),
            partition: Partition::new(312),
            hash: "4e2772c453cbe15a19b26fbfbb223e31".parse().unwrap(),
        };
        assert_eq!(object(&at), PathBuf::from("objects/312/e31/4e2772c453cbe15a19b26fbfbb223e31"));
        assert_eq!(temporary(PolicyIndex::new(2)), PathBuf::from("tmp-2"));
        assert_eq!(quarantine(PolicyIndex::new(1)), PathBuf::from("quarantined/objects-1"));
    }
}
