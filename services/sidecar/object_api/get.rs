//! GET and HEAD (Swift: obj/server.py GET, HEAD; common/swob.py Response).

use std::hash::{BuildHasher as _, RandomState};

use ssync_store::{Body, StoreResult};
use ssync_types::{ByteRange, FragmentSet, ObjectInfo, ObjectRef, ReadOptions, Reason, Refusal};

use super::{
    conditions::Conditions,
    kept::shown,
    multipart::Multipart,
    preferences::fragment_preferences,
    range::{Ranges, Wanted, within},
};
use crate::{
    PolicyKind,
    fields::{is_true, names, read_timestamp},
    http::{RequestHead, Response, ResponseBody, http_date},
    path::Path,
    placement,
    python_json::Json,
    sidecar::Shared,
    status::{Refused, page_text, refused},
};

/// Of an object that has none to tell.
pub(super) const CONTENT_TYPE: &str = "application/octet-stream";
/// Names of metadata: an object that has any of them is sent whole, whatever the range.
const WHOLE_IF_PRESENT: &str = "X-Backend-Ignore-Range-If-Metadata-Present";
/// What a client has shown that is not just anybody.
const TOKENS: [&str; 2] = ["X-Auth-Token", "X-Storage-Token"];
/// How often a GET looks at an object that is replaced while it is read, before it says so.
const ATTEMPTS_MAX: usize = 3;

/// Reads an object, or some bytes of it.
pub(crate) async fn get(shared: &Shared, request: &RequestHead, path: &Path) -> Result<Response, Refused> {
    let reading = Reading::of(shared, request, path)?;
    for _ in 0..ATTEMPTS_MAX {
        if let Some(response) = reading.get().await? {
            return Ok(response);
        }
    }
    let problem = format!("{} is being replaced again and again: ask later", reading.object.path);
    Err(reading.refused(&Refusal::new(Reason::StateChanged, problem)))
}

/// Reads an object's metadata.
pub(crate) async fn head(shared: &Shared, request: &RequestHead, path: &Path) -> Result<Response, Refused> {
    let reading = Reading::of(shared, request, path)?;
    let info = reading.look().await?;
    let (status, length) = match reading.verdict(&info) {
        Some(status) => (status, 0),
        None => (200, info.content_length),
    };
    Ok(found(shared, Place::Last, status, &info, ResponseBody::LengthOnly(length)))
}

/// A request that reads an object.
struct Reading<'r> {
    shared: &'r Shared,
    object: ObjectRef,
    options: ReadOptions,
    conditions: Option<Conditions<'r>>,
    ranges: Option<Ranges>,
    whole_if_present: Vec<&'r str>,
}

impl<'r> Reading<'r> {
    fn of(shared: &'r Shared, request: &'r RequestHead, path: &Path) -> Result<Self, Refused> {
        let headers = &request.headers;
        let object = placement::object(path, headers, &shared.policies)?;
        let now = read_timestamp(headers)?;
        let open_expired =
            is_true(headers, "X-Backend-Replication") || is_true(headers, "X-Backend-Open-Expired");
        let private = TOKENS.iter().any(|token| headers.get(token).is_some());
        let fragment_preferences = match shared.policies.kind(object.partition.policy) {
            Some(PolicyKind::ErasureCoding) => fragment_preferences(headers)?,
            Some(PolicyKind::Replication) | None => None,
        };
        Ok(Self {
            shared,
            object,
            options: ReadOptions { open_expired, now, fragment_preferences, private },
            conditions: Conditions::of(headers),
            ranges: Ranges::of(headers),
            whole_if_present: names(headers, WHOLE_IF_PRESENT),
        })
    }

    /// The answer to a GET; `None` when the object was replaced between two looks at it.
    async fn get(&self) -> Result<Option<Response>, Refused> {
        if self.conditions.is_none() {
            match &self.ranges {
                None => return self.send_at_once(None).await,
                Some(ranges) if self.whole_if_present.is_empty() => {
                    if let Some(range) = ranges.of_any_length() {
                        return self.send_at_once(Some(range)).await;
                    }
                }
                Some(_) => {}
            }
        }
        let info = self.look().await?;
        if let Some(status) = self.verdict(&info) {
            let nothing = ResponseBody::LengthOnly(0);
            return Ok(Some(found(self.shared, Place::First, status, &info, nothing)));
        }
        match self.wanted(&info) {
            Wanted::Whole => self.send(Vec::new(), &info).await,
            Wanted::One(range) => self.send(vec![range], &info).await,
            Wanted::Several(ranges) => self.send(ranges, &info).await,
            Wanted::Nothing => Ok(Some(self.unsatisfiable(&info))),
        }
    }

    fn wanted(&self, info: &ObjectInfo) -> Wanted {
        let is_whole = self.whole_if_present.iter().any(|name| info.metadata.get(name).is_some());
        match &self.ranges {
            Some(ranges) if !is_whole => ranges.wanted(info.content_length),
            _ => Wanted::Whole,
        }
    }

    async fn look(&self) -> Result<ObjectInfo, Refused> {
        let info = self.shared.store.head_object(self.object.clone(), self.options.clone()).await;
        info.map_err(|refusal| self.refused(&refusal))
    }

    async fn read(&self, ranges: Vec<ByteRange>) -> StoreResult<(ObjectInfo, Body)> {
        self.shared.store.get_object(self.object.clone(), ranges, self.options.clone()).await
    }

    /// What can be read without a look at the object before.
    async fn send_at_once(&self, range: Option<ByteRange>) -> Result<Option<Response>, Refused> {
        match (self.read(range.into_iter().collect()).await, range) {
            (Ok((info, body)), None) => Ok(Some(self.bytes(&[], &info, body))),
            (Ok((info, body)), Some(range)) => {
                let range = within(range, info.content_length);
                Ok(range.map(|range| self.bytes(&[range], &info, body)))
            }
            (Err(refusal), Some(range)) if refusal.reason == Reason::RangeNotSatisfiable => {
                // The answer needs the length that the object has.
                let info = self.look().await?;
                Ok(within(range, info.content_length).is_none().then(|| self.unsatisfiable(&info)))
            }
            (Err(refusal), _) => Err(self.refused(&refusal)),
        }
    }

    /// The bytes of `ranges`, or all, of the object that was `seen`.
    async fn send(&self, ranges: Vec<ByteRange>, seen: &ObjectInfo) -> Result<Option<Response>, Refused> {
        match self.read(ranges.clone()).await {
            Ok((info, body)) => Ok((info == *seen).then(|| self.bytes(&ranges, &info, body))),
            Err(refusal) if refusal.reason == Reason::RangeNotSatisfiable => Ok(None),
            Err(refusal) => Err(self.refused(&refusal)),
        }
    }

    fn bytes(&self, ranges: &[ByteRange], info: &ObjectInfo, body: Body) -> Response {
        let found = |status, body| found(self.shared, Place::Middle, status, info, body);
        match *ranges {
            [] => found(200, ResponseBody::Stream(info.content_length, body)),
            [ByteRange { first, last }] => {
                let content_range = format!("bytes {first}-{last}/{}", info.content_length);
                found(206, ResponseBody::Stream(last - first + 1, body)).with("Content-Range", content_range)
            }
            _ => {
                let multipart = Multipart::new(ranges, &content_type(info), info.content_length, boundary());
                found(206, ResponseBody::Parts(multipart.parts, body))
                    .replacing("Content-Type", multipart.content_type)
            }
        }
    }

    fn unsatisfiable(&self, info: &ObjectInfo) -> Response {
        let content_range = format!("bytes */{}", info.content_length);
        let body = ResponseBody::Page(page_text(416, "").into());
        found(self.shared, Place::First, 416, info, body).with("Content-Range", content_range)
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
}

/// Where Swift's answers have their Content-Length.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Middle,
    Last,
}

fn content_type(info: &ObjectInfo) -> bytes::Bytes {
    info.metadata.get("Content-Type").cloned().unwrap_or_else(|| CONTENT_TYPE.into())
}

/// An answer with all that is told of an object.
fn found(shared: &Shared, length: Place, status: u16, info: &ObjectInfo, body: ResponseBody) -> Response {
    let length_here =
        |response: Response, place| if length == place { response.with_length() } else { response };
    let mut response = Response::bare(status, body).with("Content-Type", content_type(info));
    response = length_here(response, Place::First);
    for (name, value) in shown(&info.metadata, &shared.config.allowed_headers) {
        response = response.with_name(name.as_bytes(), value.clone());
    }
    let etag = info.metadata.get("ETag").cloned().unwrap_or_default();
    response = response
        .with("Etag", [b"\"", &etag[..], b"\""].concat())
        .with("Last-Modified", http_date(info.timestamp.seconds_ceiling()));
    response = length_here(response, Place::Middle)
        .with("X-Timestamp", info.timestamp.normal())
        .with("X-Backend-Timestamp", info.timestamp.internal())
        .with("X-Backend-Data-Timestamp", info.data.internal());
    if let Some(durable) = info.durable {
        response = response.with("X-Backend-Durable-Timestamp", durable.internal());
    }
    match info.fragments.is_empty() {
        true => response,
        false => response.with("X-Backend-Fragments", fragments(&info.fragments)),
    }
}

/// Which fragments are here: `{"0000000010.00000": [1, 3]}`.
fn fragments(sets: &[FragmentSet]) -> Vec<u8> {
    let indexes =
        |set: &FragmentSet| -> Json { set.indexes.iter().map(|index| Json::of(index.get())).collect() };
    let json: Json = sets.iter().map(|set| (set.timestamp.internal(), indexes(set))).collect();
    json.python()
}

/// What nobody can know before: the keys of the standard library's hashers are random.
fn boundary() -> u128 {
    let keys = RandomState::new();
    u128::from(keys.hash_one(0)) << 64 | u128::from(keys.hash_one(1))
}
