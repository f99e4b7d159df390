//! Metadata.

use bytes::Bytes;
use ssync_types::{HeaderName, Invalid, Metadata, is_sendable_value};

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
    if !is_sendable_value(&value) {
        return Err(Invalid::new("metadata.value", format!("{name:?} has a line break in its value")));
    }
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

/// Of an object that is stored already, whoever wrote its files. What no header can carry is left out: a change that is done
/// must not become an error because of what stood there before.
pub(super) fn stored_metadata(entries: Vec<v1::MetadataEntry>) -> Metadata {
    let mut stored = Metadata::new();
    for entry in entries.into_iter().take(METADATA_ITEMS_MAX) {
        let _unsendable = insert(&mut stored, &entry.name, entry.value, RESERVED_IN_ANSWER);
    }
    stored
}

/// Of the object that was there before; every object has metadata, so none means no object.
pub(super) fn previous_metadata(entries: Vec<v1::MetadataEntry>) -> Option<Metadata> {
    (!entries.is_empty()).then(|| stored_metadata(entries))
}
