//! Publishing a file in the order of rule S1 (Swift: diskfile.py BaseDiskFileWriter._finalize_put).

use std::path::Path;

use ssync_types::Durability;

use crate::{
    Device, DiskError, Location,
    attributes::{self, Attributes},
    choice::{Choice, Preference},
    layout,
    temporary::Temporary,
};

/// How a file becomes part of an object.
pub(crate) struct Publication<'a> {
    pub(crate) at: &'a Location,
    pub(crate) name: String,
    pub(crate) attributes: &'a Attributes,
    /// Whether the object must still have a body.
    pub(crate) needs_body: bool,
    /// A name of the same contents that goes: a durable fragment takes the place of the one without the mark.
    pub(crate) replaces: Option<String>,
    /// Whether what it obsoletes is removed. Not for a fragment that waits for its durable mark.
    pub(crate) clean_up: bool,
    pub(crate) next_part_power: Option<u32>,
}

impl Device {
    /// Flushes a file, marks its suffix as stale, gives it its name, flushes the directories, and removes what it obsoletes.
    pub(crate) fn publish(
        &self,
        mut file: Temporary,
        publication: &Publication<'_>,
    ) -> Result<(), DiskError> {
        let at = publication.at;
        let directory = layout::object(at);
        let target = directory.join(&publication.name);
        attributes::write(&*file.file, publication.attributes)
            .map_err(|error| self.unstorable(&target, error))?;
        if self.settings.config.durability != Durability::None {
            file.file.sync().map_err(|error| self.io("flush", &target, error))?;
        }
        file.file.drop_cache(0, 0);

        let _exclusive = self.exclusive(&at.hash);
        self.check_mounted()?;
        if publication.needs_body {
            self.require_body(at)?;
        }
        self.name_and_invalidate(&mut file, at, &target)?;
        self.sync_names(&directory, file.made)
            .map_err(|error| self.io("flush the directory", &directory, error))?;
        if let Some(replaced) = &publication.replaces {
            // Most often there is none.
            let _ = self.disk.unlink(&directory.join(replaced));
        }
        if let Some(power) = publication.next_part_power {
            self.link_for_power(at, &publication.name, power);
        }
        if publication.clean_up {
            self.clean_up_quietly(at);
            if let Some(power) = publication.next_part_power {
                self.clean_up_for_power(at, power);
            }
        }
        Ok(())
    }

    /// ext4 answers metadata of more than one block as it answers a full disk.
    fn unstorable(&self, target: &Path, error: std::io::Error) -> DiskError {
        match self.io("store the metadata of", target, error) {
            DiskError::Full { device, path, .. } => {
                let problem =
                    "its metadata does not fit (ext4 takes about 4 KiB for each file, XFS any size)";
                DiskError::Full { device, path, problem: problem.to_owned() }
            }
            other => other,
        }
    }

    /// The note goes first, so that a killed program leaves no file that no hash knows of. (A power cut can: the note is not
    /// flushed, as in Swift.) If somebody calculated hashes between note and name, the note is made again.
    fn name_and_invalidate(
        &self,
        file: &mut Temporary,
        at: &Location,
        target: &Path,
    ) -> Result<(), DiskError> {
        let partition = layout::partition(at.policy, at.partition);
        let stale = [at.hash.suffix()];
        let note = self.invalidate(&partition, &stale)?;
        file.publish(target).map_err(|error| self.io("name", target, error))?;
        if self.is_consumed(&partition, note) {
            self.invalidate(&partition, &stale)?;
        }
        Ok(())
    }

    /// What counts in an object's directory, or what is wrong with the directory. The caller excludes others from it.
    pub(crate) fn choice_of(&self, at: &Location) -> Result<Choice, DiskError> {
        let directory = layout::object(at);
        // Any fragment counts as a body here.
        let any = Preference { fragment: None, fragments: Some(&[]) };
        self.examine(&directory, self.kind(at.policy)?, any)
            .map(|found| found.choice)
            .map_err(|error| self.quarantine_unlistable(at.policy, &directory, error))
    }

    fn require_body(&self, at: &Location) -> Result<(), DiskError> {
        match self.choice_of(at)?.data {
            Some(_) => Ok(()),
            None => Err(DiskError::StateChanged { device: self.name.clone(), path: layout::object(at) }),
        }
    }

    /// Cleans an object's directory. The file is published: what goes wrong here changes nothing about that.
    pub(crate) fn clean_up_quietly(&self, at: &Location) {
        let directory = layout::object(at);
        let cleaned = self.kind(at.policy).and_then(|kind| {
            self.clean_up(&directory, kind, Preference::default())
                .map_err(|error| self.io("clean", &directory, error))
        });
        if let Err(error) = cleaned {
            tracing::warn!(%error, "an object's directory could not be cleaned; the next rehash tries again");
        }
    }
}
