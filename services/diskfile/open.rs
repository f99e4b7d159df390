//! Opening an object: which files, whole or damaged, and what they say together (Swift: diskfile.py BaseDiskFile.open).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use rustix::io::Errno;
use ssync_types::{FragmentSet, Metadata, ObjectInfo, ObjectPath, Timestamp};

use crate::{
    Device, DiskError, Found, Location, MetaView, OpenObject, OpenOptions, PolicyKind, ToSend,
    attributes::{self, Attributes, AttributesError},
    choice::{Choice, Preference},
    cleanup::Cleaned,
    directory::{is, names, release_files},
    disk::{DiskFile, Entry},
    layout, merge,
    name::FileName,
};

/// A file of the object, with what its attributes say.
struct Part {
    file: Box<dyn DiskFile>,
    entry: Entry,
    attributes: Attributes,
}

/// An object while it is being opened.
struct Opening<'a> {
    device: &'a Arc<Device>,
    at: &'a Location,
    directory: PathBuf,
    found: &'a Cleaned,
}

impl Device {
    /// Opens an object and checks it.
    pub fn open_object(self: &Arc<Self>, at: &Location, options: &OpenOptions) -> Result<Found, DiskError> {
        let directory = layout::object(at);
        let found = self.examine_to_open(at, &directory, options)?;
        self.open_found(at, directory, &found, options)
    }

    /// As [`open_object`](Self::open_object), but removes first what no longer counts, and waits for a name that is just being
    /// published: the receiver's check of an offer. Offers come in batches; whether the device is mounted its caller asks for each.
    pub fn open_for_check(
        self: &Arc<Self>,
        at: &Location,
        options: &OpenOptions,
    ) -> Result<Found, DiskError> {
        let directory = layout::object(at);
        let kind = self.kind(at.policy)?;
        let mut found = {
            let _exclusive = self.exclusive(&at.hash);
            self.clean_up_or_quarantine(at.policy, &directory, Preference::default())?
        };
        if kind != PolicyKind::Replication {
            // Cleaning does not depend on what is asked for; and what it removed is no fragment that is here.
            found.choice = Choice::of(&names(&found.files), kind, preference(options));
        }
        self.open_found(at, directory, &found, options)
    }

    /// Which fragments are here, newest time first, down to the durable ones; of none is it asked whether it is whole.
    pub fn fragments(&self, at: &Location) -> Result<Vec<FragmentSet>, DiskError> {
        let directory = layout::object(at);
        let found = self.examine(&directory, self.kind(at.policy)?, Preference::default());
        let found = found.map_err(|error| self.io("list", &directory, error))?;
        Ok(fragment_sets(&found.choice))
    }

    /// Opens what a sender sends: a body, also an expired one, or what it tells of a deletion.
    pub fn open_to_send(self: &Arc<Self>, at: &Location) -> Result<ToSend, DiskError> {
        let options = OpenOptions { open_expired: true, ..OpenOptions::default() };
        let directory = layout::object(at);
        let found = self.examine_to_open(at, &directory, &options)?;
        let opening = Opening { device: self, at, directory, found: &found };
        match (&found.choice.data, &found.choice.tombstone) {
            (Some(data), _) => match opening.object(data, &found.choice, &options)? {
                Found::Object(object) | Found::Expired(object) => Ok(ToSend::Object(object)),
                Found::Tombstone(_) | Found::Nothing => Ok(ToSend::Nothing),
            },
            (None, Some(tombstone)) => {
                let deleted = opening.deleted(tombstone)?;
                Ok(deleted.map_or(ToSend::Nothing, |(name, time)| ToSend::Deletion(name, time)))
            }
            (None, None) => Ok(ToSend::Nothing),
        }
    }

    /// The name and the time in an object's tombstone, where a tombstone is what counts. `None` also for one without a name that
    /// belongs there.
    pub fn deleted_object(
        self: &Arc<Self>,
        at: &Location,
    ) -> Result<Option<(ObjectPath, Timestamp)>, DiskError> {
        let directory = layout::object(at);
        let found = self
            .examine(&directory, self.kind(at.policy)?, Preference::default())
            .map_err(|error| self.io("list", &directory, error))?;
        let (None, Some(tombstone)) = (&found.choice.data, &found.choice.tombstone) else { return Ok(None) };
        Opening { device: self, at, directory, found: &found }.deleted(tombstone)
    }

    /// A directory that cannot be listed because it is damaged goes to quarantine.
    fn examine_to_open(
        &self,
        at: &Location,
        directory: &Path,
        options: &OpenOptions,
    ) -> Result<Cleaned, DiskError> {
        self.examine(directory, self.kind(at.policy)?, preference(options)).map_err(|error| {
            let _exclusive = self.exclusive(&at.hash);
            let error = self.quarantine_unlistable(at.policy, directory, error);
            self.settings.at_quarantine.tell(error)
        })
    }

    pub(crate) fn open_found(
        self: &Arc<Self>,
        at: &Location,
        directory: PathBuf,
        found: &Cleaned,
        options: &OpenOptions,
    ) -> Result<Found, DiskError> {
        let opening = Opening { device: self, at, directory, found };
        match (&found.choice.data, &found.choice.tombstone) {
            (Some(data), _) => opening.object(data, &found.choice, options),
            (None, Some(tombstone)) => opening.tombstone(tombstone),
            (None, None) => Ok(Found::Nothing),
        }
    }
}

fn preference(options: &OpenOptions) -> Preference<'_> {
    Preference { fragment: options.fragment, fragments: options.fragment_preferences.as_deref() }
}

impl Opening<'_> {
    fn tombstone(&self, file: &FileName) -> Result<Found, DiskError> {
        match self.part(file) {
            Ok(part) => Ok(Found::Tombstone(time_of(&part.attributes.metadata).unwrap_or(file.timestamp))),
            // It is in quarantine: as if it had never been there.
            Err(DiskError::Damaged { .. } | DiskError::StateChanged { .. }) => Ok(Found::Nothing),
            Err(error) => Err(error),
        }
    }

    /// What a tombstone says of the object, if its name belongs there: otherwise nobody can be told of it.
    fn deleted(&self, file: &FileName) -> Result<Option<(ObjectPath, Timestamp)>, DiskError> {
        let part = match self.part(file) {
            Ok(part) => part,
            Err(DiskError::Damaged { .. } | DiskError::StateChanged { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let time = time_of(&part.attributes.metadata).unwrap_or(file.timestamp);
        let name = part.attributes.name.and_then(|name| ObjectPath::parse(name).ok());
        Ok(name.filter(|name| self.device.settings.hash.hash(name) == self.at.hash).map(|name| (name, time)))
    }

    fn object(&self, file: &FileName, choice: &Choice, options: &OpenOptions) -> Result<Found, DiskError> {
        let data = self.part(file)?;
        let data_time = time_of(&data.attributes.metadata).unwrap_or(file.timestamp);
        let (meta, stored_name) = match self.meta(choice, data_time)? {
            Some((meta, name)) => (Some(meta), name),
            None => (None, data.attributes.name.clone()),
        };
        let metadata = match &meta {
            Some(meta) => merge::overlay(&meta.metadata, &data.attributes.metadata, data_time),
            None => data.attributes.metadata.clone(),
        };
        let name = self.name(stored_name, &data, options)?;
        let expired = self.is_expired(&data, &metadata, options)?;
        let size = self.size(&data, expired)?;
        let info = ObjectInfo {
            timestamp: time_of(&metadata).unwrap_or(data_time),
            data: data_time,
            content_type: merge::content_type_time(&metadata).unwrap_or(data_time),
            durable: if file.fragment.is_some() { choice.durable } else { Some(data_time) },
            content_length: size,
            fragments: fragment_sets(choice),
            metadata,
        };
        let object = Box::new(OpenObject {
            name,
            info,
            data_metadata: data.attributes.metadata,
            meta,
            fragment: file.fragment,
            files: release_files(&self.found.files),
            private: options.private,
            device: Arc::clone(self.device),
            at: *self.at,
            file: data.file,
            entry: data.entry,
        });
        Ok(if expired { Found::Expired(object) } else { Found::Object(object) })
    }

    /// The newest metadata, with the newest content type where another file has that; and the name beside it.
    fn meta(
        &self,
        choice: &Choice,
        data_time: Timestamp,
    ) -> Result<Option<(MetaView, Option<Bytes>)>, DiskError> {
        let Some(file) = &choice.meta else { return Ok(None) };
        let Attributes { name, mut metadata } = self.part(file)?.attributes;
        if let Some(other) = choice.content_type.as_ref().filter(|other| *other != file) {
            merge::content_type(&mut metadata, &self.part(other)?.attributes.metadata, data_time);
        }
        // Of what the metadata says by now: the newest name knows nothing of the other file's content type.
        let content_type = merge::content_type_time(&metadata).or(file.content_type);
        Ok(Some((MetaView { timestamp: file.timestamp, metadata, content_type }, name)))
    }

    fn part(&self, file: &FileName) -> Result<Part, DiskError> {
        let entry = self.found.files.iter().find(|entry| entry.name == file.name.as_str()).cloned();
        let (Some(entry), Some(directory)) = (entry, &self.found.directory) else {
            return Err(self.changed());
        };
        let path = || self.directory.join(&entry.name);
        let opened = match directory.open(&entry.name) {
            Ok(opened) => opened,
            Err(error) if is(&error, Errno::NOENT) => return Err(self.changed()),
            Err(error) if is(&error, Errno::NODATA) || is(&error, Errno::UCLEAN) => {
                return Err(self.damaged(&entry, format!("has a file that could not be opened ({error})")));
            }
            Err(error) => return Err(self.device.io("open", &path(), error)),
        };
        match attributes::read(&*opened) {
            Ok(attributes) => Ok(Part { file: opened, entry, attributes }),
            Err(AttributesError::Damaged(problem)) => Err(self.damaged(&entry, problem)),
            Err(AttributesError::Io(error)) => {
                Err(DiskError::attributes(&self.device.name, "read the attributes of", &path(), error))
            }
        }
    }

    /// The object's name: what the newest file says of it.
    fn name(
        &self,
        stored: Option<Bytes>,
        data: &Part,
        options: &OpenOptions,
    ) -> Result<ObjectPath, DiskError> {
        let Some(stored) = stored else {
            return Err(self.damaged(&data.entry, "has metadata without a name".to_owned()));
        };
        let Ok(stored) = ObjectPath::parse(stored) else {
            return Err(self.damaged(&data.entry, "has a name that is no object's".to_owned()));
        };
        match &options.expected {
            Some(wanted) if *wanted != stored => Err(DiskError::Collision {
                device: self.device.name.clone(),
                path: self.directory.clone(),
                wanted: wanted.clone(),
                found: stored,
            }),
            None if self.device.settings.hash.hash(&stored) != self.at.hash => {
                Err(self.damaged(&data.entry, "holds an object whose name does not belong there".to_owned()))
            }
            _ => Ok(stored),
        }
    }

    fn is_expired(&self, data: &Part, metadata: &Metadata, options: &OpenOptions) -> Result<bool, DiskError> {
        let Some(value) = metadata.get("X-Delete-At") else { return Ok(false) };
        let Some(delete_at) = merge::integer(value) else {
            return Err(self.damaged(&data.entry, "has an X-Delete-At that is no number".to_owned()));
        };
        let now = options.now.unwrap_or_else(|| self.device.now());
        let passed =
            u64::try_from(delete_at).map_or(true, |seconds| seconds.saturating_mul(100_000) <= now.ticks());
        Ok(passed && !options.open_expired)
    }

    /// The size, which must be the stored one. As in Swift nobody asks that of what has expired: it is to be deleted, and a
    /// damaged one must not hide from the expirer.
    fn size(&self, data: &Part, expired: bool) -> Result<u64, DiskError> {
        let failed = |error| self.device.io("stat", &self.directory.join(&data.entry.name), error);
        let size = data.file.stat().map_err(failed)?.size;
        let stored = data.attributes.metadata.get("Content-Length").and_then(|value| merge::integer(value));
        match stored {
            _ if expired => Ok(size),
            Some(stored) if i64::try_from(size) == Ok(stored) => Ok(size),
            Some(stored) => {
                let problem = format!("has {size} bytes where its metadata says {stored}");
                Err(self.damaged(&data.entry, problem))
            }
            None => Err(self.damaged(&data.entry, "has no Content-Length that is a number".to_owned())),
        }
    }

    fn damaged(&self, entry: &Entry, problem: String) -> DiskError {
        self.device.quarantine_object(self.at, entry, problem)
    }

    fn changed(&self) -> DiskError {
        DiskError::StateChanged { device: self.device.name.clone(), path: self.directory.clone() }
    }
}

fn time_of(metadata: &Metadata) -> Option<Timestamp> {
    Timestamp::parse(metadata.get("X-Timestamp")?).ok()
}

fn fragment_sets(choice: &Choice) -> Vec<FragmentSet> {
    let sets = choice.fragments.iter().map(|set| FragmentSet {
        timestamp: set.timestamp,
        indexes: set.files.iter().filter_map(|file| file.fragment).collect(),
        durable: set.files.iter().any(|file| file.durable),
    });
    sets.collect()
}
