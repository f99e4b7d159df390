//! GET and HEAD (Swift: obj/server.py GET, HEAD).

use ssync_types::{ObjectInfo, ReadOptions};

use super::{
    fields::{is_true, read_timestamp},
    kept::shown,
    scope,
};
use crate::{
    http::{RequestHead, Response, ResponseBody, http_date},
    placement::{self, Path, Refused},
    sidecar::Shared,
    status::refused,
};

const CONTENT_TYPE: &str = "application/octet-stream";

/// Reads an object. Ranges are not served yet: a whole object with 200 is a legal answer to one (RFC 9110, 14.2).
pub(crate) async fn get(shared: &Shared, request: &RequestHead, path: &Path) -> Result<Response, Refused> {
    let (object, options) = read_request(shared, request, path)?;
    let drive = object.partition.device.to_string();
    match shared.store.get_object(object, None, options).await {
        Ok((info, body)) => {
            let body = ResponseBody::Stream(info.content_length, body);
            Ok(found(shared, &info, body))
        }
        Err(refusal) => Err(Box::new(refused(&refusal, &drive))),
    }
}

/// Reads an object's metadata.
pub(crate) async fn head(shared: &Shared, request: &RequestHead, path: &Path) -> Result<Response, Refused> {
    let (object, options) = read_request(shared, request, path)?;
    let drive = object.partition.device.to_string();
    match shared.store.head_object(object, options).await {
        Ok(info) => Ok(found(shared, &info, ResponseBody::LengthOnly(info.content_length))),
        Err(refusal) => Err(Box::new(refused(&refusal, &drive))),
    }
}

fn read_request(
    shared: &Shared,
    request: &RequestHead,
    path: &Path,
) -> Result<(ssync_types::ObjectRef, ReadOptions), Refused> {
    let headers = &request.headers;
    let object = placement::object(path, headers, &shared.policies)?;
    let now = read_timestamp(headers)?;
    scope::check_read(headers)?;
    let open_expired =
        is_true(headers, "X-Backend-Replication") || is_true(headers, "X-Backend-Open-Expired");
    Ok((object, ReadOptions { open_expired, now, fragment_preferences: None }))
}

fn found(shared: &Shared, info: &ObjectInfo, body: ResponseBody) -> Response {
    let metadata = &info.metadata;
    let value = |name: &str| metadata.get(name).cloned();
    let content_type = value("Content-Type").unwrap_or_else(|| CONTENT_TYPE.into());
    let mut response = Response::bare(200, body).with("Content-Type", content_type);
    for (name, value) in shown(metadata, &shared.config.allowed_headers) {
        response = response.with_name(name.as_bytes(), value.clone());
    }
    let etag = value("ETag").unwrap_or_default();
    let response = response
        .with("Etag", [b"\"", &etag[..], b"\""].concat())
        .with("Last-Modified", http_date(info.timestamp.seconds_ceiling()))
        .with("X-Timestamp", info.timestamp.normal())
        .with("X-Backend-Timestamp", info.timestamp.internal())
        .with("X-Backend-Data-Timestamp", info.data.internal());
    match info.durable {
        Some(durable) => response.with("X-Backend-Durable-Timestamp", durable.internal()),
        None => response,
    }
}
