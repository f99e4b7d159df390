//! Between the contract's messages and the domain's types, by noun.
//!
//! What arrives is checked ([`TryFrom`]): required fields, forms, bounds; an error names the field as the contract
//! spells it. What leaves is only rewritten ([`From`]). Nothing else in the program looks into a generated message.

use ssync_types::Invalid;

mod body;
mod hashes;
mod metadata;
mod object;
mod object_info;
mod offer;
mod partition;
mod pending_update;
mod release;
mod session;
mod survey;
mod timestamp;
mod update;
mod verdict;

pub use body::chunk;
pub use hashes::{rehash_suffixes, stale_suffixes, suffix_hashes, suffixes, to_suffix_hashes};
pub use offer::{offers, wants};
pub use partition::partition;
pub use release::{release_items, release_results};

/// Most offers in one message.
pub const OFFERS_MAX: usize = ssync_types::Offer::BATCH_MAX;
/// Most wants in one message: what the offers that may be unanswered can come to.
pub const WANTS_MAX: usize = 8 * OFFERS_MAX;
/// Most verdicts in one message.
pub const RESULTS_MAX: usize = 1000;
/// Most items to release in one message.
pub const RELEASE_ITEMS_MAX: usize = ssync_types::ReleaseItem::BATCH_MAX;
/// Most files of one object to release.
pub const RELEASE_FILES_MAX: usize = 256;
/// Most primaries of a partition.
pub const PRIMARIES_MAX: usize = ssync_types::ReleaseOpen::PRIMARIES_MAX;
/// Most suffixes in one message: all there are.
pub const SUFFIXES_MAX: usize = ssync_types::Suffix::COUNT;
/// Most hashes of one suffix: erasure coding has one for each fragment index.
pub const SUFFIX_PARTS_MAX: usize = 1024;
/// Most metadata items of one object.
pub const METADATA_ITEMS_MAX: usize = 1000;
/// Most bytes of names and values of one object.
pub const METADATA_BYTES_MAX: usize = 512 * 1024;
/// Most bytes of a body that fits into the message that announces it.
pub const INLINE_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes in one piece of a body.
pub const CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// Longest etag. Whether it is the body's is for the store to say: one bad etag costs one object, not a session.
pub const ETAG_BYTES_MAX: usize = 128;
/// Most etags in a condition.
pub const CONDITIONS_MAX: usize = 256;
/// Most fragment sets, preferences, or indexes in one of them.
pub const FRAGMENTS_MAX: usize = 1024;
/// Most ranges of one GET; Swift answers 50 at most.
pub const RANGES_MAX: usize = 64;
/// Most features in a list.
pub const FEATURES_MAX: usize = 64;
/// Longest digest of a ring.
pub const RING_DIGEST_BYTES_MAX: usize = 64;
/// Most names in a survey of devices.
pub const SURVEY_ENTRIES_MAX: usize = ssync_types::DeviceSurvey::ENTRIES_MAX;
/// Most mounts in a survey of devices.
pub const SURVEY_MOUNTS_MAX: usize = ssync_types::DeviceSurvey::MOUNTS_MAX;
/// Most kinds of quarantined things of one device.
pub const QUARANTINED_MAX: usize = 1024;
/// Longest name in a survey of devices.
pub const SURVEY_NAME_BYTES_MAX: usize = 1024;
/// Longest text for logs.
pub const TEXT_BYTES_MAX: usize = 1024;
/// Largest request. Everything above fits into it.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest response: a full message of failed verdicts, or all suffixes of a policy with many fragments.
pub const RESPONSE_BYTES_MAX: usize = 16 * 1024 * 1024;

fn required<T>(value: Option<T>, field: &str) -> Result<T, Invalid> {
    value.ok_or_else(|| Invalid::new(field, "is required"))
}

fn at_most(count: usize, max: usize, field: &str) -> Result<(), Invalid> {
    if count > max {
        return Err(Invalid::new(field, format!("{count} are more than {max}")));
    }
    Ok(())
}

/// The same problem, of the field under its name in the message at hand.
fn named(field: &str) -> impl Fn(Invalid) -> Invalid {
    let field = field.to_owned();
    move |invalid| Invalid { field: field.clone(), ..invalid }
}

/// A text that goes to logs: no control characters.
fn text(value: String, field: &str) -> Result<String, Invalid> {
    at_most(value.len(), TEXT_BYTES_MAX, field)?;
    if value.chars().any(char::is_control) {
        return Err(Invalid::new(field, "has control characters"));
    }
    Ok(value)
}

/// Whether the text is an MD5 as Swift writes it.
fn is_md5(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
