//! The log of removals: where the objects of a handoff went, for as long as the operator wants to know.
//!
//! A device keeps it in `removal-log`, a directory that no daemon of Swift's looks at, in files that begin at a time and take
//! a day at most. What a batch is about to let go of is written down and flushed before the first file goes: a crash may leave
//! a line too many, never one too few. What stayed is written after, and that the batch came to its end.
//!
//! The log must not keep a full disk full: what cannot be written down goes all the same, and the caller is told.

mod find;
mod latest;
mod line;

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::PoisonError,
    time::Duration,
};

use rustix::io::Errno;
use ssync_types::{ReleaseFile, ReleaseItem, ReleaseOpen, ReleaseOutcome, ReleaseResult, Timestamp};

use crate::{
    Device, DiskError, Location, attributes,
    directory::{is, make_all},
    disk::{OpenMode, write_all},
    layout,
};

/// How long a file of the log is appended to.
const FILE_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// A file takes so much of what the log may take: this much is lost at a time when it is full.
const FILES_OF_A_FULL_LOG: u64 = 8;
/// Most files of the log. Its age and size allow fewer.
pub(crate) const FILES_MAX: usize = 4096;
/// So far batches of the same moment may be ahead of the clock. Further ahead, the clock was put back.
const AHEAD_MAX: Duration = Duration::from_secs(1);
const EXTENSION: &str = "log";

/// A batch that is written down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recorded(Timestamp);

/// A file of the log.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    begun: Timestamp,
    size: u64,
}

impl Device {
    /// Writes down what is about to be let go of. `None`: the operator wants no log.
    pub(crate) fn record_removals(
        &self,
        open: &ReleaseOpen,
        items: &[ReleaseItem],
    ) -> Result<Option<Recorded>, DiskError> {
        if self.settings.config.removal_log_age.is_zero() || items.is_empty() {
            return Ok(None);
        }
        let names: Vec<_> = items.iter().map(|item| self.name_of(open, item)).collect();
        let recorded = self.append_removals(|at| {
            let lines = items.iter().zip(&names);
            lines.map(|(item, name)| line::begun(at, open, item, name.as_deref())).collect()
        });
        recorded
            .map(|at| Some(Recorded(at)))
            .map_err(|error| self.io("append to", Path::new(layout::REMOVALS), error))
    }

    /// Writes down what became of them. Nothing waits for that to be flushed: until it is, they are not certain.
    pub(crate) fn record_end(&self, recorded: Recorded, results: &[ReleaseResult]) -> Result<(), DiskError> {
        let end = |result: &ReleaseResult| match result.outcome {
            ReleaseOutcome::Released => None,
            ReleaseOutcome::Changed => Some(line::kept(recorded.0, &result.hash)),
            ReleaseOutcome::Failed(_) => Some(line::failed(recorded.0, &result.hash)),
        };
        let mut text: String = results.iter().filter_map(end).collect();
        text.push_str(&line::done(recorded.0));
        let _exclusive = self.removal_log.lock().unwrap_or_else(PoisonError::into_inner);
        let appended = self.with_reserve(|| self.append(&text)).map(drop);
        appended.map_err(|error| self.io("append to", Path::new(layout::REMOVALS), error))
    }

    /// Removes what is older in the log than anybody wants to know. Says how many files.
    pub(crate) fn sweep_removals(&self) -> Result<usize, DiskError> {
        let files = self.log_files().map_err(|error| self.io("list", Path::new(layout::REMOVALS), error))?;
        let old = files.iter().filter(|file| self.is_forgotten(file, self.now()));
        Ok(old.filter(|file| self.disk.unlink(&file.path).is_ok()).count())
    }

    /// Appends lines of a time that no other batch has, and flushes them.
    fn append_removals(&self, lines: impl FnOnce(Timestamp) -> String) -> io::Result<Timestamp> {
        let mut last = self.removal_log.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        let next = last.shifted(1, 0).ok().filter(|next| *next > now && now.age_at(*next) <= AHEAD_MAX);
        let at = next.unwrap_or(now);
        *last = at;
        let lines = lines(at);
        let (path, file) = self.with_reserve(|| self.append(&lines))?;
        if !self.is_unflushed() {
            file.sync_data()?;
            self.flush_name(Path::new(layout::REMOVALS), &path, &file.stat()?)?;
        }
        Ok(at)
    }

    /// The caller excludes other writers of this program.
    fn append(&self, text: &str) -> io::Result<(PathBuf, Box<dyn crate::disk::DiskFile>)> {
        let made = make_all(&*self.disk, Path::new(layout::REMOVALS))?;
        if made > 0 {
            self.sync_names(Path::new(layout::REMOVALS), made)?;
        }
        // Whatever the file ends with, this begins a line of its own.
        let text = format!("\n{text}");
        let path = self.room_for(text.len() as u64)?;
        let file = self.disk.open(&path, OpenMode::Append)?;
        write_all(&*file, text.as_bytes(), 0)?;
        Ok((path, file))
    }

    /// The file to append to, after what stands in the way of its bounds was removed.
    fn room_for(&self, bytes: u64) -> io::Result<PathBuf> {
        let bytes_max = self.settings.config.removal_log_bytes_max;
        if bytes > bytes_max {
            let message = format!("{bytes} bytes are more than the {bytes_max} of the log");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        let now = self.now();
        let mut files = self.log_files()?;
        files.retain(|file| !self.is_forgotten(file, now) || self.disk.unlink(&file.path).is_err());
        let mut total: u64 = files.iter().map(|file| file.size).sum();
        let mut files = VecDeque::from(files);
        while total + bytes > bytes_max || files.len() >= FILES_MAX {
            let Some(oldest) = files.pop_front() else { break };
            self.disk.unlink(&oldest.path)?;
            total -= oldest.size;
        }
        let goes_on = |file: &LogFile| {
            file.begun <= now
                && file.begun.age_at(now) < FILE_AGE_MAX
                && file.size + bytes <= bytes_max / FILES_OF_A_FULL_LOG
        };
        match files.pop_back().filter(goes_on) {
            Some(newest) => Ok(newest.path),
            None => Ok(Path::new(layout::REMOVALS).join(format!("{}.{EXTENSION}", now.normal()))),
        }
    }

    /// From the oldest to the newest. Before all others come those of times to come: they were written before the clock was put
    /// back.
    fn log_files(&self) -> io::Result<Vec<LogFile>> {
        let place = Path::new(layout::REMOVALS);
        let entries = match self.disk.list(place) {
            Err(error) if is(&error, Errno::NOENT) => return Ok(Vec::new()),
            other => other?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = place.join(&entry.name);
            let begun = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            let Some(begun) = begun.filter(|_| path.extension().is_some_and(|found| found == EXTENSION))
            else {
                continue;
            };
            match self.disk.stat(&path) {
                Ok(stat) if !stat.directory => files.push(LogFile { path, begun, size: stat.size }),
                Err(error) if !is(&error, Errno::NOENT) => return Err(error),
                _ => {}
            }
        }
        let now = self.now();
        files.sort_unstable_by_key(|file| (file.begun <= now, file.begun));
        Ok(files)
    }

    fn is_forgotten(&self, file: &LogFile, now: Timestamp) -> bool {
        file.begun.age_at(now) > FILE_AGE_MAX + self.settings.config.removal_log_age
    }

    /// The object's name, as one of its files has it.
    fn name_of(&self, open: &ReleaseOpen, item: &ReleaseItem) -> Option<Vec<u8>> {
        let at = Location {
            policy: open.partition.policy,
            partition: open.partition.partition,
            hash: item.offer.hash,
        };
        let has_name = |file: &&ReleaseFile| !file.name.ends_with(".meta");
        let named = item.files.iter().find(has_name)?;
        let file = self.disk.open(&layout::object(&at).join(&named.name), OpenMode::Read).ok()?;
        Some(attributes::read(&*file).ok()?.name?.to_vec())
    }
}
