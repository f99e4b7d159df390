//! Removals as the admin service tells them, a page at a time.

use ssync_api::{
    admin::{
        self, FindRemovalsRequest, FindRemovalsResponse, RemovalCertainty, UnreadDevice,
        find_removals_request::Object,
    },
    v1,
};
use ssync_types::{
    Assurance, Certainty, Confirmed, DeviceName, Invalid, ObjectHash, ObjectPath, PolicyIndex, Primary,
    Refusal, Removal, Timestamp,
};

use crate::Receiver;

/// Removals in an answer, where the question does not say.
const PAGE_DEFAULT: usize = 100;
/// Most removals in an answer.
const PAGE_MAX: usize = 1000;

pub(super) async fn find(
    receiver: &Receiver,
    request: FindRemovalsRequest,
) -> Result<FindRemovalsResponse, Refusal> {
    let hash = object(receiver, request.object)?;
    let policy = request.policy_index.map(PolicyIndex::new);
    let after = after(&request.page_token)?;
    let size = match usize::try_from(request.page_size) {
        Ok(0) => PAGE_DEFAULT,
        Ok(size @ 1..=PAGE_MAX) => size,
        _ => return Err(Invalid::new("page_size", format!("is more than {PAGE_MAX}")).into()),
    };
    let removals = receiver.removals(hash).await;
    let asked_for = |removal: &Removal| {
        policy.is_none_or(|policy| removal.policy == policy)
            && after.as_ref().is_none_or(|(at, device)| (*at, &removal.device) > (removal.at, device))
    };
    let mut found: Vec<_> = removals.found.into_iter().filter(asked_for).collect();
    let more = found.len() > size;
    found.truncate(size);
    let last = found.last().filter(|_| more);
    let next_page_token =
        last.map(|last| format!("{}/{}", last.at.normal(), last.device)).unwrap_or_default();
    let unread = removals.unread.into_iter();
    Ok(FindRemovalsResponse {
        removals: found.into_iter().map(removal).collect(),
        next_page_token,
        object_hash: hash.to_string(),
        unread: unread.map(|(name, problem)| UnreadDevice { name: name.to_string(), problem }).collect(),
    })
}

fn object(receiver: &Receiver, object: Option<Object>) -> Result<ObjectHash, Invalid> {
    match object {
        Some(Object::ObjectHash(hash)) => hash.parse(),
        Some(Object::Path(path)) => Ok(receiver.hash_of(&ObjectPath::parse(path)?)),
        None => Err(Invalid::new("object", "is required")),
    }
}

/// The removal that the page before ended with.
fn after(token: &str) -> Result<Option<(Timestamp, DeviceName)>, Invalid> {
    if token.is_empty() {
        return Ok(None);
    }
    let parsed =
        token.split_once('/').and_then(|(at, device)| Some((at.parse().ok()?, device.parse().ok()?)));
    parsed.map(Some).ok_or_else(|| Invalid::new("page_token", "is none that an answer had"))
}

fn removal(removal: Removal) -> admin::Removal {
    let certainty = match removal.certainty {
        Certainty::Removed => RemovalCertainty::Removed,
        Certainty::Begun => RemovalCertainty::Begun,
    };
    admin::Removal {
        removed_at: Some(removal.at.into()),
        device: removal.device.to_string(),
        policy_index: removal.policy.get(),
        partition: removal.partition.get(),
        offer: Some(removal.offer.into()),
        path: removal.path.map(|path| path.to_bytes()).unwrap_or_default(),
        confirmations: removal.confirmed_by.into_iter().map(confirmation).collect(),
        ring_digest: removal.ring_digest.unwrap_or_default().into(),
        certainty: certainty.into(),
    }
}

fn confirmation((primary, assurance): (Primary, Assurance)) -> admin::RemovalConfirmation {
    let said = v1::Confirmation::from(Confirmed { primary: 0, assurance });
    admin::RemovalConfirmation {
        primary: Some(primary.into()),
        outcome: said.outcome,
        winning_timestamp: said.winning_timestamp,
    }
}
