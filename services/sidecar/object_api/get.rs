//! GET and HEAD (Swift: obj/server.py GET, HEAD; common/swob.py Response).

use ssync_store::{Body, StoreResult};
use ssync_types::{ByteRange, ObjectInfo, ObjectRef, ReadOptions, Reason, Refusal};

use super::{
    conditions::Conditions,
    fields::{is_true, names, read_timestamp},
    kept::shown,
    range::{Part, Ranges, within},
    scope,
};
use crate::{
    http::{RequestHead, Response, ResponseBody, http_date},
    placement::{self, Path, Refused},
    sidecar::Shared,
    status::{page, refused},
};

const CONTENT_TYPE: &str = "application/octet-stream";
/// Names of metadata: an object that has any of them is sent whole, whatever the range.
const WHOLE_IF_PRESENT: &str = "X-Backend-Ignore-Range-If-Metadata-Present";

/// Reads an object, or some bytes of it.
pub(crate) async fn get(shared: &Shared, request: &RequestHead, path: &Path) -> Result<Response, Refused> {
    let reading = Reading::of(shared, request, path)?;
    let ranges = Ranges::of(&request.headers);
    let whole_if_present = names(&request.headers, WHOLE_IF_PRESENT);
    if reading.conditions.is_none() {
        match &ranges {
            None => return reading.send(None, None).await,
            Some(ranges) if whole_if_present.is_empty() => {
                if let Some(range) = ranges.of_any_length() {
                    return reading.send(Some(range), None).await;
                }
            }
            Some(_) => {}
        }
    }
    let info = reading.look().await?;
    if let Some(status) = reading.verdict(&info) {
        return Ok(reading.found(status, &info, ResponseBody::LengthOnly(0)));
    }
    let is_whole = whole_if_present.iter().any(|name| info.metadata.get(name).is_some());
    let ranges = ranges.filter(|_| !is_whole);
    match ranges.map_or(Part::Whole, |ranges| ranges.part(info.content_length)) {
        Part::Whole => reading.send(None, Some(&info)).await,
        Part::One(range) => reading.send(Some(range), Some(&info)).await,
        Part::Several => Err(scope::several_ranges()),
        Part::Nothing => Ok(reading.unsatisfiable(&info)),
    }
}

/// Reads an object's metadata.
pub(crate) async fn head(shared: &Shared, request: &RequestHead, path: &Path) -> Result<Response, Refused> {
    let reading = Reading::of(shared, request, path)?;
    let info = reading.look().await?;
    let (status, length) = match reading.verdict(&info) {
        Some(status) => (status, 0),
        None => (200, info.content_length),
    };
    Ok(reading.found(status, &info, ResponseBody::LengthOnly(length)))
}

/// A request that reads an object.
struct Reading<'r> {
    shared: &'r Shared,
    object: ObjectRef,
    options: ReadOptions,
    conditions: Option<Conditions<'r>>,
}

impl<'r> Reading<'r> {
    fn of(shared: &'r Shared, request: &'r RequestHead, path: &Path) -> Result<Self, Refused> {
        let headers = &request.headers;
        let object = placement::object(path, headers, &shared.policies)?;
        let now = read_timestamp(headers)?;
        let open_expired =
            is_true(headers, "X-Backend-Replication") || is_true(headers, "X-Backend-Open-Expired");
        let options = ReadOptions { open_expired, now, fragment_preferences: None };
        Ok(Self { shared, object, options, conditions: Conditions::of(headers) })
    }

    async fn look(&self) -> Result<ObjectInfo, Refused> {
        let info = self.shared.store.head_object(self.object.clone(), self.options.clone()).await;
        info.map_err(|refusal| self.refused(&refusal))
    }

    async fn read(&self, range: Option<ByteRange>) -> StoreResult<(ObjectInfo, Body)> {
        let ranges = range.into_iter().collect();
        self.shared.store.get_object(self.object.clone(), ranges, self.options.clone()).await
    }

    /// The bytes of `range`, or all. Where the request was judged by what was `seen`, that must be the object still.
    async fn send(&self, range: Option<ByteRange>, seen: Option<&ObjectInfo>) -> Result<Response, Refused> {
        let (info, body) = match (self.read(range).await, range) {
            (Ok(found), _) => found,
            (Err(refusal), Some(range)) if refusal.reason == Reason::RangeNotSatisfiable => {
                return self.beyond_the_end(range, seen).await;
            }
            (Err(refusal), _) => return Err(self.refused(&refusal)),
        };
        if seen.is_some_and(|seen| (seen.data, seen.timestamp) != (info.data, info.timestamp)) {
            return Err(self.changed());
        }
        let Some(range) = range else {
            return Ok(self.found(200, &info, ResponseBody::Stream(info.content_length, body)));
        };
        let Some(ByteRange { first, last }) = within(range, info.content_length) else {
            return Err(self.changed());
        };
        let sent = ResponseBody::Stream(last - first + 1, body);
        let content_range = format!("bytes {first}-{last}/{}", info.content_length);
        Ok(self.found(206, &info, sent).with("Content-Range", content_range))
    }

    /// The store refused a range; the answer needs the length that the object has.
    async fn beyond_the_end(&self, range: ByteRange, seen: Option<&ObjectInfo>) -> Result<Response, Refused> {
        if seen.is_some() {
            return Err(self.changed());
        }
        let info = self.look().await?;
        match within(range, info.content_length) {
            Some(_) => Err(self.changed()),
            None => Ok(self.unsatisfiable(&info)),
        }
    }

    fn unsatisfiable(&self, info: &ObjectInfo) -> Response {
        let content_range = format!("bytes */{}", info.content_length);
        self.found(416, info, ResponseBody::Full(page(416, "").into())).with("Content-Range", content_range)
    }

    fn changed(&self) -> Refused {
        let problem = format!("{} was replaced while it was being read: ask again", self.object.path);
        self.refused(&Refusal::new(Reason::StateChanged, problem))
    }

    fn refused(&self, refusal: &Refusal) -> Refused {
        let mut response = refused(refusal, self.object.partition.device.as_str());
        if response.status == 404 && self.conditions.as_ref().is_some_and(Conditions::wants_any) {
            response.status = 412;
            response.body = ResponseBody::LengthOnly(0);
        }
        Box::new(response)
    }

    /// The status that a condition asks for instead of the object.
    fn verdict(&self, info: &ObjectInfo) -> Option<u16> {
        self.conditions.as_ref().and_then(|conditions| conditions.verdict(info))
    }

    fn found(&self, status: u16, info: &ObjectInfo, body: ResponseBody) -> Response {
        let metadata = &info.metadata;
        let value = |name: &str| metadata.get(name).cloned();
        let content_type = value("Content-Type").unwrap_or_else(|| CONTENT_TYPE.into());
        let mut response = Response::bare(status, body).with("Content-Type", content_type);
        for (name, value) in shown(metadata, &self.shared.config.allowed_headers) {
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
}
