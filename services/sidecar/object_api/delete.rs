//! DELETE: a tombstone (Swift: obj/server.py DELETE).

use ssync_types::{Metadata, ObjectDelete, ReadOptions, Reason, Refusal, Timestamp};

use crate::fields::{next_part_power, timestamp};
use crate::{
    container_updates::Change,
    http::{RequestHead, Response, ResponseBody},
    path::Path,
    placement,
    sidecar::Shared,
    status::{HTML, Refused, page, refused},
};

/// A time at which nothing expires: what a request asks for that names a part of a second.
const NEVER: u64 = u64::MAX;

/// Deletes an object. A tombstone is left also where the answer is 404.
pub(crate) async fn delete(shared: &Shared, request: &RequestHead, path: &Path) -> Result<Response, Refused> {
    let headers = &request.headers;
    let object = placement::object(path, headers, &shared.policies)?;
    let timestamp = timestamp(headers)?;
    let if_delete_at = if_delete_at(headers)?;
    let drive = object.partition.device.to_string();
    let next_part_power = next_part_power(headers)?;
    let delete = ObjectDelete { object: object.clone(), timestamp, if_delete_at, next_part_power };
    let deleted = match shared.store.delete_object(delete.clone()).await {
        Ok(deleted) => deleted,
        Err(refusal) => return Err(Box::new(not_deleted(shared, delete, refusal).await)),
    };
    let change = Change { request, path, headers, object: &object, timestamp };
    let updated = shared.updates.after_delete(&change, &deleted).await;
    updated.map_err(|refusal| Box::new(refused(&refusal, &drive)))?;
    let response = match deleted.existed || if_delete_at.is_some() {
        true => Response::bare(204, ResponseBody::None).with("Content-Type", HTML),
        false => page(404, ""),
    };
    Ok(with_newest(response, deleted.timestamp, deleted.previous.as_ref()))
}

/// What is told of the object with every answer, so that a proxy can rank them.
fn with_newest(response: Response, newest: Timestamp, metadata: Option<&Metadata>) -> Response {
    let content_type = metadata.and_then(|metadata| metadata.get("Content-Type").cloned());
    response
        .with("X-Backend-Timestamp", newest.internal())
        .with("X-Backend-Content-Type", content_type.unwrap_or_default())
}

/// Nothing was deleted. A request of the expirer hears no more than that.
async fn not_deleted(shared: &Shared, delete: ObjectDelete, refusal: Refusal) -> Response {
    let drive = delete.object.partition.device.to_string();
    match (refusal.reason, refusal.timestamp, delete.if_delete_at) {
        (Reason::PreconditionFailed, _, _) => {
            Response::new(412, HTML, "X-If-Delete-At and X-Delete-At do not match")
        }
        (Reason::Conflict, _, Some(_)) => page(409, ""),
        (Reason::Conflict, Some(newest), None) => {
            let options = ReadOptions { open_expired: true, ..ReadOptions::default() };
            let here = shared.store.head_object(delete.object, options).await.ok();
            with_newest(page(409, ""), newest, here.as_ref().map(|info| &info.metadata))
        }
        _ => refused(&refusal, &drive),
    }
}

/// `X-If-Delete-At`: whole seconds, in the form of a timestamp.
fn if_delete_at(headers: &Metadata) -> Result<Option<u64>, Refused> {
    let Some(value) = headers.get("X-If-Delete-At") else { return Ok(None) };
    let time = Timestamp::parse(value)
        .map_err(|_| Box::new(Response::new(400, HTML, "Bad X-If-Delete-At header value")))?;
    let is_whole = time == Timestamp::from_seconds(time.seconds());
    Ok(Some(if is_whole { time.seconds() } else { NEVER }))
}
