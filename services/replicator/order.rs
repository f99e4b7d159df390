//! A push on demand: one partition of one device, to all whom a pass would push to, or to one node.

use std::collections::BTreeMap;

use ssync_ring::RingDevice;
use ssync_types::{DeviceName, Partition, PartitionRef, PolicyIndex, Reason, Refusal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    PassStats, Progress, Replicator,
    collect::{Collected, HELD_BACK, absent, local_devices},
    config::Overrides,
    gates::LeftAlone,
    job::Job,
    peer::Target,
    places::PolicyPlaces,
    single::Single,
    source::{Moved, Pulse},
};

/// What to push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushOrder {
    /// A device of this node.
    pub device: DeviceName,
    /// A partition there.
    pub partition: Partition,
    /// Its policy.
    pub policy: PolicyIndex,
    /// To this node alone: `ip:port/device`, `ip:port`, or a device's name. A handoff's partition stays whole then.
    pub to: Option<String>,
}

/// A push that was let in, and has not begun.
pub struct PushUnderWay(Single);

impl std::fmt::Debug for PushUnderWay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushUnderWay").finish_non_exhaustive()
    }
}

/// A look at a push while it runs.
#[derive(Debug, Clone)]
pub struct PushWatch {
    progress: watch::Receiver<Progress>,
    pulse: Pulse,
}

impl PushWatch {
    /// What peers have so far.
    #[must_use]
    pub fn moved(&self) -> Moved {
        self.pulse.moved()
    }

    /// Objects of a handoff that were let go so far.
    #[must_use]
    pub fn released(&self) -> u64 {
        self.progress.borrow().released
    }
}

impl PushUnderWay {
    /// How far it is, now and from now on.
    #[must_use]
    pub fn watch(&self) -> PushWatch {
        PushWatch { progress: self.0.progress(), pulse: self.0.pulse() }
    }

    /// Does it.
    pub async fn run(self) -> PassStats {
        self.0.run().await
    }
}

fn invalid(message: String) -> Refusal {
    Refusal::new(Reason::InvalidArgument, message)
}

impl Replicator {
    /// The partitions that are worked on now, by passes and on demand.
    #[must_use]
    pub fn jobs_under_way(&self) -> Vec<PartitionRef> {
        self.claims.list()
    }

    /// The devices of the jobs that move data now, once for each: those that only look are left out.
    #[must_use]
    pub fn devices_at_work(&self) -> Vec<DeviceName> {
        self.pauses.under_way()
    }

    /// The peers that are left alone for a while, and why.
    #[must_use]
    pub fn left_alone(&self) -> Vec<LeftAlone> {
        self.gates.left_alone()
    }

    /// The counters of the pass under way, or of the last one, by local device.
    #[must_use]
    pub fn by_device(&self) -> BTreeMap<DeviceName, PassStats> {
        self.meter.by_device()
    }

    /// Lets a push in, or says why it cannot be. It ends at the next boundary of an object when `drain` is cancelled.
    pub async fn order(&self, order: &PushOrder, drain: CancellationToken) -> Result<PushUnderWay, Refusal> {
        let places = self.policies().await.into_iter().find(|places| places.policy == order.policy);
        let Some(places) = places else {
            let message =
                format!("policy {} is no replication policy with a ring on this node", order.policy);
            return Err(Refusal::new(Reason::PolicyUnknown, message));
        };
        let own = self.own_device(&places, order).await?;
        let job = self.ordered_job(order).await?;
        let job = match &order.to {
            None => job,
            Some(to) => {
                let primaries = job.targets.clone();
                let is_own = Target::from(&own);
                let handoffs = job.places.handoffs(order.partition).filter(|target| *target != is_own);
                let targets = choose(to, &primaries, &handoffs.collect::<Vec<_>>(), order)?;
                job.limited_to(targets)
            }
        };
        Ok(PushUnderWay(self.single(job, drain).await))
    }

    /// The device in the ring, checked to be this node's and to hold the partition.
    async fn own_device(&self, places: &PolicyPlaces, order: &PushOrder) -> Result<RingDevice, Refusal> {
        let PushOrder { device, partition, policy, .. } = order;
        if places.ring.next_part_power().is_some() {
            let message = format!(
                "the part power of policy {policy} is being changed; until that is over nothing is pushed"
            );
            return Err(Refusal::new(Reason::RingMismatch, message));
        }
        let own = local_devices(&self.config(), places, &Overrides::default()).await;
        let Some(found) = own.iter().find(|own| own.device == *device) else {
            let names: Vec<&str> = own.iter().map(|own| own.device.as_str()).collect();
            return Err(invalid(format!(
                "device {device} is none of this node's in the ring of policy {policy}, which has: {}",
                if names.is_empty() {
                    "none; compare bind_ip, bind_port and ring_ip with the ring".to_owned()
                } else {
                    names.join(", ")
                }
            )));
        };
        let at = *policy;
        let listing = self.devices.get(device).run(move |device| device.partitions(at)).await?;
        if !listing.partitions.contains(partition) {
            return Err(invalid(format!(
                "device {device} has no partition {partition} of policy {policy}: nothing to push"
            )));
        }
        let absence = self.devices.get(device).run(|device| device.absence()).await?;
        if let Some(since) = absence.filter(|_| !self.config().push_returned_devices) {
            return Err(invalid(format!("device {device} {}: {HELD_BACK}", absent(since))));
        }
        Ok(found.clone())
    }

    async fn ordered_job(&self, order: &PushOrder) -> Result<Job, Refusal> {
        let overrides = Overrides {
            devices: [order.device.clone()].into(),
            partitions: [order.partition].into(),
            policies: [order.policy].into(),
        };
        let Collected { handoffs, primaries, .. } = self.jobs(&overrides).await;
        handoffs.into_iter().chain(primaries).next().ok_or_else(|| {
            let message = format!(
                "partition {} has no place in the ring of policy {}, so it is left alone; compare the ring file with those of other nodes",
                order.partition, order.policy
            );
            Refusal::new(Reason::RingMismatch, message)
        })
    }
}

/// How a node is named.
fn matches(to: &str, target: &Target) -> bool {
    to == target.to_string() || to == target.address() || to == target.device.as_str()
}

/// The targets that `to` names: primaries, else one handoff.
fn choose(
    to: &str,
    primaries: &[Target],
    handoffs: &[Target],
    order: &PushOrder,
) -> Result<Vec<Target>, Refusal> {
    let is_wanted = |target: &&Target| matches(to, target);
    let named: Vec<Target> = primaries.iter().filter(is_wanted).cloned().collect();
    let after: Vec<&Target> = handoffs.iter().filter(is_wanted).collect();
    let by_name_alone = !to.contains(':');
    let nodes = named.iter().chain(after.iter().copied());
    if by_name_alone && nodes.clone().count() > 1 {
        let nodes: Vec<String> = nodes.map(ToString::to_string).collect();
        return Err(invalid(format!("several nodes have a device {to}: name one of {}", nodes.join(", "))));
    }
    if !named.is_empty() {
        return Ok(named);
    }
    match after.first() {
        Some(first) => Ok(vec![(*first).clone()]),
        None => {
            let primaries: Vec<String> = primaries.iter().map(ToString::to_string).collect();
            Err(invalid(format!(
                "{to} is neither a primary nor a handoff of partition {} of policy {}; its other primaries are {}",
                order.partition,
                order.policy,
                primaries.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, policy, ring_device};

    fn target(id: u32) -> Target {
        (&ring_device(id, 1)).into()
    }

    fn order(device: &str, partition: u32, to: Option<&str>) -> PushOrder {
        PushOrder {
            device: device.parse().unwrap(),
            partition: Partition::new(partition),
            policy: PolicyIndex::new(0),
            to: to.map(str::to_owned),
        }
    }

    #[test]
    fn a_node_is_named_in_three_ways() {
        let (primaries, handoffs) = ([target(0), target(1)], vec![target(2), target(3)]);
        let chosen = |to: &str| choose(to, &primaries, &handoffs, &order("d9", 0, None));
        for to in ["d1", "10.0.0.1:6200", "10.0.0.1:6200/d1"] {
            assert_eq!(chosen(to).unwrap(), [target(1)], "{to}");
        }
        assert_eq!(chosen("d3").unwrap(), [target(3)], "a handoff may be pushed to");
        for to in ["d9", "10.0.0.1:6200/d2", "10.0.0.1", ""] {
            let refusal = chosen(to).unwrap_err();
            assert!(refusal.message.contains("neither a primary nor a handoff"), "{to}: {refusal}");
            assert!(refusal.message.contains("10.0.0.0:6200/d0, 10.0.0.1:6200/d1"), "{refusal}");
        }
    }

    #[test]
    fn a_name_that_several_nodes_have_has_to_be_told_apart() {
        let mut other = target(2);
        other.device = "d1".parse().unwrap();
        let chosen = |to: &str| choose(to, &[target(1)], &[other.clone()], &order("d9", 0, None));
        assert!(chosen("d1").unwrap_err().message.contains("10.0.0.1:6200/d1, 10.0.0.2:6200/d1"));
        assert_eq!(chosen("10.0.0.2:6200").unwrap(), [other.clone()]);
    }

    fn cluster() -> Cluster {
        let cluster = Cluster::new(policy(4, &[&[0, 2], &[1, 3]]));
        (0..10).for_each(|number| cluster.put(0, &format!("o-{number}"), number, b"body"));
        cluster
    }

    #[tokio::test]
    async fn what_is_not_here_is_refused_with_what_is() {
        let cluster = cluster();
        let replicator = cluster.replicator(0);
        let refused =
            async |order: PushOrder| replicator.order(&order, CancellationToken::new()).await.unwrap_err();
        assert!(refused(order("d7", 0, None)).await.message.contains("which has: d0"));
        assert!(refused(order("d0", 5, None)).await.message.contains("no partition 5"));
        assert!(refused(order("d0", 0, Some("d0"))).await.message.contains("neither a primary"), "itself");
        let other = PushOrder { policy: PolicyIndex::new(4), ..order("d0", 0, None) };
        assert_eq!(refused(other).await.reason, Reason::PolicyUnknown);
    }

    #[tokio::test]
    async fn a_device_that_was_away_is_held_back_in_the_words_of_a_pass() {
        let cluster = cluster();
        let replicator = cluster.replicator(0);
        std::fs::write(cluster.node(0).real(".ssync-away"), "1700000000 is when\n").unwrap();
        let refusal = replicator.order(&order("d0", 0, None), CancellationToken::new()).await.unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidArgument);
        assert!(
            refusal.message.contains("d0 was away for ") && refusal.message.ends_with(HELD_BACK),
            "{refusal}"
        );
    }

    #[tokio::test]
    async fn a_handoff_does_not_push_to_itself() {
        let cluster = Cluster::new(policy(4, &[&[0, 2], &[1, 3]]));
        (0..10).for_each(|number| cluster.put(2, &format!("o-{number}"), number, b"body"));
        let replicator = cluster.replicator(2);
        let to = |to: &str| order("d2", 0, Some(to));
        let refusal = replicator.order(&to("d2"), CancellationToken::new()).await.unwrap_err();
        assert!(refusal.message.contains("neither a primary nor a handoff"), "{refusal}");
        assert!(
            replicator.order(&to("d3"), CancellationToken::new()).await.is_ok(),
            "another handoff it may"
        );
    }

    #[tokio::test]
    async fn a_push_to_one_node_reaches_that_node_alone() {
        let cluster = cluster();
        let replicator = cluster.replicator(0);
        let push = replicator.order(&order("d0", 0, Some("d2")), CancellationToken::new()).await.unwrap();
        let watch = push.watch();
        let stats = push.run().await;
        assert_eq!(watch.moved(), Moved { objects: stats.objects, bytes: stats.bytes });
        assert!(stats.complete() && stats.objects > 0, "{stats:?}");
        assert_eq!(cluster.node(2).partitions(), ["0".to_owned()].into());
        assert!(cluster.node(1).files().is_empty());
    }

    #[tokio::test]
    async fn two_jobs_of_one_partition_wait_for_each_other() {
        let cluster = cluster();
        let replicator = cluster.replicator(0);
        let at = PartitionRef {
            device: "d0".parse().unwrap(),
            partition: Partition::new(0),
            policy: PolicyIndex::new(0),
            fragment: None,
        };
        let claim = replicator.claims.claim(&at).unwrap();
        let push = replicator.order(&order("d0", 0, None), CancellationToken::new()).await.unwrap();
        let run = tokio::spawn(push.run());
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert!(!run.is_finished() && cluster.node(1).files().is_empty(), "the partition is claimed");
        drop(claim);
        assert!(run.await.unwrap().complete());
        assert!(!cluster.node(1).files().is_empty());
    }
}
