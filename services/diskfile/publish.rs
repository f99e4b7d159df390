//! Publishing files in the order of rule S1, several at a time (Swift: diskfile.py BaseDiskFileWriter._finalize_put).

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ssync_types::{Durability, Suffix};

use crate::{
    Device, DiskError, Location,
    attributes::{self, Attributes},
    choice::{Choice, Preference},
    directory::{Looked, Looks, Settling},
    flush_time::flushing,
    invalidate::Note,
    layout,
    temporary::Temporary,
};

/// A file on its way into an object's directory, its contents and metadata written.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) file: Temporary,
    pub(crate) at: Location,
    pub(crate) name: String,
    /// Whether the object must still have a body.
    pub(crate) needs_body: bool,
    pub(crate) then: Aftermath,
}

/// What is done once a name is given and flushed.
#[derive(Debug)]
pub(crate) struct Aftermath {
    /// A name of the same contents that goes: a durable fragment takes the place of the one without the mark.
    pub(crate) replaces: Option<String>,
    /// Whether what it obsoletes is removed. Not for a fragment that waits for its durable mark.
    pub(crate) clean_up: bool,
    pub(crate) next_part_power: Option<u32>,
}

impl Publication {
    fn partition(&self) -> PathBuf {
        layout::partition(self.at.policy, self.at.partition)
    }

    fn directory(&self) -> PathBuf {
        layout::object(&self.at)
    }

    fn target(&self) -> PathBuf {
        self.directory().join(&self.name)
    }
}

/// One publication of a batch. What fails costs itself, and what shares a flush that failed.
#[derive(Debug)]
pub(crate) struct Member {
    publication: Publication,
    /// That its suffix is stale; `None` where there was no such partition yet.
    note: Option<Arc<Note>>,
    outcome: Result<(), DiskError>,
}

impl Member {
    pub(crate) fn new(publication: Publication) -> Self {
        Self { publication, note: None, outcome: Ok(()) }
    }

    /// Whether something has failed already.
    pub(crate) fn has_failed(&self) -> bool {
        self.outcome.is_err()
    }

    /// What became of it. Ends the publication: what was not published leaves nothing.
    pub(crate) fn into_outcome(self) -> Result<(), DiskError> {
        self.outcome
    }

    /// Goes on if nothing has failed so far.
    fn step(&mut self, step: impl FnOnce(&mut Publication) -> Result<(), DiskError>) {
        if self.outcome.is_ok() {
            self.outcome = step(&mut self.publication);
        }
    }

    fn fail(&mut self, error: &DiskError) {
        self.step(|_| Err(error.clone()));
    }
}

impl Device {
    /// Writes the file's metadata and publishes it. When this returns, file and name are on disk, by the configured durability.
    pub(crate) fn publish(&self, publication: Publication, attributes: &Attributes) -> Result<(), DiskError> {
        self.describe(&publication, attributes)?;
        self.publish_all(vec![Member::new(publication)]).into_iter().collect()
    }

    /// Writes the file's metadata.
    pub(crate) fn describe(
        &self,
        publication: &Publication,
        attributes: &Attributes,
    ) -> Result<(), DiskError> {
        attributes::write(&*publication.file.file, attributes)
            .map_err(|error| self.unstorable(&publication.target(), error))
    }

    /// Publishes files that have their metadata: what became of each, in their order.
    pub(crate) fn publish_all(&self, mut members: Vec<Member>) -> Vec<Result<(), DiskError>> {
        match self.settings.config.durability {
            Durability::Batch => return flushing(|| self.pipeline.publish(self, members)),
            Durability::None => self.publish_at_once(&mut members),
            // Each for itself, whoever comes with it.
            Durability::Object => flushing(|| {
                members.iter_mut().for_each(|member| self.publish_at_once(std::slice::from_mut(member)));
            }),
        }
        members.into_iter().map(Member::into_outcome).collect()
    }

    fn publish_at_once(&self, batch: &mut [Member]) {
        self.prepare(batch);
        self.commit(batch);
    }

    /// ext4 answers metadata of more than one block as it answers a full disk.
    fn unstorable(&self, target: &Path, error: io::Error) -> DiskError {
        match DiskError::attributes(&self.name, "store the metadata of", target, error) {
            DiskError::Full { device, path, .. } => {
                let problem =
                    "its metadata does not fit (ext4 takes about 4 KiB for each file, XFS any size)";
                DiskError::Full { device, path, problem: problem.to_owned() }
            }
            other => other,
        }
    }

    /// The first half of publishing: the files, and the notes that their suffixes are stale, are on disk before any name is
    /// given, so that nothing that cuts this off leaves a file that no hash knows of.
    pub(crate) fn prepare(&self, batch: &mut [Member]) {
        self.note_all(batch);
        self.flush_files(batch);
        self.flush_notes(batch);
    }

    /// The second half: the names are on disk before anybody hears of them or anything is removed.
    pub(crate) fn commit(&self, batch: &mut [Member]) {
        let hashes = batch.iter().filter(|member| member.outcome.is_ok());
        let _exclusive = self.exclusive_all(hashes.map(|member| &member.publication.at.hash));
        let mounted = self.check_mounted();
        for member in &mut *batch {
            member.step(|publication| {
                mounted.clone()?;
                self.name_file(publication)
            });
        }
        // Of what has a name a note must tell, wherever that is.
        self.renew_notes(batch);
        self.check_places(batch);
        self.flush_directories(batch);
        for member in batch {
            member.step(|publication| {
                let Publication { file, at, name, then, .. } = publication;
                let is_alone = is_body(name) && then.next_part_power.is_none() && file.is_alone(&at.hash);
                then.clean_up &= !is_alone;
                self.finish(at, name, then);
                Ok(())
            });
        }
    }

    /// One note for each partition. Its write-back begins with the files', to be flushed with them.
    fn note_all(&self, batch: &mut [Member]) {
        for (partition, suffixes) in stale(batch, |_| true) {
            let note = self.note(&partition, &suffixes).map(|note| note.map(Arc::new));
            for member in batch.iter_mut().filter(|member| member.publication.partition() == partition) {
                match &note {
                    Ok(note) => member.note.clone_from(note),
                    Err(error) => member.fail(error),
                }
            }
        }
    }

    fn flush_files(&self, batch: &mut [Member]) {
        if self.is_unflushed() {
            return;
        }
        // So that the flush of the first carries the others with it.
        if batch.len() > 1 {
            batch.iter().for_each(|member| member.publication.file.file.start_sync());
        }
        for member in batch {
            member.step(|publication| {
                let file = &publication.file.file;
                file.sync().map_err(|error| self.io("flush", &publication.target(), error))?;
                file.drop_cache(0, 0);
                Ok(())
            });
        }
    }

    fn flush_notes(&self, batch: &mut [Member]) {
        let mut flushed = BTreeMap::new();
        for member in batch {
            let Some(note) = &member.note else { continue };
            let partition = member.publication.partition();
            let done = match flushed.entry(partition) {
                Entry::Occupied(done) => done.into_mut(),
                Entry::Vacant(open) => {
                    let done = self.flush_note(open.key(), note);
                    open.insert(done)
                }
            };
            if let Err(error) = done {
                member.fail(error);
            }
        }
    }

    fn name_file(&self, publication: &mut Publication) -> Result<(), DiskError> {
        if publication.needs_body {
            self.require_body(&publication.at)?;
        }
        let target = publication.target();
        let named = publication.file.publish(&target).map_err(|error| self.io("name", &target, error));
        self.count_published(&publication.at.hash);
        named
    }

    /// A name in a directory that was moved away is no name of the object's: it is left where it went.
    fn check_places(&self, batch: &mut [Member]) {
        let mut places = Places { device: self, known: Vec::new() };
        for member in batch {
            member.step(|publication| {
                publication.file.open_directories().try_for_each(|(above, open)| places.check(above, open))
            });
        }
    }

    /// If somebody calculated hashes between note and name, the note is made again.
    fn renew_notes(&self, batch: &mut [Member]) {
        // Of each note it is asked once.
        let mut known = Vec::<(Arc<Note>, bool)>::new();
        let consumed = |member: &Member| {
            let Some(note) = member.note.as_ref().filter(|_| member.outcome.is_ok()) else {
                return member.outcome.is_ok();
            };
            if let Some((_, consumed)) = known.iter().find(|(other, _)| Arc::ptr_eq(note, other)) {
                return *consumed;
            }
            let consumed = self.is_consumed(&member.publication.partition(), Some(note));
            known.push((Arc::clone(note), consumed));
            consumed
        };
        for (partition, suffixes) in stale(batch, consumed) {
            if let Err(error) = self.invalidate(&partition, &suffixes) {
                self.withdraw(batch, &partition);
                for member in batch.iter_mut().filter(|member| member.publication.partition() == partition) {
                    member.fail(&error);
                }
            }
        }
    }

    /// Takes back names that no hash would know of. One that was there before stays: its hash is of the name alone.
    fn withdraw(&self, batch: &mut [Member], partition: &Path) {
        for member in batch.iter_mut().filter(|member| member.outcome.is_ok()) {
            let publication = &mut member.publication;
            if publication.partition() == partition {
                let target = publication.target();
                publication.file.withdraw(&target);
            }
        }
    }

    /// Flushes each directory that a name of the batch hangs on, once.
    fn flush_directories(&self, batch: &mut [Member]) {
        if self.is_unflushed() {
            return;
        }
        let mut flushed = Flushed::default();
        for member in &mut *batch {
            member.step(|publication| self.flush_names_of(publication, &mut flushed));
        }
    }

    fn flush_names_of(
        &self,
        Publication { file, at, .. }: &Publication,
        flushed: &mut Flushed,
    ) -> Result<(), DiskError> {
        let directory = layout::object(at);
        let failed = |error| self.io("flush the directory", &directory, error);
        file.show(&mut flushed.looks).map_err(failed)?;
        let settling = Settling::of(self, &directory, file.made(), &mut flushed.looks).map_err(failed)?;
        for directory in settling.directories() {
            let done = match flushed.done.entry(directory.path.clone()) {
                Entry::Occupied(done) => done.get().clone(),
                Entry::Vacant(open) => open.insert(self.flush_looked(directory).map_err(failed)).clone(),
            };
            done?;
        }
        settling.remember();
        Ok(())
    }

    /// The name is given: what goes wrong from here changes nothing about that.
    pub(crate) fn finish(&self, at: &Location, name: &str, then: &Aftermath) {
        if let Some(replaced) = &then.replaces {
            // Most often there is none.
            let _ = self.disk.unlink(&layout::object(at).join(replaced));
        }
        if let Some(power) = then.next_part_power {
            self.link_for_power(at, name, power);
            if let Some(replaced) = &then.replaces {
                self.unlink_for_power(at, replaced, power);
            }
        }
        if then.clean_up {
            self.clean_up_quietly(at);
            if let Some(power) = then.next_part_power {
                self.clean_up_for_power(at, power);
            }
        }
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

    /// Cleans an object's directory after something was published there.
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

/// Whether a file is a body. Nothing is obsolete beside one in a directory that was made for it: what another writer of this
/// program put there has been counted. A process of Swift's may have put something there too; what is older stays then until
/// somebody cleans, and that will be: whoever publishes later does, and the suffix is noted as stale, so that hashing it
/// lists the directory. Until then the newest counts for everybody. A tombstone may be obsolete itself.
fn is_body(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "data")
}

/// The directories that were flushed for a batch, and what became of that.
#[derive(Debug, Default)]
struct Flushed {
    looks: Looks,
    done: BTreeMap<PathBuf, Result<(), DiskError>>,
}

/// Whether open directories are still at their places: of each it is asked once.
struct Places<'a> {
    device: &'a Device,
    known: Vec<(Arc<Looked>, Result<(), DiskError>)>,
}

impl Places<'_> {
    /// `above` is what it was opened in, if that is open, and was checked.
    fn check(&mut self, above: Option<&Looked>, open: &Arc<Looked>) -> Result<(), DiskError> {
        if let Some((_, checked)) = self.known.iter().find(|(other, _)| Arc::ptr_eq(open, other)) {
            return checked.clone();
        }
        let checked = match open.is_in_place(self.device, above) {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(DiskError::StateChanged { device: self.device.name.clone(), path: open.path.clone() })
            }
            Err(error) => Err(self.device.io("look at", &open.path, error)),
        };
        self.known.push((Arc::clone(open), checked.clone()));
        checked
    }
}

/// The suffixes of some members, by partition.
fn stale(batch: &[Member], mut which: impl FnMut(&Member) -> bool) -> BTreeMap<PathBuf, Vec<Suffix>> {
    let mut stale = BTreeMap::<_, BTreeSet<_>>::new();
    for member in batch.iter().filter(|member| which(member)) {
        let publication = &member.publication;
        stale.entry(publication.partition()).or_default().insert(publication.at.hash.suffix());
    }
    stale.into_iter().map(|(partition, suffixes)| (partition, suffixes.into_iter().collect())).collect()
}
