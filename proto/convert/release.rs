//! What a handoff lets go of.

use ssync_types::{
    Invalid, PartitionRef, Reason, Refusal, ReleaseFile, ReleaseItem, ReleaseOutcome, ReleaseResult,
};

use super::{RELEASE_FILES_MAX, RELEASE_ITEMS_MAX, RESULTS_MAX, at_most, required, verdict::unknown_outcome};
use crate::{
    status::{from_rpc_status, to_rpc_status},
    v1::{self, release_request::Message},
};

/// Longest name of a file on the file systems that Swift runs on.
const FILE_NAME_BYTES_MAX: usize = 255;

impl From<PartitionRef> for v1::ReleaseRequest {
    fn from(partition: PartitionRef) -> Self {
        Self { message: Some(Message::Open(v1::ReleaseOpen { partition: Some(partition.into()) })) }
    }
}

/// The first message of a release.
impl TryFrom<v1::ReleaseRequest> for PartitionRef {
    type Error = Refusal;

    fn try_from(request: v1::ReleaseRequest) -> Result<Self, Refusal> {
        match required(request.message, "message")? {
            Message::Open(open) => Ok(super::partition(open.partition).map_err(|i| i.within("open"))?),
            _ => Err(Refusal::new(Reason::ProtocolOrder, "the first message must be `open`")),
        }
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
            object_hash: item.hash.to_string(),
            files: files.map(|file| v1::ReleaseFile { name: file.name, inode: file.inode }).collect(),
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
            hash: item.object_hash.parse()?,
            files: item.files.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
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
