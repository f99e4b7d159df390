//! Metadata.

use bytes::Bytes;
use ssync_types::{HeaderName, Invalid, Metadata};

use super::{METADATA_BYTES_MAX, METADATA_ITEMS_MAX, at_most};
use crate::v1;

/// Names that stand elsewhere in a message with a body, and would contradict it here.
pub(super) const RESERVED_IN_BODY: &[&str] = &["Name", "ETag", "Content-Length", "X-Timestamp"];
/// Likewise where there is no body.
pub(super) const RESERVED_IN_POST: &[&str] = &["Name", "X-Timestamp"];
/// What is read back has everything but the name.
pub(super) const RESERVED_IN_ANSWER: &[&str] = &["Name"];

pub(super) fn from_metadata(metadata: Metadata) -> Vec<v1::MetadataEntry> {
    metadata
        .into_iter()
        .map(|(name, value)| v1::MetadataEntry { name: Bytes::copy_from_slice(name.as_bytes()), value })
        .collect()
}

pub(super) fn metadata(entries: Vec<v1::MetadataEntry>, reserved: &[&str]) -> Result<Metadata, Invalid> {
    at_most(entries.len(), METADATA_ITEMS_MAX, "metadata")?;
    let mut metadata = Metadata::new();
    let mut bytes = 0_usize;
    for entry in entries {
        bytes = bytes.saturating_add(entry.name.len()).saturating_add(entry.value.len());
        if bytes > METADATA_BYTES_MAX {
            return Err(Invalid::new("metadata", format!("more than {METADATA_BYTES_MAX} bytes")));
        }
        insert(&mut metadata, &entry.name, entry.value, reserved)?;
    }
    Ok(metadata)
}

fn insert(metadata: &mut Metadata, name: &[u8], value: Bytes, reserved: &[&str]) -> Result<(), Invalid> {
    let name = HeaderName::new(name)?;
    if reserved.iter().any(|reserved| name.is(reserved)) {
        return Err(Invalid::new("metadata.name", format!("{name:?} has a field of its own")));
    }
    let before = metadata.len();
    metadata.insert(name.clone(), value);
    if metadata.len() == before {
        return Err(Invalid::new("metadata.name", format!("{name:?} stands there twice")));
    }
    Ok(())
}

/// Of the object that was there before; every object has metadata, so none means no object.
pub(super) fn previous_metadata(entries: Vec<v1::MetadataEntry>) -> Result<Option<Metadata>, Invalid> {
    if entries.is_empty() {
        return Ok(None);
    }
    metadata(entries, &[]).map(Some).map_err(|invalid| invalid.within("previous_metadata"))
}
