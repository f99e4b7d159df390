//! What a handoff lets go of.

use std::collections::BTreeSet;

use ssync_types::{
    Assurance, Confirmed, Invalid, Primary, Reason, Refusal, ReleaseFile, ReleaseItem, ReleaseOpen,
    ReleaseOutcome, ReleaseResult,
};

use super::{
    PRIMARIES_MAX, RELEASE_FILES_MAX, RELEASE_ITEMS_MAX, RESULTS_MAX, RING_DIGEST_BYTES_MAX, at_most,
    required, text, timestamp::required_time, verdict::unknown_outcome,
};
use crate::{
    status::{from_rpc_status, to_rpc_status},
    v1::{self, release_request::Message},
};

/// Longest name of a file on the file systems that Swift runs on.
const FILE_NAME_BYTES_MAX: usize = 255;

impl From<ReleaseOpen> for v1::ReleaseRequest {
    fn from(open: ReleaseOpen) -> Self {
        Self { message: Some(Message::Open(open.into())) }
    }
}

/// The first message of a release.
impl TryFrom<v1::ReleaseRequest> for ReleaseOpen {
    type Error = Refusal;

    fn try_from(request: v1::ReleaseRequest) -> Result<Self, Refusal> {
        match required(request.message, "message")? {
            Message::Open(open) => Ok(Self::try_from(open).map_err(|invalid| invalid.within("open"))?),
            _ => Err(Refusal::new(Reason::ProtocolOrder, "the first message must be `open`")),
        }
    }
}

impl From<ReleaseOpen> for v1::ReleaseOpen {
    fn from(open: ReleaseOpen) -> Self {
        Self {
            partition: Some(open.partition.into()),
            ring_digest: open.ring_digest.map(Into::into),
            primaries: open.primaries.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::ReleaseOpen> for ReleaseOpen {
    type Error = Invalid;

    fn try_from(open: v1::ReleaseOpen) -> Result<Self, Invalid> {
        at_most(open.ring_digest.as_deref().unwrap_or_default().len(), RING_DIGEST_BYTES_MAX, "ring_digest")?;
        at_most(open.primaries.len(), PRIMARIES_MAX, "primaries")?;
        if open.primaries.is_empty() {
            return Err(Invalid::new("primaries", "is empty"));
        }
        let primaries = open.primaries.into_iter();
        Ok(Self {
            partition: super::partition(open.partition)?,
            ring_digest: open.ring_digest.map(Into::into),
            primaries: primaries
                .map(|primary| primary.try_into().map_err(|i: Invalid| i.within("primaries")))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl From<Primary> for v1::Primary {
    fn from(primary: Primary) -> Self {
        Self { address: primary.address, device: primary.device }
    }
}

impl TryFrom<v1::Primary> for Primary {
    type Error = Invalid;

    fn try_from(primary: v1::Primary) -> Result<Self, Invalid> {
        Ok(Self { address: text(primary.address, "address")?, device: text(primary.device, "device")? })
    }
}

impl From<Vec<ReleaseItem>> for v1::ReleaseRequest {
    fn from(items: Vec<ReleaseItem>) -> Self {
        let items = items.into_iter().map(Into::into).collect();
        Self { message: Some(Message::Batch(v1::ReleaseBatch { items })) }
    }
}

/// A message after the first: its items, or none in a heartbeat.
pub fn release_items(request: v1::ReleaseRequest) -> Result<Vec<ReleaseItem>, Refusal> {
    match required(request.message, "message")? {
        Message::Heartbeat(_) => Ok(Vec::new()),
        Message::Open(_) => {
            Err(Refusal::new(Reason::ProtocolOrder, "`open` must be the first message, and only that"))
        }
        Message::Batch(batch) => {
            at_most(batch.items.len(), RELEASE_ITEMS_MAX, "batch.items")?;
            let items = batch.items.into_iter();
            Ok(items
                .map(|item| item.try_into().map_err(|i: Invalid| i.within("batch.items")))
                .collect::<Result<_, _>>()?)
        }
    }
}

impl From<ReleaseItem> for v1::ReleaseItem {
    fn from(item: ReleaseItem) -> Self {
        let files = item.files.into_iter();
        Self {
            offer: Some(item.offer.into()),
            files: files.map(|file| v1::ReleaseFile { name: file.name, inode: file.inode }).collect(),
            confirmations: item.confirmed_by.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::ReleaseItem> for ReleaseItem {
    type Error = Invalid;

    fn try_from(item: v1::ReleaseItem) -> Result<Self, Invalid> {
        at_most(item.files.len(), RELEASE_FILES_MAX, "files")?;
        if item.files.is_empty() {
            return Err(Invalid::new("files", "is empty"));
        }
        Ok(Self {
            offer: required(item.offer, "offer")?.try_into().map_err(|i: Invalid| i.within("offer"))?,
            files: item.files.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            confirmed_by: confirmations(item.confirmations)?,
        })
    }
}

fn confirmations(confirmations: Vec<v1::Confirmation>) -> Result<Vec<Confirmed>, Invalid> {
    at_most(confirmations.len(), PRIMARIES_MAX, "confirmations")?;
    if confirmations.is_empty() {
        return Err(Invalid::new("confirmations", "is empty: nobody has answered for the object"));
    }
    let confirmed = confirmations
        .into_iter()
        .map(|confirmation| confirmation.try_into().map_err(|i: Invalid| i.within("confirmations")))
        .collect::<Result<Vec<Confirmed>, _>>()?;
    let places: BTreeSet<_> = confirmed.iter().map(|confirmed| confirmed.primary).collect();
    if places.len() < confirmed.len() {
        return Err(Invalid::new("confirmations.primary", "is there twice"));
    }
    Ok(confirmed)
}

impl From<Confirmed> for v1::Confirmation {
    fn from(confirmed: Confirmed) -> Self {
        let (outcome, winning) = match confirmed.assurance {
            Assurance::Applied => (v1::UpdateOutcome::Applied, None),
            Assurance::Confirmed => (v1::UpdateOutcome::Confirmed, None),
            Assurance::Superseded(time) => (v1::UpdateOutcome::Superseded, Some(time.into())),
        };
        let primary = u32::try_from(confirmed.primary).unwrap_or(u32::MAX);
        Self { primary, outcome: outcome.into(), winning_timestamp: winning }
    }
}

impl TryFrom<v1::Confirmation> for Confirmed {
    type Error = Invalid;

    fn try_from(confirmation: v1::Confirmation) -> Result<Self, Invalid> {
        let primary = usize::try_from(confirmation.primary).ok().filter(|&place| place < PRIMARIES_MAX);
        let primary = primary.ok_or_else(|| Invalid::new("primary", "is beyond the primaries"))?;
        let assurance = match v1::UpdateOutcome::try_from(confirmation.outcome) {
            Ok(v1::UpdateOutcome::Applied) => Assurance::Applied,
            Ok(v1::UpdateOutcome::Confirmed) => Assurance::Confirmed,
            Ok(v1::UpdateOutcome::Superseded) => {
                Assurance::Superseded(required_time(confirmation.winning_timestamp, "winning_timestamp")?)
            }
            _ => return Err(Invalid::new("outcome", "does not say that the version is safe")),
        };
        Ok(Self { primary, assurance })
    }
}

impl TryFrom<v1::ReleaseFile> for ReleaseFile {
    type Error = Invalid;

    fn try_from(file: v1::ReleaseFile) -> Result<Self, Invalid> {
        let name = file.name;
        let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
        if !plain || name.len() > FILE_NAME_BYTES_MAX {
            return Err(Invalid::new(
                "files.name",
                format!("{:?} is no file name", name.chars().take(64).collect::<String>()),
            ));
        }
        Ok(Self { name, inode: file.inode })
    }
}

/// The results of one message.
pub fn release_results(results: v1::ReleaseResults) -> Result<Vec<ReleaseResult>, Invalid> {
    at_most(results.results.len(), RESULTS_MAX, "results")?;
    let results = results.results.into_iter();
    results.map(|result| result.try_into().map_err(|i: Invalid| i.within("results"))).collect()
}

impl From<Vec<ReleaseResult>> for v1::ReleaseResponse {
    fn from(results: Vec<ReleaseResult>) -> Self {
        let results = v1::ReleaseResults { results: results.into_iter().map(Into::into).collect() };
        Self { message: Some(v1::release_response::Message::Results(results)) }
    }
}

impl From<ReleaseResult> for v1::ReleaseResult {
    fn from(result: ReleaseResult) -> Self {
        let (outcome, error) = match result.outcome {
            ReleaseOutcome::Released => (v1::ReleaseOutcome::Released, None),
            ReleaseOutcome::Changed => (v1::ReleaseOutcome::Changed, None),
            ReleaseOutcome::Failed(refusal) => (v1::ReleaseOutcome::Failed, Some(to_rpc_status(&refusal))),
        };
        Self { object_hash: result.hash.to_string(), outcome: outcome.into(), error }
    }
}

impl TryFrom<v1::ReleaseResult> for ReleaseResult {
    type Error = Invalid;

    fn try_from(result: v1::ReleaseResult) -> Result<Self, Invalid> {
        let outcome = match v1::ReleaseOutcome::try_from(result.outcome) {
            Ok(v1::ReleaseOutcome::Released) => ReleaseOutcome::Released,
            Ok(v1::ReleaseOutcome::Changed) => ReleaseOutcome::Changed,
            Ok(v1::ReleaseOutcome::Failed) => {
                ReleaseOutcome::Failed(from_rpc_status(&required(result.error, "error")?))
            }
            Ok(v1::ReleaseOutcome::Unspecified) => return Err(Invalid::new("outcome", "is required")),
            Err(_) => ReleaseOutcome::Failed(unknown_outcome(result.outcome)),
        };
        Ok(Self { hash: result.object_hash.parse()?, outcome })
    }
}
