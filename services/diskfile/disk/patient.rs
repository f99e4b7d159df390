//! A disk whose calls are made again when a signal interrupted them (Python: PEP 475, which Swift relies on).

use std::{
    ffi::OsStr,
    io,
    path::Path,
    time::{Duration, SystemTime},
};

use super::{Disk, DiskDir, DiskFile, Entry, Handle, OpenMode, Stat};

/// How often a call is made again. A disk that is interrupted more often than that has another problem.
const INTERRUPTIONS_MAX: usize = 100;

/// Makes every call of another disk again while it is interrupted.
#[derive(Debug)]
pub(crate) struct Patient(Box<dyn Disk>);

#[derive(Debug)]
struct PatientDir(Box<dyn DiskDir>);

#[derive(Debug)]
struct PatientFile(Box<dyn DiskFile>);

impl Patient {
    pub(crate) fn new(disk: Box<dyn Disk>) -> Self {
        Self(disk)
    }
}

fn patiently<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..INTERRUPTIONS_MAX {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
    call()
}

fn patient_dir(directory: Box<dyn DiskDir>) -> Box<dyn DiskDir> {
    Box::new(PatientDir(directory))
}

fn patient_file(file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
    Box::new(PatientFile(file))
}

impl Disk for Patient {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        patiently(|| self.0.open(path, mode)).map(patient_file)
    }

    fn open_dir(&self, path: &Path) -> io::Result<Box<dyn DiskDir>> {
        patiently(|| self.0.open_dir(path)).map(patient_dir)
    }

    fn temporary(&self, directory: &Path) -> io::Result<Box<dyn DiskFile>> {
        patiently(|| self.0.temporary(directory)).map(patient_file)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        patiently(|| self.0.hard_link(from, to))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        patiently(|| self.0.rename(from, to))
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        patiently(|| self.0.unlink(path))
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        patiently(|| self.0.make_dir(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        patiently(|| self.0.remove_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        patiently(|| self.0.list(path))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        patiently(|| self.0.stat(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        patiently(|| self.0.sync_dir(path))
    }

    fn sync_all(&self) -> io::Result<()> {
        patiently(|| self.0.sync_all())
    }

    fn space(&self) -> io::Result<(u64, u64)> {
        patiently(|| self.0.space())
    }

    fn still_mounted(&self) -> Result<(), String> {
        self.0.still_mounted()
    }

    fn now(&self) -> SystemTime {
        self.0.now()
    }

    fn pause(&self, time: Duration) {
        self.0.pause(time);
    }
}

impl DiskDir for PatientDir {
    fn list(&self) -> io::Result<Vec<Entry>> {
        patiently(|| self.0.list())
    }

    fn open(&self, name: &OsStr) -> io::Result<Box<dyn DiskFile>> {
        patiently(|| self.0.open(name)).map(patient_file)
    }

    fn open_dir(&self, name: &OsStr) -> io::Result<Box<dyn DiskDir>> {
        patiently(|| self.0.open_dir(name)).map(patient_dir)
    }

    fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        patiently(|| self.0.make_dir(name))
    }

    fn unlink(&self, name: &OsStr) -> io::Result<()> {
        patiently(|| self.0.unlink(name))
    }

    fn stat(&self) -> io::Result<Stat> {
        patiently(|| self.0.stat())
    }

    fn stat_of(&self, name: &OsStr) -> io::Result<Stat> {
        patiently(|| self.0.stat_of(name))
    }

    fn sync(&self) -> io::Result<()> {
        patiently(|| self.0.sync())
    }

    fn handle(&self) -> Handle<'_> {
        self.0.handle()
    }
}

impl DiskFile for PatientFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        patiently(|| self.0.read_at(buffer, offset))
    }

    fn read_into(&self, buffer: &mut Vec<u8>, offset: u64) -> io::Result<usize> {
        patiently(|| self.0.read_into(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        patiently(|| self.0.write_at(bytes, offset))
    }

    fn truncate(&self) -> io::Result<()> {
        patiently(|| self.0.truncate())
    }

    fn stat(&self) -> io::Result<Stat> {
        patiently(|| self.0.stat())
    }

    fn start_sync(&self) {
        self.0.start_sync();
    }

    fn sync(&self) -> io::Result<()> {
        patiently(|| self.0.sync())
    }

    fn sync_data(&self) -> io::Result<()> {
        patiently(|| self.0.sync_data())
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        patiently(|| self.0.allocate(size))
    }

    fn drop_cache(&self, offset: u64, length: u64) {
        self.0.drop_cache(offset, length);
    }

    fn attribute(&self, name: &str) -> io::Result<Vec<u8>> {
        patiently(|| self.0.attribute(name))
    }

    fn set_attribute(&self, name: &str, value: &[u8]) -> io::Result<()> {
        patiently(|| self.0.set_attribute(name, value))
    }

    fn try_lock(&self) -> io::Result<bool> {
        patiently(|| self.0.try_lock())
    }

    fn link(&self, to: &Path) -> io::Result<()> {
        patiently(|| self.0.link(to))
    }

    fn link_in(&self, directory: &dyn DiskDir, name: &OsStr) -> io::Result<()> {
        patiently(|| self.0.link_in(directory, name))
    }
}
