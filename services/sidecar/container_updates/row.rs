//! What a listing is told of an object.

use bytes::Bytes;
use ssync_types::{HeaderName, ListingOp, Metadata, Posted, Stored, Timestamp};

use super::{Change, content_type::swift_bytes};

/// Headers that replace what is told, the stronger ones last. Middlewares of the proxy use the second form; with erasure
/// coding the proxy itself uses the first.
const OVERRIDES: [&str; 2] =
    ["x-backend-container-update-override-", "x-object-sysmeta-container-update-override-"];

/// What becomes of a row in the listing, and what is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) op: ListingOp,
    pub(super) headers: Metadata,
}

/// Whether a POST has replaced metadata, and not the content type alone.
pub(super) fn replaced_metadata(change: &Change<'_>, posted: &Posted) -> bool {
    let before = posted.previous.get("X-Timestamp").and_then(|time| Timestamp::parse(time).ok());
    change.timestamp > before.unwrap_or(Timestamp::ZERO)
}

/// Swift: server.py _post_commit_updates.
pub(super) fn of_put(change: &Change<'_>, footers: &Metadata, stored: &Stored) -> Row {
    let mut headers = Metadata::new();
    headers.set("X-Size", stored.content_length.to_string());
    headers.set("X-Content-Type", change.headers.get("Content-Type").cloned().unwrap_or_default());
    headers.set("X-Timestamp", change.timestamp.internal());
    headers.set("X-Etag", stored.etag.clone());
    override_with(&mut headers, &[change.headers, footers]);
    Row { op: ListingOp::Put, headers }
}

/// Swift: server.py POST.
pub(super) fn of_post(posted: &Posted) -> Row {
    let Posted { info, previous, .. } = posted;
    let kept = |name: &str| previous.get(name).cloned();
    let mut headers = Metadata::new();
    // With erasure coding the object's own size and etag, not those of the fragment.
    let size = kept("X-Object-Sysmeta-Ec-Content-Length").or_else(|| kept("Content-Length"));
    headers.set("X-Size", size.unwrap_or_default());
    let etag = kept("X-Object-Sysmeta-Ec-Etag").or_else(|| kept("ETag"));
    headers.set("X-Etag", etag.unwrap_or_default());
    headers.set("X-Content-Type", listed_content_type(posted));
    headers.set("X-Timestamp", info.data.internal());
    headers.set("X-Content-Type-Timestamp", info.content_type.internal());
    headers.set("X-Meta-Timestamp", info.timestamp.internal());
    override_with(&mut headers, &[previous]);
    Row { op: ListingOp::Put, headers }
}

/// A content type of its own has lost what a large object's manifest says of its size, which stands with the body's.
pub(crate) fn listed_content_type(posted: &Posted) -> Bytes {
    let content_type = posted.info.metadata.get("Content-Type").cloned().unwrap_or_default();
    let own = posted.info.content_type != posted.info.data;
    match swift_bytes(&posted.body_type).filter(|bytes| own && !bytes.is_empty()) {
        Some(bytes) => Bytes::from([&content_type[..], b";swift_bytes=", bytes].concat()),
        None => content_type,
    }
}

/// Swift: server.py DELETE.
pub(super) fn of_delete(change: &Change<'_>) -> Row {
    let mut headers = Metadata::new();
    headers.set("X-Timestamp", change.timestamp.internal());
    Row { op: ListingOp::Delete, headers }
}

/// Swift: server.py _check_container_override. Later sources win over earlier ones.
fn override_with(headers: &mut Metadata, sources: &[&Metadata]) {
    for prefix in OVERRIDES {
        for source in sources {
            for (name, value) in source.iter().filter(|(name, _)| name.starts_with(prefix)) {
                let own = name.as_bytes().get(prefix.len()..).unwrap_or_default();
                // The name may come from a disk, and be none.
                match HeaderName::new(&[b"x-", own].concat()) {
                    Ok(told) => headers.insert(told, value.clone()),
                    Err(invalid) => tracing::warn!(%invalid, "an override of a container update is left out"),
                }
            }
        }
    }
}
