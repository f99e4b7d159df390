//! What a POST makes of an object's metadata.

use ssync_diskfile::{MetaFile, OpenObject};
use ssync_types::{Metadata, Timestamp};

/// Names that say something of the file itself, or of which the content type's time decides.
const OWN_NAMES: [&str; 4] = ["name", "x-timestamp", "content-type", "content-type-timestamp"];

/// What a POST comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Merged {
    /// Metadata of this time is here, as new as what was sent, and so is the content type.
    Older(Timestamp),
    /// Store this.
    Newer(MetaFile),
}

/// Merges a POST with what is here: metadata and content type each have a time of their own, and the newer of each wins
/// (Swift: server.py POST). Content type of `metadata` without a time has that of the POST.
pub(crate) fn merge_post(
    object: &OpenObject,
    timestamp: Timestamp,
    metadata: &Metadata,
    content_type: Option<Timestamp>,
) -> Merged {
    let info = &object.info;
    let sent_type = metadata.get("content-type").filter(|value| !value.is_empty());
    let sent_type_time = sent_type.map_or(Timestamp::ZERO, |_| content_type.unwrap_or(timestamp));
    let newer_type = sent_type_time > info.content_type;
    let (time, mut merged) = match &object.meta {
        _ if timestamp > info.timestamp => (timestamp, metadata.clone()),
        Some(meta) if newer_type => (meta.timestamp, meta.metadata.clone()),
        _ => return Merged::Older(info.timestamp),
    };
    merged.retain(|name| !OWN_NAMES.iter().any(|own| name.is(own)));
    let (value, type_time) = match sent_type {
        Some(value) if newer_type => (Some(value), sent_type_time),
        // The body's own content type is in its file.
        _ if info.content_type == info.data => (None, info.data),
        _ => (info.metadata.get("content-type"), info.content_type),
    };
    let content_type = value.map(|value| {
        merged.set("Content-Type", value.clone());
        type_time
    });
    Merged::Newer(MetaFile { timestamp: time, metadata: merged, content_type, next_part_power: None })
}
