//! Metadata of a POST, and tombstones: files without a body (Swift: diskfile.py write_metadata, delete).

use std::sync::Arc;

use ssync_types::{Metadata, ObjectPath, Timestamp};

use crate::{
    Device, DiskError, Location, MetaFile,
    attributes::Attributes,
    layout, name,
    publish::{Aftermath, Publication},
    temporary::Temporary,
};

impl Device {
    /// Stores a `.meta` file. `NotFound` if there is no body, `StateChanged` if it went away meanwhile.
    pub fn write_meta(
        self: &Arc<Self>,
        at: &Location,
        path: &ObjectPath,
        meta: &MetaFile,
    ) -> Result<(), DiskError> {
        self.admit(at, path)?;
        {
            let _exclusive = self.exclusive(&at.hash);
            if self.choice_of(at)?.data.is_none() {
                return Err(DiskError::NotFound { device: self.name.clone(), path: layout::object(at) });
            }
        }
        let mut metadata = meta.metadata.clone();
        metadata.set("X-Timestamp", meta.timestamp.internal());
        metadata.remove("Content-Type-Timestamp");
        if let Some(time) = meta.content_type {
            metadata.set("Content-Type-Timestamp", time.internal());
        }
        let file = Temporary::create(self, at)?;
        self.require_space(None, &layout::object(at))?;
        let attributes = Attributes { name: Some(path.to_bytes()), metadata };
        let publication = Publication {
            file,
            at: *at,
            name: name::meta(meta.timestamp, meta.content_type),
            needs_body: true,
            then: Aftermath { replaces: None, clean_up: true, next_part_power: meta.next_part_power },
        };
        self.publish(publication, &attributes)
    }

    /// Stores a tombstone. The reserve does not matter: a full device must be able to delete.
    pub fn write_tombstone(
        self: &Arc<Self>,
        at: &Location,
        path: &ObjectPath,
        timestamp: Timestamp,
        next_part_power: Option<u32>,
    ) -> Result<(), DiskError> {
        self.admit(at, path)?;
        let mut metadata = Metadata::new();
        metadata.set("X-Timestamp", timestamp.internal());
        let file = Temporary::create(self, at)?;
        let attributes = Attributes { name: Some(path.to_bytes()), metadata };
        let publication = Publication {
            file,
            at: *at,
            name: name::tombstone(timestamp),
            needs_body: false,
            then: Aftermath { replaces: None, clean_up: true, next_part_power },
        };
        self.publish(publication, &attributes)
    }
}
