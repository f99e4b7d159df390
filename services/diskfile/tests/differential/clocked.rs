//! A real disk whose clock the test sets.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use crate::disk::{Disk, DiskDir, DiskFile, Entry, OpenMode, RealDisk, Stat};

#[derive(Debug, Clone)]
pub(super) struct Clock(Arc<Mutex<SystemTime>>);

impl Clock {
    pub(super) fn new(now: SystemTime) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }
    pub(super) fn set(&self, now: SystemTime) {
        *self.0.lock().unwrap() = now;
    }
    pub(super) fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

#[derive(Debug)]
pub(super) struct Clocked {
    pub(super) inner: RealDisk,
    pub(super) clock: Clock,
}

impl Disk for Clocked {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        self.inner.open(path, mode)
    }
    fn open_dir(&self, path: &Path) -> io::Result<Box<dyn DiskDir>> {
        self.inner.open_dir(path)
    }
    fn temporary(&self, directory: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.inner.temporary(directory)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.hard_link(from, to)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.inner.unlink(path)
    }
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.make_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.inner.list(path)
    }
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.inner.stat(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_dir(path)
    }
    fn sync_all(&self) -> io::Result<()> {
        self.inner.sync_all()
    }
    fn space(&self) -> io::Result<(u64, u64)> {
        self.inner.space()
    }
    fn still_mounted(&self) -> Result<(), String> {
        self.inner.still_mounted()
    }
    fn now(&self) -> SystemTime {
        self.clock.now()
    }
    fn pause(&self, time: Duration) {
        self.inner.pause(time);
    }
}
