//! POST: new metadata for an object (Swift: obj/server.py POST).

use ssync_types::{Metadata, ObjectPost, Timestamp};

use super::{
    constraints::check_metadata,
    kept::{is_sys, kept_of_post},
};
use crate::{
    container_updates::{Change, listed_content_type},
    fields::{bad, has, integer, is_true, next_part_power, timestamp},
    http::{RequestHead, Response},
    path::Path,
    placement,
    python_text::timestamp_problem,
    sidecar::Shared,
    status::{Refused, page, refused},
};

/// Replaces an object's metadata.
pub(crate) async fn post(shared: &Shared, request: &RequestHead, path: &Path) -> Result<Response, Refused> {
    let headers = &request.headers;
    let object = placement::object(path, headers, &shared.policies)?;
    let timestamp = timestamp(headers)?;
    check_delete_at(headers, timestamp)?;
    check_metadata(headers, &shared.config.constraints)?;
    let content_type = content_type_time(headers, timestamp)?;
    let drive = object.partition.device.to_string();
    let post = ObjectPost {
        object: object.clone(),
        timestamp,
        metadata: metadata(headers, content_type.is_some(), &shared.config.allowed_headers),
        content_type,
        open_expired: is_true(headers, "X-Backend-Replication") || is_true(headers, "X-Backend-Open-Expired"),
        next_part_power: next_part_power(headers)?,
    };
    let posted =
        shared.store.post_object(post).await.map_err(|refusal| Box::new(refused(&refusal, &drive)))?;
    let change = Change { request, path, headers, object: &object, timestamp };
    let updated = shared.updates.after_post(&change, &posted).await;
    updated.map_err(|refusal| Box::new(refused(&refusal, &drive)))?;
    let mut response = page(202, "").with("X-Backend-Content-Type", listed_content_type(&posted));
    for (name, value) in posted.previous.iter().filter(|(name, _)| is_sys(name)) {
        response = response.with_name(name.as_bytes(), value.clone());
    }
    Ok(response)
}

fn metadata(headers: &Metadata, with_content_type: bool, allowed: &[String]) -> Metadata {
    let mut metadata = kept_of_post(headers, allowed);
    if !with_content_type {
        metadata.remove("Content-Type");
    }
    // Swift stores an empty one, and then takes the object for damaged.
    if !has(headers, "X-Delete-At") {
        metadata.remove("X-Delete-At");
    }
    metadata
}

/// A POST's X-Delete-At, which must not be in its past.
pub(crate) fn check_delete_at(headers: &Metadata, timestamp: Timestamp) -> Result<(), Refused> {
    let at = headers.get("X-Delete-At").filter(|at| !at.is_empty());
    let at = at.map_or(Some(0), |at| integer(at)).ok_or_else(|| bad("Non-integer X-Delete-At"))?;
    let in_past = u64::try_from(at).map_or(true, |at| Timestamp::from_seconds(at) < timestamp);
    if at != 0 && in_past {
        return Err(bad("X-Delete-At in past"));
    }
    Ok(())
}

/// The time of a POST's content type; `None` when it leaves the content type as it is.
pub(crate) fn content_type_time(
    headers: &Metadata,
    timestamp: Timestamp,
) -> Result<Option<Timestamp>, Refused> {
    if !has(headers, "Content-Type") {
        return Ok(None);
    }
    let Some(value) = headers.get("Content-Type-Timestamp") else { return Ok(Some(timestamp)) };
    Timestamp::parse(value).map(Some).map_err(|_| bad(timestamp_problem(value)))
}
