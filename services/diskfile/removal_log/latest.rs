//! The latest of what a device has let go of, whatever the objects.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use rustix::io::Errno;
use ssync_types::{Certainty, ObjectHash, Removal, Timestamp};

use super::{
    find::each_line,
    line::{Line, parse_of},
};
use crate::{Device, DiskError, directory::is, disk::OpenMode, layout};

impl Device {
    /// At most so many of the latest removals, newest first; and lines that ought to be of the log and are not understood. It reads
    /// no more of the log's files than it takes.
    pub fn latest_removals(&self, most: usize) -> Result<(Vec<Removal>, u64), DiskError> {
        self.check_mounted()?;
        let failed = |path: &Path, error| self.io("read", path, error);
        let files = self.log_files().map_err(|error| failed(Path::new(layout::REMOVALS), error))?;
        let (mut removals, mut odd) = (Vec::new(), 0);
        for file in files.into_iter().rev() {
            let mut latest = Latest { most: most - removals.len(), ..Latest::default() };
            match self.disk.open(&file.path, OpenMode::Read) {
                // It grew too old meanwhile.
                Err(error) if is(&error, Errno::NOENT) => Ok(()),
                Err(error) => Err(error),
                Ok(open) => each_line(&*open, |line| latest.note(line, self)),
            }
            .map_err(|error| failed(&file.path, error))?;
            odd += latest.odd;
            removals.extend(latest.removals.into_values().rev());
            if removals.len() >= most {
                break;
            }
        }
        Ok((removals, odd))
    }
}

/// What one file of the log says. A batch stands in one file, but for its end, which may be in the next: then it is not certain.
#[derive(Default)]
struct Latest {
    most: usize,
    removals: BTreeMap<(Timestamp, ObjectHash), Removal>,
    failed: BTreeSet<(Timestamp, ObjectHash)>,
    odd: u64,
}

impl Latest {
    fn note(&mut self, line: &[u8], device: &Device) {
        match parse_of(line, None, &device.name) {
            Some((Some(hash), Line::Begun(removal))) => {
                self.removals.insert((removal.at, hash), *removal);
                if self.removals.len() > self.most {
                    self.removals.pop_first();
                }
            }
            Some((Some(hash), Line::Kept(at))) => drop(self.removals.remove(&(at, hash))),
            Some((Some(hash), Line::Failed(at))) => drop(self.failed.insert((at, hash))),
            Some((_, Line::Done(at))) => self.end(at),
            // What a crash has cut has no full stop; each append begins with an empty line.
            None if line.ends_with(b" .") => self.odd += 1,
            Some((None, _)) | None => {}
        }
    }

    /// A batch has come to its end.
    fn end(&mut self, at: Timestamp) {
        let batch = (at, ObjectHash::from_bytes([0; 16]))..=(at, ObjectHash::from_bytes([0xff; 16]));
        for (key, removal) in self.removals.range_mut(batch) {
            if !self.failed.contains(key) {
                removal.certainty = Certainty::Removed;
            }
        }
        self.failed.retain(|(failed, _)| *failed != at);
    }
}
