//! The disk's calls: each is counted, noted, given to the hook, and may fail.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::io::Errno;

use super::{
    SimDisk, State, journal, lock,
    tree::{Kind, Tree},
};
use crate::disk::{Disk, DiskDir, DiskFile, Entry, Handle, OpenMode, Stat, single};

/// How much time a call takes, and how much more a flush.
const CALL: Duration = Duration::from_micros(10);
const FLUSH: Duration = Duration::from_millis(1);
/// Calls whose failures are remembered: those that keep an object from being read, or from being put back to its place.
const REMEMBERED: [&str; 5] = ["read_at", "attribute", "list", "make_dir", "hard_link"];

/// A call, as a hook sees it.
#[derive(Debug, Clone)]
pub struct Call {
    /// The first is 0.
    pub number: u64,
    /// The method of the trait; a file's flush is `sync`, a directory's `sync_dir`.
    pub name: &'static str,
    /// What it is about; for an open file the name it was opened by, or the directory it was made in.
    pub path: PathBuf,
    /// It has been done; otherwise it is just to be done.
    pub done: bool,
    /// It changes names or contents.
    pub changes: bool,
    /// It flushes.
    pub flush: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Looks,
    Changes,
    Flushes,
}

use Effect::{Changes, Flushes, Looks};

impl SimDisk {
    fn call<T>(
        &self,
        name: &'static str,
        path: &Path,
        effect: Effect,
        act: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let number = self.count(effect);
        self.hook(number, name, path, effect, false);
        let (fault, short) = {
            let mut faults = lock(&self.0.faults);
            (faults.take(number, name, path), faults.is_short(number))
        };
        let result = match fault {
            Some(error) => {
                if error == Errno::IO && REMEMBERED.contains(&name) {
                    self.state().failed.insert(path.to_path_buf());
                }
                Err(error.into())
            }
            None => {
                let mut state = self.state();
                state.tick(if effect == Flushes { FLUSH } else { CALL });
                state.short = short;
                act(&mut state)
            }
        };
        self.note(|| match &result {
            Ok(_) => format!("{number} {name} {}", path.display()),
            Err(error) => format!("{number} {name} {}: {error}", path.display()),
        });
        self.hook(number, name, path, effect, true);
        result
    }

    fn count(&self, effect: Effect) -> u64 {
        let mut counts = lock(&self.0.counts);
        counts.calls += 1;
        counts.changes += u64::from(effect != Looks);
        counts.flushes += u64::from(effect == Flushes);
        counts.calls - 1
    }

    fn hook(&self, number: u64, name: &'static str, path: &Path, effect: Effect, done: bool) {
        let Some(mut hook) = lock(&self.0.hook).take() else { return };
        let (changes, flush) = (effect != Looks, effect == Flushes);
        hook(self, &Call { number, name, path: path.to_path_buf(), done, changes, flush });
        lock(&self.0.hook).get_or_insert(hook);
    }

    fn file(&self, state: &mut State, id: journal::Id, path: &Path, mode: Mode) -> Box<dyn DiskFile> {
        Box::new(SimFile { disk: self.clone(), id, handle: state.open(id), path: path.to_path_buf(), mode })
    }

    fn directory(&self, state: &mut State, id: journal::Id, path: &Path) -> io::Result<Box<dyn DiskDir>> {
        state.tree.names(id)?;
        Ok(Box::new(SimDir { disk: self.clone(), id, handle: state.open(id), path: path.to_path_buf() }))
    }
}

impl State {
    fn open(&mut self, id: journal::Id) -> u64 {
        let handle = self.next_handle;
        self.next_handle += 1;
        self.handles.insert(handle, id);
        self.tree.open(id);
        handle
    }

    fn close(&mut self, handle: u64) {
        if let Some(id) = self.handles.remove(&handle) {
            self.tree.close(id);
        }
    }
}

fn stat(state: &State, id: journal::Id) -> Stat {
    let node = state.tree.node(id);
    Stat {
        inode: node.number,
        size: match &node.kind {
            Kind::File(contents) => contents.bytes().len() as u64,
            Kind::Directory(_) => 4096,
        },
        modified: node.modified,
        changed: node.modified,
        born: state.options.born.then_some(node.born),
        directory: matches!(node.kind, Kind::Directory(_)),
    }
}

/// A directory's names, in no order.
fn list(tree: &Tree, directory: journal::Id) -> io::Result<Vec<Entry>> {
    let entry =
        |(name, id): (&OsString, &journal::Id)| Entry { name: name.clone(), inode: tree.node(*id).number };
    let mut entries: Vec<_> = tree.names(directory)?.iter().map(entry).collect();
    entries.sort_unstable_by_key(|entry| entry.inode.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    Ok(entries)
}

fn open(tree: &mut Tree, path: &Path, mode: OpenMode) -> io::Result<(journal::Id, Mode)> {
    let found = match tree.find(path) {
        Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => None,
        other => Some(other?),
    };
    let (mode, create) = match mode {
        OpenMode::Read => (Mode::Read, false),
        OpenMode::Append => (Mode::Append, true),
        OpenMode::Lock => (Mode::Write, true),
        OpenMode::CreateNew if found.is_some() => return Err(Errno::EXIST.into()),
        OpenMode::CreateNew => (Mode::Both, true),
    };
    match found {
        Some(id) if mode != Mode::Read && tree.is_directory(id) => Err(Errno::ISDIR.into()),
        Some(id) => Ok((id, mode)),
        None if create => Ok((tree.make_file(path)?, mode)),
        None => Err(Errno::NOENT.into()),
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        // It may make a file; whether it does is seen too late for the hook.
        let effect = if mode == OpenMode::Read { Looks } else { Changes };
        self.call("open", path, effect, |state| {
            if mode != OpenMode::Read && state.tree.is_free(path) {
                state.need(2)?;
            }
            let (id, mode) = open(&mut state.tree, path, mode)?;
            Ok(self.file(state, id, path, mode))
        })
    }

    fn open_dir(&self, path: &Path) -> io::Result<Box<dyn DiskDir>> {
        self.call("open_dir", path, Looks, |state| {
            let id = state.tree.find(path)?;
            self.directory(state, id, path)
        })
    }

    fn temporary(&self, directory: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.call("temporary", directory, Changes, |state| {
            if !state.options.nameless {
                return Err(Errno::OPNOTSUPP.into());
            }
            state.need(1)?;
            let id = state.tree.make_nameless(directory)?;
            Ok(self.file(state, id, directory, Mode::Write))
        })
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call("hard_link", to, Changes, |state| {
            state.need(usize::from(state.tree.is_free(to)))?;
            state.tree.hard_link(from, to)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call("rename", to, Changes, |state| {
            state.need(usize::from(state.tree.is_free(to)))?;
            state.tree.rename(from, to)
        })
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.call("unlink", path, Changes, |state| state.tree.unlink(path))
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.call("make_dir", path, Changes, |state| {
            state.need(if state.tree.is_free(path) { 2 } else { 0 })?;
            state.tree.make_dir(path)
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.call("remove_dir", path, Changes, |state| state.tree.remove_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.call("list", path, Looks, |state| list(&state.tree, state.tree.find(path)?))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.call("stat", path, Looks, |state| Ok(stat(state, state.tree.find(path)?)))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.call("sync_dir", path, Flushes, |state| {
            let id = state.tree.find(path)?;
            state.tree.names(id)?;
            state.tree.force(id);
            Ok(())
        })
    }

    fn sync_all(&self) -> io::Result<()> {
        self.call("sync_all", Path::new(""), Flushes, |state| {
            state.tree.force_all();
            Ok(())
        })
    }

    fn space(&self) -> io::Result<(u64, u64)> {
        self.call("space", Path::new(""), Looks, |state| Ok(state.options.space))
    }

    fn still_mounted(&self) -> Result<(), String> {
        let mounted = self.call("still_mounted", Path::new(""), Looks, |state| Ok(state.mounted));
        match mounted {
            Ok(true) => Ok(()),
            Ok(false) => Err("is not mounted any more".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn now(&self) -> SystemTime {
        SimDisk::now(self)
    }

    fn pause(&self, time: Duration) {
        self.advance(time);
    }
}

#[derive(Debug)]
struct SimDir {
    disk: SimDisk,
    id: journal::Id,
    handle: u64,
    path: PathBuf,
}

impl DiskDir for SimDir {
    fn list(&self) -> io::Result<Vec<Entry>> {
        self.disk.call("list", &self.path, Looks, |state| list(&state.tree, self.id))
    }

    fn open(&self, name: &OsStr) -> io::Result<Box<dyn DiskFile>> {
        let path = self.path.join(single(name)?);
        self.disk.call("open", &path, Looks, |state| {
            let id = state.tree.in_directory(self.id, name)?.ok_or(Errno::NOENT)?;
            Ok(self.disk.file(state, id, &path, Mode::Read))
        })
    }

    fn open_dir(&self, name: &OsStr) -> io::Result<Box<dyn DiskDir>> {
        let path = self.path.join(single(name)?);
        self.disk.call("open_dir", &path, Looks, |state| {
            let id = state.tree.in_directory(self.id, name)?.ok_or(Errno::NOENT)?;
            self.disk.directory(state, id, &path)
        })
    }

    fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        let path = self.path.join(single(name)?);
        self.disk.call("make_dir", &path, Changes, |state| {
            let is_free = state.tree.in_directory(self.id, name)?.is_none();
            state.need(if is_free { 2 } else { 0 })?;
            state.tree.make_dir_in(self.id, name)
        })
    }

    fn unlink(&self, name: &OsStr) -> io::Result<()> {
        let path = self.path.join(single(name)?);
        self.disk.call("unlink", &path, Changes, |state| state.tree.unlink_in(self.id, name))
    }

    fn stat(&self) -> io::Result<Stat> {
        self.disk.call("stat", &self.path, Looks, |state| Ok(stat(state, self.id)))
    }

    fn stat_of(&self, name: &OsStr) -> io::Result<Stat> {
        self.disk.call("stat", &self.path.join(single(name)?), Looks, |state| {
            let id = state.tree.in_directory(self.id, name)?.ok_or(Errno::NOENT)?;
            Ok(stat(state, id))
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.call("sync_dir", &self.path, Flushes, |state| {
            state.tree.force(self.id);
            Ok(())
        })
    }

    fn handle(&self) -> Handle<'_> {
        Handle::Simulated(self.id)
    }
}

impl Drop for SimDir {
    fn drop(&mut self) {
        self.disk.state().close(self.handle);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Read,
    Append,
    Write,
    Both,
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    id: journal::Id,
    handle: u64,
    path: PathBuf,
    mode: Mode,
}

impl SimFile {
    fn call<T>(
        &self,
        name: &'static str,
        effect: Effect,
        act: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        self.disk.call(name, &self.path, effect, act)
    }

    fn flush(&self, name: &'static str, act: impl FnOnce(&mut State) -> io::Result<()>) -> io::Result<()> {
        let result = self.call(name, Flushes, act);
        // A flush that was interrupted has lost nothing: it is to be made again.
        let failed = |error: &io::Error| error.kind() != io::ErrorKind::Interrupted;
        if result.as_ref().is_err_and(failed)
            && let Ok(contents) = self.disk.state().tree.contents_mut(self.id)
        {
            contents.lose();
        }
        result
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.call("read_at", Looks, |state| {
            if matches!(self.mode, Mode::Append | Mode::Write) {
                return Err(Errno::BADF.into());
            }
            let bytes = state.tree.contents(self.id)?.bytes();
            let rest = bytes.get(offset as usize..).unwrap_or_default();
            let length = match rest.len().min(buffer.len()) {
                length if state.short => length.div_ceil(2),
                length => length,
            };
            buffer[..length].copy_from_slice(&rest[..length]);
            Ok(length)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.call("write_at", Changes, |state| {
            if self.mode == Mode::Read {
                return Err(Errno::BADF.into());
            }
            if bytes.len() as u64 > state.options.space.0 {
                return Err(Errno::NOSPC.into());
            }
            let length = match &mut state.options.short_writes {
                Some(random) => 1 + random.below(bytes.len()),
                None if state.short => bytes.len().div_ceil(2),
                None => bytes.len(),
            };
            let contents = state.tree.contents(self.id)?;
            let offset = if self.mode == Mode::Append { contents.bytes().len() } else { offset as usize };
            state.need(contents.blocks_of(offset + length) - contents.blocks())?;
            state.tree.touch(self.id);
            let contents = state.tree.contents_mut(self.id)?;
            contents.write(offset, &bytes[..length]);
            Ok(length)
        })
    }

    fn truncate(&self) -> io::Result<()> {
        self.call("truncate", Changes, |state| {
            if self.mode == Mode::Read {
                return Err(Errno::INVAL.into());
            }
            state.tree.touch(self.id);
            state.tree.contents_mut(self.id)?.truncate();
            Ok(())
        })
    }

    fn stat(&self) -> io::Result<Stat> {
        self.call("fstat", Looks, |state| Ok(stat(state, self.id)))
    }

    fn start_sync(&self) {}

    fn sync(&self) -> io::Result<()> {
        self.flush("sync", |state| {
            state.tree.contents_mut(self.id)?.flush();
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.flush("sync_data", |state| {
            state.tree.contents_mut(self.id)?.flush_bytes();
            Ok(())
        })
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.call("allocate", Changes, |state| {
            if size > state.options.space.0 {
                return Err(Errno::NOSPC.into());
            }
            let contents = state.tree.contents(self.id)?;
            state.need(contents.blocks_of(size as usize) - contents.blocks())?;
            state.tree.contents_mut(self.id)?.allocate(size as usize);
            Ok(())
        })
    }

    fn drop_cache(&self, _offset: u64, _length: u64) {}

    fn attribute(&self, name: &str) -> io::Result<Vec<u8>> {
        self.call("attribute", Looks, |state| {
            let contents = state.tree.contents(self.id).map_err(|_| Errno::NODATA)?;
            Ok(contents.attributes().get(name).ok_or(Errno::NODATA)?.clone())
        })
    }

    fn set_attribute(&self, name: &str, value: &[u8]) -> io::Result<()> {
        self.call("set_attribute", Changes, |state| {
            state.tree.contents_mut(self.id)?.set_attribute(name, value);
            Ok(())
        })
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.call("try_lock", Looks, |state| {
            Ok(*state.locks.entry(self.id).or_insert(self.handle) == self.handle)
        })
    }

    fn link(&self, to: &Path) -> io::Result<()> {
        self.disk.call("link", to, Changes, |state| {
            state.need(usize::from(state.tree.is_free(to)))?;
            state.tree.link(self.id, to)
        })
    }

    fn link_in(&self, directory: &dyn DiskDir, name: &OsStr) -> io::Result<()> {
        let Handle::Simulated(directory) = directory.handle() else { return Err(Errno::XDEV.into()) };
        // The hook is told the whole name, as it is by now.
        let to = self.disk.state().tree.path_of(directory).join(single(name)?);
        self.disk.call("link", &to, Changes, |state| {
            state.need(usize::from(state.tree.in_directory(directory, name)?.is_none()))?;
            state.tree.link_in(self.id, directory, name)
        })
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.locks.get(&self.id) == Some(&self.handle) {
            state.locks.remove(&self.id);
        }
        state.close(self.handle);
    }
}
