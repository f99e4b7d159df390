//! What must be so when all is quiet: everything converges, and what is gone stays gone.

use std::sync::{Arc, PoisonError};

use ssync_replicator::PassStats;
use ssync_store::Store as _;
use ssync_types::{DeviceName, Partition, PartitionRef, Rehash, Suffix};
use tokio::time::{Duration, Instant, sleep, timeout};

use super::{Fault, PASS_MAX, Scenario};
use crate::{cluster::RECLAIM_AGE, judge::Seen, places::POLICY};

/// Rounds of passes after which all must be where it belongs.
const ROUNDS_MAX: usize = 40;
/// Rounds of passes in which tombstones grow old: none so late that a device seems to have been away.
const AGING_ROUNDS: u32 = 5;
/// Requests of clients while a node is away.
const ABSENCE_REQUESTS: usize = 16;

/// Whether a pass changed anything anywhere.
fn moved(stats: &PassStats) -> bool {
    stats.objects > 0 || stats.released > 0
}

impl Scenario {
    /// All is repaired, and what was under way ends.
    pub(super) async fn quiet(&mut self) -> Result<(), String> {
        self.cluster.note("quiet");
        self.repair(Instant::now() + PASS_MAX);
        self.cluster.network.heal();
        let nodes = self.cluster.layout.nodes();
        (0..nodes).for_each(|node| self.cluster.known(node).learn(Arc::clone(&self.rings[0])));
        (0..nodes).for_each(|node| self.cluster.start(node));
        // With them go faults of disks whose nodes were down, and doubts about what was flushed.
        for (_, device) in self.cluster.layout.devices.clone() {
            self.cluster.mount_again(&device, self.cluster.seed);
        }
        let requests = async { while self.requests.join_next().await.is_some() {} };
        let end = async {
            requests.await;
            self.cluster.passes_end().await;
        };
        timeout(PASS_MAX, end).await.map_err(|_| "a pass, or a request, never ends".to_owned())
    }

    /// Passes of all nodes, until all is where it belongs.
    pub(super) async fn settle(&mut self, tombstones: bool) -> Result<(), String> {
        let mut unsettled = None;
        for round in 0..ROUNDS_MAX {
            self.round().await?;
            self.rounds = round + 1;
            let seen = Seen::look(&self.cluster)?;
            let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(wrong) = seen.wrong(&history, !tombstones) {
                return Err(wrong);
            }
            unsettled = seen.unsettled(&self.rings[0], tombstones);
            if unsettled.is_none() {
                return Ok(());
            }
        }
        Err(format!("after {ROUNDS_MAX} rounds: {}", unsettled.unwrap_or_default()))
    }

    /// A pass of each node that is up; what each did.
    async fn round(&mut self) -> Result<Vec<(usize, PassStats)>, String> {
        for node in 0..self.cluster.layout.nodes() {
            self.cluster.begin_pass(node);
        }
        let passes = timeout(PASS_MAX, self.cluster.passes_end()).await;
        let passes = passes.map_err(|_| "a pass never ends".to_owned())?;
        sleep(Duration::from_secs(30)).await;
        Ok(passes)
    }

    pub(super) async fn nothing_moves(&mut self) -> Result<(), String> {
        match self.round().await?.iter().find(|(_, stats)| moved(stats)) {
            Some((node, stats)) => Err(format!("all is where it belongs, and yet n{node} did {stats:?}")),
            None => Ok(()),
        }
    }

    /// Tombstones grow old while the nodes that are up are in service.
    async fn age(&mut self) -> Result<(), String> {
        for _ in 0..AGING_ROUNDS {
            sleep(RECLAIM_AGE * 2 / AGING_ROUNDS).await;
            if let Some((node, _)) = self.round().await?.iter().find(|(_, stats)| stats.devices_away > 0) {
                return Err(format!("n{node} was in service, and is held back"));
            }
        }
        self.cluster.note("tombstones are old");
        Ok(())
    }

    /// Tombstones are reclaimed here and there; what they covered does not come back.
    pub(super) async fn reclaim(&mut self) -> Result<(), String> {
        let live = Seen::look(&self.cluster)?.live();
        self.age().await?;
        for (node, device) in self.cluster.layout.devices.clone() {
            if self.random.once_in(2) {
                self.rehash(node, &device).await?;
            }
        }
        for _ in 0..3 {
            self.settle(false).await?;
            let now = Seen::look(&self.cluster)?.live();
            if now != live {
                return Err(format!("when tombstones were old, {live:?} became {now:?}"));
            }
        }
        Ok(())
    }

    /// A node comes back after tombstones have gone that it never saw: its devices push nothing until an operator has wiped
    /// them, and what was deleted meanwhile does not come back (rule S5).
    pub(super) async fn absence(&mut self) -> Result<(), String> {
        let away = self.random.below(self.cluster.layout.nodes());
        let devices: Vec<DeviceName> = self.cluster.layout.devices_of(away).cloned().collect();
        self.count(Fault::Absence, &devices[0]);
        self.cluster.kill(away);
        for _ in 0..ABSENCE_REQUESTS {
            self.request().await;
        }
        while self.requests.join_next().await.is_some() {}
        self.age().await?;
        for (node, device) in self.cluster.layout.devices.clone() {
            if node != away {
                self.rehash(node, &device).await?;
            }
        }
        let before = Seen::look(&self.cluster)?;
        self.cluster.start(away);
        for _ in 0..3 {
            let passes = self.round().await?;
            let pushed = passes.iter().find(|(node, stats)| *node == away && moved(stats));
            if let Some((_, stats)) = pushed {
                return Err(format!("n{away} was away for too long, and did {stats:?}"));
            }
            let held_back = passes.iter().any(|(node, stats)| *node == away && stats.devices_away > 0);
            if !held_back && before.has_bodies(&devices) {
                return Err(format!("n{away} was away for too long, and does not say so"));
            }
            let back = Seen::look(&self.cluster)?.bodies_but_of(&devices);
            if let Some(body) = back.difference(&before.bodies_but_of(&devices)).next() {
                return Err(format!("{body:?} came from a node that was away for too long"));
            }
        }
        devices.iter().for_each(|device| self.cluster.wipe(device));
        self.settle(false).await
    }

    async fn rehash(&self, node: usize, device: &DeviceName) -> Result<(), String> {
        let (receiver, _) = self.cluster.receiver(node).ok_or("a node is down")?;
        for partition in 0..1 << self.rings[0].part_power() {
            let at = PartitionRef {
                device: device.clone(),
                partition: Partition::new(partition),
                policy: POLICY,
                fragment: None,
            };
            let hashes = receiver.suffix_hashes(at.clone(), Rehash::default()).await;
            let suffixes: Vec<Suffix> = hashes
                .map_err(|refusal| refusal.to_string())?
                .into_iter()
                .map(|(suffix, _)| suffix)
                .collect();
            if !suffixes.is_empty() {
                let rehash = Rehash { suffixes, list: true };
                receiver.suffix_hashes(at, rehash).await.map_err(|refusal| refusal.to_string())?;
            }
        }
        Ok(())
    }
}
