//! What nodes have let go of, by their own record: where an object went.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use ssync_api::{
    admin::{
        FindRemovalsRequest, Removal, RemovalCertainty, RemovalConfirmation,
        admin_service_client::AdminServiceClient, find_removals_request::Object,
    },
    status::from_status,
    v1,
};
use ssync_runtime::BindAddress;
use ssync_types::{ObjectHash, Timestamp};
use tokio::time::timeout;

use crate::commands::running::endpoint;

/// Most removals that are shown of one node.
const SHOWN_MAX: u32 = 20;

/// One node's record of an object.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(super) node: String,
    pub(super) removals: Vec<Let>,
    /// What could not be asked, for people.
    pub(super) unread: Vec<String>,
}

/// A copy that was let go of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Let {
    pub(super) removed: Timestamp,
    pub(super) device: String,
    pub(super) policy: u32,
    pub(super) version: Timestamp,
    pub(super) is_certain: bool,
    /// Each with what it answered.
    pub(super) confirmed_by: Vec<String>,
}

/// Asks the nodes at these admin addresses.
pub(crate) async fn records(hash: ObjectHash, admins: &[BindAddress], limit: Duration) -> Vec<Record> {
    let mut records = Vec::new();
    for admin in admins {
        let asked = timeout(limit, record(hash, admin)).await;
        let asked = asked.unwrap_or_else(|_| Err(anyhow::anyhow!("did not answer within {limit:?}")));
        records.push(asked.unwrap_or_else(|error| Record {
            node: admin.to_string(),
            removals: Vec::new(),
            unread: vec![format!("{error:#}")],
        }));
    }
    records
}

async fn record(hash: ObjectHash, admin: &BindAddress) -> anyhow::Result<Record> {
    let channel = endpoint(admin)?.connect().await.context("cannot be reached")?;
    let question = FindRemovalsRequest {
        object: Some(Object::ObjectHash(hash.to_string())),
        page_size: SHOWN_MAX,
        ..FindRemovalsRequest::default()
    };
    let answer = AdminServiceClient::new(channel).find_removals(question).await;
    let answer = answer.map_err(|status| anyhow::anyhow!("{}", from_status(&status)))?.into_inner();
    let unread = answer.unread.into_iter().map(|device| format!("{}: {}", device.name, device.problem));
    Ok(Record {
        node: admin.to_string(),
        removals: answer.removals.into_iter().map(removal).collect(),
        unread: unread.collect(),
    })
}

fn time(at: Option<v1::SwiftTimestamp>) -> Timestamp {
    at.and_then(|at| at.try_into().ok()).unwrap_or_default()
}

fn removal(removal: Removal) -> Let {
    Let {
        removed: time(removal.removed_at),
        is_certain: removal.certainty() == RemovalCertainty::Removed,
        version: time(removal.offer.and_then(|offer| offer.data_timestamp)),
        confirmed_by: removal.confirmations.into_iter().map(confirmation).collect(),
        device: removal.device,
        policy: removal.policy_index,
    }
}

fn confirmation(confirmation: RemovalConfirmation) -> String {
    let what = match confirmation.outcome() {
        v1::UpdateOutcome::Applied => "stored it",
        v1::UpdateOutcome::Confirmed => "had it",
        v1::UpdateOutcome::Superseded => "had a newer one",
        _ => "gave another answer",
    };
    let primary = confirmation.primary.unwrap_or_default();
    format!("{}/{} {what}", primary.address, primary.device)
}

impl Record {
    /// For people, a line for each removal.
    pub(super) fn lines(&self) -> Vec<String> {
        let removals = self.removals.iter().map(|removal| {
            let Let { removed, device, policy, version, is_certain, confirmed_by } = removal;
            let what = if *is_certain { "let go of" } else { "began to let go of (it is gone, or still there)" };
            format!(
                "{}: handoff {device} of the node at {} {what} the version of {} ({version}, policy {policy}): {}",
                removed.utc(),
                self.node,
                version.utc(),
                if confirmed_by.is_empty() { "nobody is on record".to_owned() } else { confirmed_by.join(", ") }
            )
        });
        let unread = self
            .unread
            .iter()
            .map(|why| format!("the record of the node at {} is not whole: {why}", self.node));
        removals.chain(unread).collect()
    }

    pub(super) fn to_json(&self) -> Value {
        let removals = self.removals.iter().map(|removal| {
            json!({
                "removed": removal.removed.to_string(),
                "device": removal.device,
                "policy": removal.policy,
                "data_timestamp": removal.version.to_string(),
                "certain": removal.is_certain,
                "confirmed_by": removal.confirmed_by,
            })
        });
        json!({"node": self.node, "removals": removals.collect::<Vec<_>>(), "unread": self.unread})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_is_told_with_who_answered_for_it() {
        let confirmed = |outcome: v1::UpdateOutcome| RemovalConfirmation {
            primary: Some(v1::Primary { address: "10.0.0.1:6200".to_owned(), device: "d1".to_owned() }),
            outcome: outcome.into(),
            winning_timestamp: None,
        };
        let told = Removal {
            removed_at: Some(v1::SwiftTimestamp { ticks: 170_000_000_000_000, offset: 0 }),
            device: "d9".to_owned(),
            confirmations: vec![
                confirmed(v1::UpdateOutcome::Applied),
                confirmed(v1::UpdateOutcome::Superseded),
            ],
            certainty: RemovalCertainty::Removed.into(),
            ..Removal::default()
        };
        let let_go = |told: Removal| Record {
            node: "n".to_owned(),
            removals: vec![removal(told)],
            unread: Vec::new(),
        };
        let lines = let_go(told.clone()).lines();
        assert!(
            lines[0].starts_with("2023-11-14 22:13:20.00000: handoff d9 of the node at n let go of"),
            "{lines:?}"
        );
        assert!(
            lines[0].ends_with("10.0.0.1:6200/d1 stored it, 10.0.0.1:6200/d1 had a newer one"),
            "{lines:?}"
        );
        let begun = Removal { certainty: RemovalCertainty::Begun.into(), confirmations: Vec::new(), ..told };
        let lines = let_go(begun).lines();
        assert!(
            lines[0].contains("began to let go") && lines[0].ends_with("nobody is on record"),
            "{lines:?}"
        );
    }
}
