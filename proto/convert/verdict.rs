//! Verdicts on updates.

use ssync_types::{Invalid, Outcome, Reason, Refusal, UpdateResult};

use super::{RESULTS_MAX, at_most, required, timestamp::required_time};
use crate::{
    status::{from_rpc_status, to_rpc_status},
    v1,
};

/// The verdicts of one message.
pub(super) fn results(results: Vec<v1::UpdateResult>) -> Result<Vec<UpdateResult>, Invalid> {
    at_most(results.len(), RESULTS_MAX, "results")?;
    if results.is_empty() {
        return Err(Invalid::new("results", "is empty"));
    }
    results.into_iter().map(|result| result.try_into().map_err(|i: Invalid| i.within("results"))).collect()
}

impl From<UpdateResult> for v1::UpdateResult {
    fn from(result: UpdateResult) -> Self {
        use v1::UpdateOutcome as Wire;
        let (outcome, winning, error) = match result.outcome {
            Outcome::Applied => (Wire::Applied, None, None),
            Outcome::AppliedUnflushed => (Wire::AppliedUnflushed, None, None),
            Outcome::Confirmed => (Wire::Confirmed, None, None),
            Outcome::Superseded(time) => (Wire::Superseded, Some(time.into()), None),
            Outcome::NotFound => (Wire::NotFound, None, None),
            Outcome::NotPrimary => (Wire::NotPrimary, None, None),
            Outcome::Failed(refusal) => (Wire::Failed, None, Some(to_rpc_status(&refusal))),
        };
        Self {
            update_id: result.update_id,
            object_hash: result.hash.to_string(),
            outcome: outcome.into(),
            winning_timestamp: winning,
            error,
        }
    }
}

impl TryFrom<v1::UpdateResult> for UpdateResult {
    type Error = Invalid;

    fn try_from(result: v1::UpdateResult) -> Result<Self, Invalid> {
        use v1::UpdateOutcome as Wire;
        let outcome = match Wire::try_from(result.outcome) {
            Ok(Wire::Applied) => Outcome::Applied,
            Ok(Wire::AppliedUnflushed) => Outcome::AppliedUnflushed,
            Ok(Wire::Confirmed) => Outcome::Confirmed,
            Ok(Wire::Superseded) => {
                Outcome::Superseded(required_time(result.winning_timestamp, "winning_timestamp")?)
            }
            Ok(Wire::NotFound) => Outcome::NotFound,
            Ok(Wire::NotPrimary) => Outcome::NotPrimary,
            Ok(Wire::Failed) => Outcome::Failed(from_rpc_status(&required(result.error, "error")?)),
            Ok(Wire::Unspecified) => return Err(Invalid::new("outcome", "is required")),
            // The enumeration grows, and what is not known licenses nothing (rule S4).
            Err(_) => Outcome::Failed(unknown_outcome(result.outcome)),
        };
        Ok(Self { update_id: result.update_id, hash: result.object_hash.parse()?, outcome })
    }
}

pub(super) fn unknown_outcome(outcome: i32) -> Refusal {
    Refusal::new(Reason::Unsupported, format!("outcome {outcome} is of a later version of the contract"))
}
