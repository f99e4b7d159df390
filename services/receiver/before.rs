//! What stands in an object's place when a request comes to change it.

use std::sync::Arc;

use ssync_diskfile::{Device, DiskError, Found, Location, OpenObject, OpenOptions};
use ssync_types::{Invalid, Metadata, ObjectInfo, ObjectRef, Reason, Refusal, Timestamp, python_integer};

/// What stood in the object's place.
#[derive(Debug)]
pub(crate) struct Before {
    /// The time of the body or tombstone.
    pub(crate) timestamp: Timestamp,
    object: Option<Box<OpenObject>>,
    expired: bool,
}

impl Before {
    pub(crate) fn nothing() -> Self {
        Self { timestamp: Timestamp::ZERO, object: None, expired: false }
    }

    /// What counts now for a request of this time.
    pub(crate) fn look(
        device: &Arc<Device>,
        at: &Location,
        object: &ObjectRef,
        now: Timestamp,
    ) -> Result<Self, DiskError> {
        let options = OpenOptions {
            fragment: object.partition.fragment,
            now: Some(now),
            expected: Some(object.path.clone()),
            ..OpenOptions::default()
        };
        Ok(match device.open_object(at, &options) {
            Ok(Found::Object(object)) => {
                Self { timestamp: object.info.data, object: Some(object), expired: false }
            }
            Ok(Found::Expired(object)) => {
                Self { timestamp: object.info.timestamp, object: Some(object), expired: true }
            }
            Ok(Found::Tombstone(timestamp)) => Self { timestamp, ..Self::nothing() },
            Ok(Found::Nothing) | Err(DiskError::NotFound { .. } | DiskError::Damaged { .. }) => {
                Self::nothing()
            }
            Err(error) => return Err(error),
        })
    }

    pub(crate) fn live(&self) -> Option<&ObjectInfo> {
        self.object.as_ref().filter(|_| !self.expired).map(|object| &object.info)
    }

    /// The metadata of the object, an expired one's too.
    pub(crate) fn metadata(&self) -> Option<&Metadata> {
        self.object.as_ref().map(|object| &object.info.metadata)
    }

    pub(crate) fn into_metadata(self) -> Option<Metadata> {
        self.object.map(|object| object.info.metadata)
    }
}

/// Refuses a request because of what is stored.
pub(crate) fn conflict(object: &ObjectRef, here: Timestamp) -> Refusal {
    Refusal::new(Reason::Conflict, format!("{}: {here} is stored, which is as new or newer", object.path))
        .at(here)
}

/// When the object expires, in unix seconds. What is no number would be an object that Swift's own servers cannot open;
/// a time in the past is the client's affair: copies and restores bring such objects.
pub(crate) fn delete_at(metadata: &Metadata) -> Result<Option<i64>, Refusal> {
    let Some(value) = metadata.get("x-delete-at").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value);
    let no_time = || Invalid::new("metadata.x-delete-at", format!("{text:?} is no unix time"));
    python_integer(&text, 10).map(Some).ok_or_else(|| no_time().into())
}
