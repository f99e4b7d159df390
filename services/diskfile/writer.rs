//! Writing a body (Swift: diskfile.py BaseDiskFileWriter, ECDiskFileWriter).

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use rustix::io::Errno;
use ssync_types::{FragmentIndex, Invalid, ObjectPath};

use crate::{
    Committed, DataFile, Device, DiskError, Location, PolicyKind,
    attributes::Attributes,
    choice::Preference,
    digest::BodyMd5,
    directory::errno,
    disk::write_all,
    layout, merge, name,
    publish::{Aftermath, Publication},
    temporary::Temporary,
};

const MIB: u64 = 1 << 20;
const FRAGMENT_INDEX: &str = "X-Object-Sysmeta-Ec-Frag-Index";

/// A body being written. Dropped without `commit`, it leaves nothing.
#[derive(Debug)]
pub struct Writer {
    device: Arc<Device>,
    file: Temporary,
    at: Location,
    path: ObjectPath,
    kind: PolicyKind,
    written: u64,
    flushed: u64,
    md5: BodyMd5,
    /// What went wrong: what is on disk is not known from then on, and no later flush would tell.
    failed: Option<DiskError>,
}

/// A body with all that is to be said of it.
pub(crate) struct Finished {
    pub(crate) publication: Publication,
    pub(crate) attributes: Attributes,
    pub(crate) committed: Committed,
}

impl Device {
    /// Begins a body of `size` bytes (`None`: not known beforehand).
    pub fn create(
        self: &Arc<Self>,
        at: &Location,
        path: &ObjectPath,
        size: Option<u64>,
    ) -> Result<Writer, DiskError> {
        self.check_mounted()?;
        let writer = self.create_with(at, path, size, |at| Temporary::create(self, at))?;
        writer.allocate(size)?;
        Ok(writer)
    }

    /// As [`create`](Self::create), in a file of the caller's, who has just looked at the mount and has the bytes at hand: no
    /// space is taken before they are written.
    pub(crate) fn create_with(
        self: &Arc<Self>,
        at: &Location,
        path: &ObjectPath,
        size: Option<u64>,
        file: impl FnOnce(&Location) -> Result<Temporary, DiskError>,
    ) -> Result<Writer, DiskError> {
        let kind = self.admit_name(at, path)?;
        let file = file(at)?;
        match size.filter(|size| *size > 0) {
            Some(_) if self.settings.config.disable_fallocate => {}
            size => self.require_space(size, &layout::object(at))?,
        }
        Ok(Writer {
            device: Arc::clone(self),
            file,
            at: *at,
            path: path.clone(),
            kind,
            written: 0,
            flushed: 0,
            md5: BodyMd5::default(),
            failed: None,
        })
    }

    /// Refuses what would eat into the reserve (Swift: common/utils fallocate with a size, fs_has_free_space without).
    pub(crate) fn require_space(&self, size: Option<u64>, path: &Path) -> Result<(), DiskError> {
        let space = self.space()?;
        let short = match size {
            Some(size) => space.reserve > 0 && space.free.saturating_sub(size) <= space.reserve,
            None => space.free < space.reserve,
        };
        if !short {
            return Ok(());
        }
        let problem = format!("{} bytes are free, of which {} are reserved", space.free, space.reserve);
        Err(DiskError::Full { device: self.name.clone(), path: path.to_path_buf(), problem })
    }

    /// Gives a stored fragment its durable mark (Swift: ECDiskFileWriter._finalize_durable); while the partition power is being
    /// changed, also where it was linked for the next one.
    pub fn commit_fragment(
        &self,
        at: &Location,
        fragment: FragmentIndex,
        timestamp: ssync_types::Timestamp,
        next_part_power: Option<u32>,
    ) -> Result<(), DiskError> {
        self.check_fragment(self.kind(at.policy)?, Some(fragment))?;
        self.check_mounted()?;
        let directory = layout::object(at);
        let (plain, durable) =
            (name::fragment(timestamp, fragment, false), name::fragment(timestamp, fragment, true));
        let _exclusive = self.exclusive(&at.hash);
        let partition = layout::partition(at.policy, at.partition);
        let rename = || self.disk.rename(&directory.join(&plain), &directory.join(&durable));
        match self.invalidate_around(&partition, &[at.hash.suffix()], rename)? {
            Ok(()) => {}
            Err(error) if errno(&error) == Some(Errno::NOENT) => {
                self.require_durable(at, fragment, timestamp)?;
            }
            Err(error) => return Err(self.io("mark as durable", &directory.join(&plain), error)),
        }
        // Also where it had its mark before: whoever gave it may have been cut off here.
        self.sync_names(&directory, 0).map_err(|error| self.io("flush the directory", &directory, error))?;
        self.finish(at, &durable, &Aftermath { replaces: Some(plain), clean_up: true, next_part_power });
        Ok(())
    }

    /// The fragment is gone. That is as good, if another writer's newer tombstone, or a durable fragment of the same index as
    /// new as this one, took its place. Another index does not: who holds the only copy of this one may remove it.
    fn require_durable(
        &self,
        at: &Location,
        fragment: FragmentIndex,
        timestamp: ssync_types::Timestamp,
    ) -> Result<(), DiskError> {
        let directory = layout::object(at);
        let preference = Preference { fragment: Some(fragment), fragments: None };
        let found = self
            .examine(&directory, self.kind(at.policy)?, preference)
            .map_err(|error| self.io("list", &directory, error))?
            .choice;
        let deleted = found.tombstone.is_some_and(|tombstone| tombstone.timestamp > timestamp);
        if deleted || found.durable >= Some(timestamp) {
            return Ok(());
        }
        Err(DiskError::NotFound { device: self.name.clone(), path: directory })
    }

    fn check_fragment(&self, kind: PolicyKind, fragment: Option<FragmentIndex>) -> Result<(), DiskError> {
        let problem = match (kind, fragment) {
            (PolicyKind::Replication, None) => return Ok(()),
            (PolicyKind::ErasureCoding { fragments }, Some(index)) if index.get() < fragments => {
                return Ok(());
            }
            (PolicyKind::ErasureCoding { fragments }, Some(index)) => {
                format!("{index} is not below {fragments}")
            }
            (PolicyKind::ErasureCoding { .. }, None) => {
                "is missing, and the policy is erasure-coded".to_owned()
            }
            (PolicyKind::Replication, Some(_)) => "is given, and the policy is not erasure-coded".to_owned(),
        };
        Err(Invalid::new("fragment_index", problem).into())
    }
}

impl Writer {
    /// Takes space for so many bytes.
    fn allocate(&self, size: Option<u64>) -> Result<(), DiskError> {
        let Some(size) = size.filter(|size| *size > 0 && !self.device.settings.config.disable_fallocate)
        else {
            return Ok(());
        };
        match self.file.file.allocate(size) {
            Err(error) if !matches!(errno(&error), Some(Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL)) => {
                Err(self.error("take space in", error))
            }
            _ => Ok(()),
        }
    }

    /// Appends bytes. After an error all that follows has the same error.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.append(bytes)?;
        self.md5.take_alone(bytes);
        Ok(())
    }

    /// As [`write`](Self::write), hashed together with what other threads write and read.
    pub fn write_piece(&mut self, piece: &Bytes) -> Result<(), DiskError> {
        self.append(piece)?;
        self.md5.take(piece, &self.device.settings.hashing);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        if self.failed.is_none() {
            self.failed = self.try_append(bytes).err();
        }
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn try_append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        write_all(&*self.file.file, bytes, self.written).map_err(|error| self.error("write to", error))?;
        self.written += bytes.len() as u64;
        let interval = self.device.settings.config.mb_per_sync.saturating_mul(MIB);
        if interval > 0 && self.written - self.flushed >= interval {
            self.file.file.sync_data().map_err(|error| self.error("flush", error))?;
            self.file.file.drop_cache(self.flushed, self.written - self.flushed);
            self.flushed = self.written;
        }
        Ok(())
    }

    /// Bytes written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// MD5 of the bytes written so far, 32 lower-case hex digits.
    #[must_use]
    pub fn md5_hex(&self) -> String {
        self.md5.hex()
    }

    /// Publishes the body: flushed, named, its directory flushed, what it obsoletes removed. Another body of the same time is
    /// replaced; whether that may be is the caller's to know.
    pub fn commit(self, file: DataFile) -> Result<Committed, DiskError> {
        let device = Arc::clone(&self.device);
        let Finished { publication, attributes, committed } = self.finish(file)?;
        device.publish(publication, &attributes)?;
        Ok(committed)
    }

    /// Takes no more bytes.
    pub(crate) fn finish(self, file: DataFile) -> Result<Finished, DiskError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let fragment = self.fragment(&file)?;
        let etag = self.md5_hex();
        let mut metadata = file.metadata;
        if metadata.get("ETag").is_some_and(|given| given != etag.as_bytes()) {
            return Err(Invalid::new("etag", format!("is not {etag}, the MD5 of the body")).into());
        }
        metadata.set("X-Timestamp", file.timestamp.internal());
        metadata.set("Content-Length", self.written.to_string());
        metadata.set("ETag", etag.clone());
        let name = match fragment {
            None => name::data(file.timestamp),
            Some((index, durable)) => {
                if metadata.get(FRAGMENT_INDEX).is_none() {
                    metadata.set(FRAGMENT_INDEX, index.to_string());
                }
                name::fragment(file.timestamp, index, durable)
            }
        };
        let attributes = Attributes { name: Some(self.path.to_bytes()), metadata };
        let publication = Publication {
            file: self.file,
            at: self.at,
            name,
            needs_body: false,
            then: Aftermath {
                replaces: match fragment {
                    Some((index, true)) => Some(name::fragment(file.timestamp, index, false)),
                    _ => None,
                },
                clean_up: fragment.is_none_or(|(_, durable)| durable),
                next_part_power: file.next_part_power,
            },
        };
        let committed = Committed { etag, content_length: self.written };
        Ok(Finished { publication, attributes, committed })
    }

    /// The fragment that this is, and whether it gets its mark. What the metadata says counts, whatever the caller thinks
    /// (Swift: ECDiskFileWriter.put).
    fn fragment(&self, file: &DataFile) -> Result<Option<(FragmentIndex, bool)>, DiskError> {
        let own = file.metadata.get(FRAGMENT_INDEX).filter(|_| file.fragment.is_some());
        let index = match own {
            None => file.fragment.map(|(index, _)| index),
            Some(own) => {
                let index = merge::integer(own).and_then(|index| u16::try_from(index).ok());
                let problem = || format!("{:?} in the metadata is no index", String::from_utf8_lossy(own));
                Some(FragmentIndex::new(index.ok_or_else(|| Invalid::new("fragment_index", problem()))?))
            }
        };
        self.device.check_fragment(self.kind, index)?;
        Ok(index.zip(file.fragment).map(|(index, (_, durable))| (index, durable)))
    }

    fn error(&self, op: &'static str, error: std::io::Error) -> DiskError {
        self.device.io(op, &layout::object(&self.at), error)
    }
}
