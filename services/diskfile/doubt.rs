//! What a failed flush has left in doubt, for as long as the device stays mounted.
//!
//! Linux tells of a write-back that failed once. The next flush succeeds, and what was to be written is on no disk, though it
//! can be read until the page cache drops it. So whatever could not be flushed is never said to be on disk again: a file and a
//! directory while they are the same, the whole device in any case. Notes in `hashes.invalid` need no doubt: each flush
//! of them is of bytes that its caller has just written, and where it fails nobody relies on the note.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use rustix::io::Errno;

use crate::{directory::errno, disk::Stat, queue::Queue};

/// Most files and directories remembered. On a disk that fails so often, nothing is believed any more.
const DOUBTS_MAX: usize = 65_536;

/// The doubts about one device, kept while nobody uses it.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    known: Mutex<Known>,
    /// Of two flushes of the same thing the second begins when it is known what became of the first.
    flushes: Queue,
}

#[derive(Debug, Default)]
struct Known {
    whole: bool,
    /// Their inodes, and when these were made: a number comes back.
    things: BTreeSet<(PathBuf, u64, Option<SystemTime>)>,
}

/// An earlier flush failed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("an earlier flush failed, so what is on the disk is not known")]
pub(crate) struct Doubtful;

impl Doubts {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        let known = self.known();
        !known.whole && known.things.is_empty()
    }

    /// Whether there is one about a file or a directory.
    pub(crate) fn has(&self, path: &Path, stat: &Stat) -> bool {
        self.known().has(&key(path, stat))
    }

    /// Flushes an open file or directory, unless it is in doubt; it is from now on where that fails.
    pub(crate) fn flush(
        &self,
        path: &Path,
        stat: &Stat,
        flush: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let _turn = self.flushes.wait(path);
        if self.has(path, stat) {
            return Err(io::Error::other(Doubtful));
        }
        let flushed = flush();
        if flushed.as_ref().is_err_and(|error| errno(error) != Some(Errno::INTR)) {
            self.known().add(key(path, stat));
        }
        flushed
    }

    /// Flushes the device, unless it is in doubt; all that is on it is from now on where that fails.
    pub(crate) fn flush_all(&self, flush: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let _turn = self.flushes.wait(Path::new("/"));
        if self.known().whole {
            return Err(io::Error::other(Doubtful));
        }
        let flushed = flush();
        if flushed.as_ref().is_err_and(|error| errno(error) != Some(Errno::INTR)) {
            self.known().whole = true;
        }
        flushed
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn has(&self, key: &(PathBuf, u64, Option<SystemTime>)) -> bool {
        self.whole || self.things.contains(key)
    }

    fn add(&mut self, key: (PathBuf, u64, Option<SystemTime>)) {
        if self.things.len() < DOUBTS_MAX {
            self.things.insert(key);
        } else {
            self.whole = true;
        }
    }
}

fn key(path: &Path, stat: &Stat) -> (PathBuf, u64, Option<SystemTime>) {
    (path.to_path_buf(), stat.inode, stat.born)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn stat(inode: u64, born: u64) -> Stat {
        let time = UNIX_EPOCH + Duration::from_secs(born);
        Stat { inode, size: 0, modified: time, changed: time, born: Some(time), directory: true }
    }

    fn fails<T>(error: Errno) -> io::Result<T> {
        Err(error.into())
    }

    fn is_doubtful(result: io::Result<()>) -> bool {
        result.is_err_and(|error| matches!(error.get_ref(), Some(inner) if inner.is::<Doubtful>()))
    }

    #[test]
    fn what_failed_fails_while_it_is_the_same() {
        let (doubts, path) = (Doubts::default(), Path::new("a"));
        assert!(!is_doubtful(doubts.flush(path, &stat(1, 1), || fails(Errno::IO))));
        assert!(is_doubtful(doubts.flush(path, &stat(1, 1), || Ok(()))));
        doubts.flush(path, &stat(2, 1), || Ok(())).unwrap();
        doubts.flush(path, &stat(1, 2), || Ok(())).unwrap();
        doubts.flush(Path::new("b"), &stat(1, 1), || Ok(())).unwrap();
        doubts.flush_all(|| Ok(())).unwrap();
        assert!(is_doubtful(doubts.flush(path, &stat(1, 1), || Ok(()))));
    }

    #[test]
    fn a_flush_that_was_interrupted_has_lost_nothing() {
        let doubts = Doubts::default();
        doubts.flush(Path::new("a"), &stat(1, 1), || fails(Errno::INTR)).unwrap_err();
        assert!(doubts.is_empty());
        let errors = [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::UCLEAN, Errno::NOMEM];
        for (inode, error) in (1..).zip(errors) {
            doubts.flush(Path::new("a"), &stat(inode, 1), || fails(error)).unwrap_err();
            assert!(doubts.has(Path::new("a"), &stat(inode, 1)), "{error}");
        }
    }

    #[test]
    fn a_device_that_failed_is_in_doubt_with_all_that_is_on_it() {
        let doubts = Doubts::default();
        doubts.flush_all(|| fails(Errno::IO)).unwrap_err();
        assert!(is_doubtful(doubts.flush_all(|| Ok(()))));
        assert!(is_doubtful(doubts.flush(Path::new("a"), &stat(1, 1), || Ok(()))));
    }

    #[test]
    fn more_doubts_than_can_be_remembered_are_about_everything() {
        let doubts = Doubts::default();
        for inode in 0..=DOUBTS_MAX as u64 {
            doubts.flush(Path::new("a"), &stat(inode, 1), || fails(Errno::IO)).unwrap_err();
        }
        assert!(is_doubtful(doubts.flush(Path::new("b"), &stat(1, 1), || Ok(()))));
        assert_eq!(doubts.known().things.len(), DOUBTS_MAX);
    }

    /// Linux tells the first of two flushes alone.
    #[test]
    fn a_flush_that_comes_while_another_fails_fails_too() {
        let (doubts, path) = (Doubts::default(), Path::new("a"));
        std::thread::scope(|scope| {
            let (begun, begins) = std::sync::mpsc::channel();
            let doubts = &doubts;
            scope.spawn(move || {
                let flush = || {
                    begun.send(()).unwrap();
                    std::thread::sleep(Duration::from_millis(50));
                    fails(Errno::IO)
                };
                doubts.flush(path, &stat(1, 1), flush)
            });
            begins.recv().unwrap();
            assert!(is_doubtful(doubts.flush(path, &stat(1, 1), || Ok(()))));
        });
    }
}
