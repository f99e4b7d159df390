//! What publishing files durably costs at the least: no network, no digest, nothing read; Swift's layout and no more.
//!
//! Each object: folders of partition, suffix and hash, an unnamed file, its bytes, two attributes of the size of real ones,
//! a flush, a name, and a flush of each folder that has changed.

use std::{
    collections::BTreeSet,
    fmt, fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    str::FromStr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, XattrFlags, fsetxattr, fsync, linkat, open, syncfs};

const PARTITIONS: usize = 256;
const SUFFIXES: usize = 4096;
const METADATA: [(&str, usize); 2] = [("user.swift.metadata", 260), ("user.swift.metadata_checksum", 32)];
const THREADS_MAX: usize = 256;
const BATCH_MAX: usize = 4096;

/// How objects are flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Each for itself: the file, then every folder that has changed.
    Object,
    /// All files of a batch, then each folder of it once.
    Batch,
    /// The whole file system, twice a batch.
    Syncfs,
    /// Not at all.
    None,
}

const MODES: [(&str, Way); 4] =
    [("object", Way::Object), ("batch", Way::Batch), ("syncfs", Way::Syncfs), ("none", Way::None)];

/// One way to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Floor {
    mode: Way,
    threads: usize,
    batch: usize,
}

impl FromStr for Floor {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, amount) = text.split_once('-').context("MODE-THREADSxBATCH")?;
        let (threads, batch) = amount.split_once('x').context("THREADSxBATCH")?;
        let Some((_, mode)) = MODES.iter().find(|known| known.0 == name) else {
            bail!("{name}: object, batch, syncfs or none");
        };
        let floor = Self { mode: *mode, threads: threads.parse()?, batch: batch.parse()? };
        ensure!((1..=THREADS_MAX).contains(&floor.threads), "1 to {THREADS_MAX} threads");
        ensure!((1..=BATCH_MAX).contains(&floor.batch), "batches of 1 to {BATCH_MAX}");
        Ok(floor)
    }
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = MODES.iter().find(|known| known.1 == self.mode).map_or("", |known| known.0);
        write!(f, "{name}-{}x{}", self.threads, self.batch)
    }
}

impl Floor {
    /// Publishes so many objects of one size in a folder. Returns how many flushes it took.
    pub(crate) fn publish(&self, folder: &Path, objects: usize, size: usize) -> Result<u64> {
        fs::create_dir_all(folder.join("objects"))?;
        let (next, body) = (AtomicUsize::new(0), vec![b'x'; size]);
        let work = || -> Result<u64> {
            let mut flushes = 0;
            loop {
                let first = next.fetch_add(self.batch, Ordering::Relaxed);
                if first >= objects {
                    return Ok(flushes);
                }
                let numbers = first..objects.min(first + self.batch);
                flushes += match self.mode {
                    Way::Object | Way::None => numbers
                        .map(|number| self.batch_of(folder, number..number + 1, &body))
                        .sum::<Result<u64>>()?,
                    Way::Batch | Way::Syncfs => self.batch_of(folder, numbers, &body)?,
                };
            }
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads).map(|_| scope.spawn(work)).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, Result<u64>>| {
                thread.join().map_err(|_| anyhow::anyhow!("a thread that publishes panicked"))?
            };
            threads.into_iter().map(join).sum()
        })
    }

    fn batch_of(&self, folder: &Path, numbers: std::ops::Range<usize>, body: &[u8]) -> Result<u64> {
        let (mut written, mut changed) = (Vec::new(), BTreeSet::new());
        for number in numbers {
            let place = Place::of(folder, number);
            place.make_folders(&mut changed)?;
            let file = place.write_unnamed(body)?;
            written.push((place, file));
        }
        let mut flushes = self.flush_files(&written)?;
        for (place, file) in &written {
            place.publish(file)?;
            changed.insert(place.hash.clone());
        }
        flushes += match (self.mode, written.first()) {
            (Way::None, _) | (_, None) => 0,
            (Way::Syncfs, Some((_, file))) => syncfs(file).map(|()| 1)?,
            _ => flush_folders(&changed)?,
        };
        Ok(flushes)
    }

    fn flush_files(&self, written: &[(Place, OwnedFd)]) -> Result<u64> {
        match (self.mode, written.first()) {
            (Way::None, _) | (_, None) => Ok(0),
            (Way::Syncfs, Some((_, file))) => Ok(syncfs(file).map(|()| 1)?),
            _ => {
                written.iter().try_for_each(|(_, file)| fsync(file))?;
                Ok(written.len() as u64)
            }
        }
    }
}

fn flush_folders(folders: &BTreeSet<PathBuf>) -> Result<u64> {
    for folder in folders {
        fsync(open(folder, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?)?;
    }
    Ok(folders.len() as u64)
}

/// Where an object goes.
struct Place {
    partition: PathBuf,
    suffix: PathBuf,
    hash: PathBuf,
}

impl Place {
    fn of(folder: &Path, number: usize) -> Self {
        // Spread as digests are.
        let mut mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let spread = (mixed >> 32) as usize;
        let partition = folder.join("objects").join((spread % PARTITIONS).to_string());
        let suffix = partition.join(format!("{:03x}", spread / PARTITIONS % SUFFIXES));
        let hash = suffix.join(format!("{mixed:016x}{number:016x}"));
        Self { partition, suffix, hash }
    }

    /// What holds a folder that is new has changed.
    fn make_folders(&self, changed: &mut BTreeSet<PathBuf>) -> Result<()> {
        for folder in [&self.partition, &self.suffix, &self.hash] {
            match fs::create_dir(folder) {
                Ok(()) => {
                    changed.extend(folder.parent().map(Path::to_path_buf));
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| folder.display().to_string()),
            }
        }
        Ok(())
    }

    fn write_unnamed(&self, body: &[u8]) -> Result<OwnedFd> {
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
        let file = open(&self.hash, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, mode)?;
        let mut rest = body;
        while !rest.is_empty() {
            rest = &rest[rustix::io::write(&file, rest)?..];
        }
        // Other ones in each object, as real ones are.
        let seed: Vec<u8> = self.hash.as_os_str().as_encoded_bytes().iter().rev().copied().collect();
        for (name, length) in METADATA {
            let value: Vec<u8> = seed.iter().copied().cycle().take(length).collect();
            fsetxattr(&file, name, &value, XattrFlags::empty())?;
        }
        Ok(file)
    }

    fn publish(&self, file: &OwnedFd) -> Result<()> {
        use std::os::fd::AsRawFd as _;
        let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(linkat(CWD, unnamed, CWD, self.hash.join("1700000000.00000.data"), AtFlags::SYMLINK_FOLLOW)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_publishes_all_and_counts_its_flushes() {
        let mut flushes = Vec::new();
        for name in ["object-2x1", "batch-2x16", "syncfs-1x16", "none-2x1"] {
            let folder = tempfile::tempdir().unwrap();
            let floor: Floor = name.parse().unwrap();
            assert_eq!(floor.to_string(), name);
            flushes.push(floor.publish(folder.path(), 40, 100).unwrap());
            assert_eq!(crate::replication::files_of(folder.path()), 40, "{name}");
        }
        // A file, its folder and the one above it at the least.
        assert!(flushes[0] >= 3 * 40 && flushes[1] < flushes[0], "{flushes:?}");
        assert_eq!(flushes[2..], [2 * 3, 0]);
        for name in ["object", "object-0x1", "object-1x0", "soon-1x1", "batch-999x1"] {
            assert!(name.parse::<Floor>().is_err(), "{name}");
        }
    }
}
