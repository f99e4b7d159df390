//! DELETE: a tombstone (Swift: obj/server.py DELETE).

use ssync_types::{Metadata, ObjectDelete, Reason, Timestamp};

use super::fields::{next_part_power, timestamp};
use crate::{
    http::{RequestHead, Response, ResponseBody},
    placement::{self, Path, Refused},
    sidecar::Shared,
    status::{HTML, plain_page, refused},
    updates::Change,
};

/// Deletes an object. A tombstone is left also where the answer is 404.
pub(crate) async fn delete(shared: &Shared, request: &RequestHead, path: &Path) -> Result<Response, Refused> {
    let headers = &request.headers;
    let object = placement::object(path, headers, &shared.policies)?;
    let timestamp = timestamp(headers)?;
    let if_delete_at = if_delete_at(headers)?;
    let drive = object.partition.device.to_string();
    let next_part_power = next_part_power(headers)?;
    let delete = ObjectDelete { object: object.clone(), timestamp, if_delete_at, next_part_power };
    let deleted = match shared.store.delete_object(delete).await {
        Ok(deleted) => deleted,
        Err(refusal) if refusal.reason == Reason::PreconditionFailed => {
            return Err(Box::new(Response::new(412, HTML, "X-If-Delete-At and X-Delete-At do not match")));
        }
        Err(refusal) => return Err(Box::new(refused(&refusal, &drive))),
    };
    let change = Change { request, path, headers, object: &object, timestamp };
    let updated = shared.updates.after_delete(&change, &deleted).await;
    updated.map_err(|refusal| Box::new(refused(&refusal, &drive)))?;
    let content_type = deleted.previous.as_ref().and_then(|metadata| metadata.get("Content-Type").cloned());
    let response = match deleted.existed {
        true => Response::bare(204, ResponseBody::None).with("Content-Type", HTML),
        false => plain_page(404, ""),
    };
    Ok(response
        .with("X-Backend-Timestamp", deleted.timestamp.internal())
        .with("X-Backend-Content-Type", content_type.unwrap_or_default()))
}

/// `X-If-Delete-At`: whole seconds, in the form of a timestamp.
fn if_delete_at(headers: &Metadata) -> Result<Option<u64>, Refused> {
    let Some(value) = headers.get("X-If-Delete-At") else { return Ok(None) };
    Timestamp::parse(value)
        .map(|time| Some(time.seconds()))
        .map_err(|_| Box::new(Response::new(400, HTML, "Bad X-If-Delete-At header value")))
}
