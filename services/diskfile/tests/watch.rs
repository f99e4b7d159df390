//! A disk that notes what is done to it, and fails or interferes where it is told to.

use std::{
    ffi::OsStr,
    io,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use rustix::io::Errno;

use crate::disk::{Disk, DiskDir, DiskFile, Entry, Handle, OpenMode, RealDisk, Stat};

type Hook = Box<dyn FnOnce() + Send>;

/// What was done, and what is to fail. Shared by the test and the disk.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    log: Vec<String>,
    failing: Vec<(String, Errno)>,
    hooks: Vec<(String, Hook)>,
    now: Option<SystemTime>,
    space: Option<(u64, u64)>,
    /// How often it was asked whether it is mounted, and how often it says yes.
    mount_looks: usize,
    mounted_for: Option<usize>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

impl Watch {
    /// Every operation that begins so fails from now on.
    pub(super) fn fail(&self, operation: &str, error: Errno) {
        self.0.lock().unwrap().failing.push((operation.to_owned(), error));
    }

    pub(super) fn heal(&self) {
        self.0.lock().unwrap().failing.clear();
    }

    /// Runs something just before the next operation that begins so.
    pub(super) fn before(&self, operation: &str, hook: impl FnOnce() + Send + 'static) {
        self.0.lock().unwrap().hooks.push((operation.to_owned(), Box::new(hook)));
    }

    /// What the clock says from now on.
    pub(super) fn set_clock(&self, now: SystemTime) {
        self.0.lock().unwrap().now = Some(now);
    }

    /// The bytes free, and those in all, from now on.
    pub(super) fn set_space(&self, free: u64, total: u64) {
        self.0.lock().unwrap().space = Some((free, total));
    }

    /// After so many more looks it is not mounted any more.
    pub(super) fn unmount_after(&self, looks: usize) {
        let mut state = self.0.lock().unwrap();
        (state.mount_looks, state.mounted_for) = (0, Some(looks));
    }

    /// How often it was asked whether it is mounted, since the last call.
    pub(super) fn take_mount_looks(&self) -> usize {
        std::mem::take(&mut self.0.lock().unwrap().mount_looks)
    }

    /// What was done since the last call.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().log)
    }

    fn note(&self, operation: String) -> io::Result<()> {
        let hook = {
            let mut state = self.0.lock().unwrap();
            let at = state.hooks.iter().position(|(name, _)| operation.starts_with(name));
            at.map(|at| state.hooks.remove(at).1)
        };
        if let Some(hook) = hook {
            hook();
        }
        let mut state = self.0.lock().unwrap();
        let failure =
            state.failing.iter().find(|(name, _)| operation.starts_with(name)).map(|(_, error)| *error);
        state.log.push(operation);
        failure.map_or(Ok(()), |error| Err(error.into()))
    }
}

#[derive(Debug)]
pub(super) struct Watched {
    inner: RealDisk,
    watch: Watch,
}

#[derive(Debug)]
struct WatchedDir {
    inner: Box<dyn DiskDir>,
    path: PathBuf,
    watch: Watch,
}

#[derive(Debug)]
struct WatchedFile {
    inner: Box<dyn DiskFile>,
    name: String,
    watch: Watch,
}

impl Watched {
    pub(super) fn new(inner: RealDisk, watch: Watch) -> Self {
        Self { inner, watch }
    }

    fn note(&self, operation: &str, path: &Path) -> io::Result<()> {
        self.watch.note(format!("{operation} {}", path.display()))
    }

    fn file(&self, inner: Box<dyn DiskFile>, name: String) -> Box<dyn DiskFile> {
        Box::new(WatchedFile { inner, name, watch: self.watch.clone() })
    }
}

impl Disk for Watched {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        self.note("open", path)?;
        Ok(self.file(self.inner.open(path, mode)?, path.display().to_string()))
    }
    fn open_dir(&self, path: &Path) -> io::Result<Box<dyn DiskDir>> {
        self.note("open_dir", path)?;
        let inner = self.inner.open_dir(path)?;
        Ok(Box::new(WatchedDir { inner, path: path.to_path_buf(), watch: self.watch.clone() }))
    }
    fn temporary(&self, directory: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.note("temporary", directory)?;
        Ok(self.file(self.inner.temporary(directory)?, "temporary".to_owned()))
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note("hard_link", to)?;
        self.inner.hard_link(from, to)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note("rename", to)?;
        self.inner.rename(from, to)
    }
    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.note("unlink", path)?;
        self.inner.unlink(path)
    }
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.note("make_dir", path)?;
        self.inner.make_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.note("remove_dir", path)?;
        self.inner.remove_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.note("list", path)?;
        self.inner.list(path)
    }
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.note("stat", path)?;
        self.inner.stat(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.note("sync_dir", path)?;
        self.inner.sync_dir(path)
    }
    fn sync_all(&self) -> io::Result<()> {
        self.note("sync_all", Path::new(""))?;
        self.inner.sync_all()
    }
    fn space(&self) -> io::Result<(u64, u64)> {
        let space = self.watch.0.lock().unwrap().space;
        space.map_or_else(|| self.inner.space(), Ok)
    }
    fn still_mounted(&self) -> Result<(), String> {
        let (looks, mounted_for) = {
            let mut state = self.watch.0.lock().unwrap();
            state.mount_looks += 1;
            (state.mount_looks, state.mounted_for)
        };
        if mounted_for.is_some_and(|times| looks > times) {
            return Err("was unmounted".to_owned());
        }
        self.inner.still_mounted()
    }
    fn now(&self) -> SystemTime {
        self.watch.0.lock().unwrap().now.unwrap_or_else(|| self.inner.now())
    }
    fn pause(&self, time: Duration) {
        self.inner.pause(time);
    }
}

impl WatchedDir {
    fn note(&self, operation: &str, path: &Path) -> io::Result<()> {
        self.watch.note(format!("{operation} {}", path.display()))
    }
}

impl DiskDir for WatchedDir {
    fn list(&self) -> io::Result<Vec<Entry>> {
        self.note("list", &self.path)?;
        self.inner.list()
    }
    fn open(&self, name: &OsStr) -> io::Result<Box<dyn DiskFile>> {
        let path = self.path.join(name);
        self.note("open", &path)?;
        let (inner, name) = (self.inner.open(name)?, path.display().to_string());
        Ok(Box::new(WatchedFile { inner, name, watch: self.watch.clone() }))
    }
    fn open_dir(&self, name: &OsStr) -> io::Result<Box<dyn DiskDir>> {
        let path = self.path.join(name);
        self.note("open_dir", &path)?;
        Ok(Box::new(WatchedDir { inner: self.inner.open_dir(name)?, path, watch: self.watch.clone() }))
    }
    fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        self.note("make_dir", &self.path.join(name))?;
        self.inner.make_dir(name)
    }
    fn unlink(&self, name: &OsStr) -> io::Result<()> {
        self.note("unlink", &self.path.join(name))?;
        self.inner.unlink(name)
    }
    fn stat(&self) -> io::Result<Stat> {
        self.inner.stat()
    }
    fn stat_of(&self, name: &OsStr) -> io::Result<Stat> {
        self.note("stat", &self.path.join(name))?;
        self.inner.stat_of(name)
    }
    fn sync(&self) -> io::Result<()> {
        self.note("sync_dir", &self.path)?;
        self.inner.sync()
    }
    fn handle(&self) -> Handle<'_> {
        self.inner.handle()
    }
}

impl WatchedFile {
    fn note(&self, operation: &str) -> io::Result<()> {
        self.watch.note(format!("{operation} {}", self.name))
    }
}

impl DiskFile for WatchedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.note("read")?;
        self.inner.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.note("write")?;
        self.inner.write_at(bytes, offset)
    }
    fn truncate(&self) -> io::Result<()> {
        self.note("truncate")?;
        self.inner.truncate()
    }
    fn stat(&self) -> io::Result<Stat> {
        self.inner.stat()
    }
    fn start_sync(&self) {
        self.inner.start_sync();
    }
    fn sync(&self) -> io::Result<()> {
        self.note("sync")?;
        self.inner.sync()
    }
    fn sync_data(&self) -> io::Result<()> {
        self.note("sync_data")?;
        self.inner.sync_data()
    }
    fn allocate(&self, size: u64) -> io::Result<()> {
        self.note("allocate")?;
        self.inner.allocate(size)
    }
    fn drop_cache(&self, offset: u64, length: u64) {
        // It cannot fail.
        let _ = self.watch.note(format!("drop_cache {} {offset} {length}", self.name));
        self.inner.drop_cache(offset, length);
    }
    fn attribute(&self, name: &str) -> io::Result<Vec<u8>> {
        self.note("attribute")?;
        self.inner.attribute(name)
    }
    fn set_attribute(&self, name: &str, value: &[u8]) -> io::Result<()> {
        self.note("set_attribute")?;
        self.inner.set_attribute(name, value)
    }
    fn try_lock(&self) -> io::Result<bool> {
        self.note("try_lock")?;
        self.inner.try_lock()
    }
    fn link(&self, to: &Path) -> io::Result<()> {
        self.watch.note(format!("link {}", to.display()))?;
        self.inner.link(to)
    }
    fn link_in(&self, directory: &dyn DiskDir, name: &OsStr) -> io::Result<()> {
        self.watch.note(format!("link {}", path_of(directory).join(name).display()))?;
        self.inner.link_in(directory, name)
    }
}

/// An open directory's path on the device, as it is now.
fn path_of(directory: &dyn DiskDir) -> PathBuf {
    let Handle::Descriptor(descriptor) = directory.handle() else { return PathBuf::new() };
    let real = std::fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd())).unwrap();
    let below = real.components().skip_while(|name| name.as_os_str() != "sda").skip(1);
    below.collect()
}
