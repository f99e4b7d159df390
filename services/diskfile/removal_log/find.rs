//! Where an object went, as the log of removals has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use rustix::io::Errno;
use ssync_types::{Certainty, ObjectHash, Removal, Timestamp};

use super::line::{LINE_BYTES_MAX, Line, parse};
use crate::{
    Device, DiskError,
    directory::is,
    disk::{DiskFile, OpenMode},
    layout,
};

/// Most removals of one object that are told; the newest.
const FOUND_MAX: usize = 1000;
const PIECE_BYTES: usize = 256 * 1024;

impl Device {
    /// What this device has let go of an object, oldest first; of very many the newest 1,000. It reads the whole log.
    pub fn removals_of(&self, hash: &ObjectHash) -> Result<Vec<Removal>, DiskError> {
        self.check_mounted()?;
        let failed = |path: &Path, error| self.io("read", path, error);
        let files = self.log_files().map_err(|error| failed(Path::new(layout::REMOVALS), error))?;
        let mut found = Found::default();
        for file in files {
            match self.disk.open(&file.path, OpenMode::Read) {
                // It grew too old meanwhile.
                Err(error) if is(&error, Errno::NOENT) => Ok(()),
                Err(error) => Err(error),
                Ok(open) => each_line(&*open, |line| found.note(parse(line, hash, &self.name))),
            }
            .map_err(|error| failed(&file.path, error))?;
        }
        let (now, age_max) = (self.now(), self.settings.config.removal_log_age);
        Ok(found.removals.into_values().filter(|removal| removal.at.age_at(now) <= age_max).collect())
    }
}

/// An object's removals by their times.
#[derive(Default)]
struct Found {
    removals: BTreeMap<Timestamp, Removal>,
    /// Those that went wrong: whether the object is gone is not said by the end of its batch.
    failed: BTreeSet<Timestamp>,
}

impl Found {
    fn note(&mut self, line: Option<Line>) {
        match line {
            Some(Line::Begun(removal)) => {
                self.removals.insert(removal.at, *removal);
                if self.removals.len() > FOUND_MAX {
                    self.removals.pop_first();
                }
            }
            Some(Line::Kept(at)) => drop(self.removals.remove(&at)),
            Some(Line::Failed(at)) if self.removals.contains_key(&at) => drop(self.failed.insert(at)),
            Some(Line::Done(at)) if !self.failed.contains(&at) => {
                if let Some(removal) = self.removals.get_mut(&at) {
                    removal.certainty = Certainty::Removed;
                }
            }
            Some(Line::Failed(_) | Line::Done(_)) | None => {}
        }
    }
}

/// Hands out each line, without its end. What is longer than any line, and the rest of a file without an end, is passed over.
pub(super) fn each_line(file: &dyn DiskFile, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let (mut buffer, mut kept, mut offset) = (vec![0; LINE_BYTES_MAX + PIECE_BYTES], 0, 0);
    loop {
        let read = file.read_at(buffer.get_mut(kept..).unwrap_or_default(), offset)?;
        if read == 0 {
            return Ok(());
        }
        offset += read as u64;
        let filled = buffer.get(..kept + read).unwrap_or_default();
        let mut lines = filled.split(|&byte| byte == b'\n');
        let rest = lines.next_back().unwrap_or_default().len();
        lines.for_each(&mut take);
        // Of a line that is too long its end is kept, which is not understood.
        let rest = rest.min(LINE_BYTES_MAX);
        let end = kept + read;
        buffer.copy_within(end - rest..end, 0);
        kept = rest;
    }
}
