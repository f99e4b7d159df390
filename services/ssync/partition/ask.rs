//! Asks every device for the hashes of its suffixes, and those that differ for what they lack of what is here.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use ssync_diskfile::LocalObject;
use ssync_replicator::{Nodes, Peers as _, Target};
use ssync_store::{PeerBook, PeerKind};
use ssync_types::{Partition, PartitionRef, PolicyIndex, Refusal, Suffix};
use tokio::time::timeout;

use super::{Lacks, Replica, State, Told, local::Local};

/// Most devices that are asked at once.
const ASKED_AT_ONCE_MAX: usize = 32;
/// Most objects of which a peer is asked whether it has them.
const OFFERED_MAX: usize = 20_000;

/// What is asked of every device.
pub(crate) struct Question {
    pub(crate) policy: PolicyIndex,
    pub(crate) partition: Partition,
    /// For each device.
    pub(crate) limit: Duration,
    pub(crate) nodes: Nodes,
    pub(crate) book: PeerBook,
}

impl Question {
    fn at(&self, target: &Target) -> PartitionRef {
        PartitionRef {
            device: target.device.clone(),
            partition: self.partition,
            policy: self.policy,
            fragment: None,
        }
    }
}

/// Fills in what each device answers. `local` is what this node's own device has, where it has the partition.
pub(crate) async fn ask_all(
    question: &Question,
    replicas: Vec<Replica>,
    local: Option<&Local>,
) -> Vec<Replica> {
    let asked = replicas.into_iter().map(|mut replica| async move {
        replica.state = hashes(question, &replica.target).await;
        replica
    });
    let mut all: Vec<Replica> = stream::iter(asked).buffered(ASKED_AT_ONCE_MAX).collect().await;
    let Some(local) = local else { return all };
    let own = all.iter().find(|replica| replica.is_own && replica.target.device == *local.device());
    let Some(own) = own.and_then(Replica::told).map(|told| told.hashes.clone()) else { return all };
    for replica in &mut all {
        let State::Answered(told) = &mut replica.state else { continue };
        if replica.is_own && replica.target.device == *local.device() {
            told.held = Some(local.held());
            continue;
        }
        let differs = |suffix: &&Suffix| {
            own.get(suffix)
                .is_some_and(|ours| !told.hashes.get(suffix).is_some_and(|theirs| theirs.agrees(ours)))
        };
        let suffixes: Vec<Suffix> = own.keys().filter(differs).copied().collect();
        // Handoffs hold what others lack, and lack nothing themselves.
        if suffixes.is_empty() || !matches!(replica.role, crate::object::Role::Primary(_)) {
            continue;
        }
        let objects = local.objects_of(&suffixes);
        told.lacks = lacking(question, &replica.target, objects).await.ok();
    }
    all
}

async fn hashes(question: &Question, target: &Target) -> State {
    let asked = async {
        let kind = match question.book.kind(&target.address()).await? {
            PeerKind::Grpc | PeerKind::GrpcByTls => "ssync",
            PeerKind::StockSwift => "stock Swift",
        };
        let peer = question.nodes.find(target).await?;
        let hashes = peer.suffix_hashes(&question.at(target)).await?;
        Ok::<_, Refusal>(Told { kind, hashes, ..Told::default() })
    };
    match timeout(question.limit, asked).await {
        Ok(Ok(told)) => State::Answered(told),
        Ok(Err(refusal)) => State::Failed(refusal.to_string()),
        Err(_) => State::Failed(format!("no answer within {:?}", question.limit)),
    }
}

async fn lacking(
    question: &Question,
    target: &Target,
    mut objects: Vec<LocalObject>,
) -> anyhow::Result<Lacks> {
    objects.truncate(OFFERED_MAX);
    let asked = objects.len() as u64;
    if asked == 0 {
        return Ok(Lacks::default());
    }
    let peer = question.nodes.find(target).await?;
    let wants = timeout(question.limit, peer.lacking(&question.at(target), Arc::new(objects))).await??;
    Ok(Lacks { objects: wants.len() as u64, asked })
}
