//! Who is at work on a partition now: sessions and jobs, as daemons tell of them, and locks, as the kernel does.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use ssync_api::admin::{
    GetReplicatorStatusRequest, ListSessionsRequest, admin_service_client::AdminServiceClient,
    replicator_service_client::ReplicatorServiceClient,
};
use ssync_runtime::BindAddress;
use ssync_types::{Partition, PolicyIndex};
use tokio::time::timeout;

use crate::{commands::running::endpoint, figures};

/// Where the kernel lists the locks on files.
const LOCKS: &str = "/proc/locks";
/// Files of a partition that are locked while somebody is at work on it.
const LOCK_FILES: [&str; 2] = [".lock-replication", ".lock"];

/// What is under way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Busy {
    /// For people.
    pub(crate) lines: Vec<String>,
    /// Objects of it that are parked.
    pub(crate) parked: u64,
    /// Daemons that could not be asked.
    pub(crate) unasked: Vec<String>,
}

/// Asks the daemons at these addresses.
pub(crate) async fn busy(
    admins: &[BindAddress],
    policy: PolicyIndex,
    partition: Partition,
    limit: Duration,
) -> Busy {
    let mut busy = Busy::default();
    for admin in admins {
        match timeout(limit, one(admin, policy, partition)).await {
            Ok(Ok(found)) => {
                busy.lines.extend(found.lines);
                busy.parked += found.parked;
            }
            Ok(Err(error)) => busy.unasked.push(format!("{admin}: {error:#}")),
            Err(_) => busy.unasked.push(format!("{admin}: no answer within {limit:?}")),
        }
    }
    busy
}

async fn one(admin: &BindAddress, policy: PolicyIndex, partition: Partition) -> anyhow::Result<Busy> {
    let channel = endpoint(admin)?.connect().await?;
    let mut busy = Busy::default();
    // Each daemon serves what it has; the other service is not there.
    if let Ok(told) = AdminServiceClient::new(channel.clone()).list_sessions(ListSessionsRequest {}).await {
        let of_it = |session: &&ssync_api::admin::Session| {
            session.partition == partition.get() && session.policy_index == policy.get()
        };
        busy.lines.extend(told.into_inner().sessions.iter().filter(of_it).map(|session| {
            let from = if session.peer.is_empty() { "somebody" } else { &session.peer };
            let age = figures::time(Duration::from_secs(session.age_seconds));
            format!("{from} has a session on {} at {admin}, for {age} now", session.device)
        }));
    }
    let mut replicator = ReplicatorServiceClient::new(channel);
    if let Ok(told) = replicator.get_replicator_status(GetReplicatorStatusRequest {}).await {
        let told = told.into_inner();
        let jobs = told
            .jobs
            .iter()
            .filter(|job| job.partition == partition.get() && job.policy_index == policy.get());
        busy.lines.extend(jobs.map(|job| format!("the replicator at {admin} is at work on {}", job.device)));
        let parked = told
            .parked
            .iter()
            .filter(|object| object.partition == partition.get() && object.policy_index == policy.get());
        busy.parked = parked.count() as u64;
    }
    Ok(busy)
}

/// The processes that hold a lock in a partition's directory of this node.
pub(crate) fn locks(partition: &Path) -> Vec<String> {
    let table = fs::read_to_string(LOCKS).unwrap_or_default();
    let held = LOCK_FILES.iter().flat_map(|name| {
        let found = fs::metadata(partition.join(name)).ok();
        let pids = found.map(|found| holders(&table, found.dev(), found.ino())).unwrap_or_default();
        pids.into_iter().map(move |pid| format!("process {pid} holds {name}"))
    });
    held.collect()
}

/// `1: FLOCK  ADVISORY  WRITE 4711 fd:01:1234 0 EOF`; who waits for a lock has `->` in his line.
fn holders(table: &str, device: u64, inode: u64) -> Vec<u32> {
    let file = format!("{:02x}:{:02x}:{inode}", rustix::fs::major(device), rustix::fs::minor(device));
    let of_file = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [_, "FLOCK", _, _, pid, at, ..] if *at == file => pid.parse().ok(),
            _ => None,
        }
    });
    of_file.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_told_from_those_on_other_files_and_from_those_who_wait() {
        let table = "1: FLOCK  ADVISORY  WRITE 4711 00:2a:99 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 12 00:2a:99 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 5 00:2a:98 0 EOF\n3: POSIX  ADVISORY  WRITE 6 00:2a:99 0 EOF\n";
        assert_eq!(holders(table, rustix::fs::makedev(0, 0x2a), 99), [4711]);
    }

    #[test]
    fn a_lock_that_is_held_here_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let file = fs::File::create(root.path().join(".lock-replication")).unwrap();
        assert!(locks(root.path()).is_empty());
        file.lock().unwrap();
        let told = locks(root.path());
        assert_eq!(told, [format!("process {} holds .lock-replication", std::process::id())]);
    }
}
