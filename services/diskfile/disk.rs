//! All that this crate asks of an operating system, as two small traits, so that tests can fail any call and watch their order.

mod patient;
mod real;

use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    os::fd::BorrowedFd,
    path::Path,
    time::{Duration, SystemTime},
};

pub(crate) use patient::Patient;
pub(crate) use real::{Mount, RealDisk};
use rustix::io::Errno;

/// How to open a file that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenMode {
    /// Read what is there.
    Read,
    /// Append; make it if need be.
    Append,
    /// Make it, for this program alone; fails if there is one.
    CreateNew,
    /// Make it if need be, to hold a lock on it.
    Lock,
}

/// What is known of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) modified: SystemTime,
    /// When it got its contents, a name or another property last.
    pub(crate) changed: SystemTime,
    /// When the inode was made, where the file system says so.
    pub(crate) born: Option<SystemTime>,
    pub(crate) directory: bool,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) name: OsString,
    pub(crate) inode: u64,
}

/// One device's file system, from the directory down at which it was opened. Paths are relative to it and cannot leave it.
pub(crate) trait Disk: fmt::Debug + Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a directory.
    fn open_dir(&self, path: &Path) -> io::Result<Box<dyn DiskDir>>;
    /// Makes a file without a name in a directory.
    fn temporary(&self, directory: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name, which must be free.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Renames, replacing what was there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Makes one directory.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Lists a directory, without `.` and `..`.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// What a name stands for; links are not followed.
    fn stat(&self, path: &Path) -> io::Result<Stat>;
    /// Flushes a directory.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Flushes the file system.
    fn sync_all(&self) -> io::Result<()>;
    /// Bytes free for this program, and bytes in all.
    fn space(&self) -> io::Result<(u64, u64)>;
    /// Whether it is still what is mounted at its place; if not, what was seen instead.
    fn still_mounted(&self) -> Result<(), String>;
    /// The clock.
    fn now(&self) -> SystemTime;
    /// Lets time pass.
    fn pause(&self, time: Duration);
}

/// An open directory, wherever it has been moved meanwhile. What is asked of a name in it walks no path, but where a link stands
/// for a directory; a name is a single one.
pub(crate) trait DiskDir: fmt::Debug + Send + Sync {
    /// Lists it, without `.` and `..`. One that has been removed is empty.
    fn list(&self) -> io::Result<Vec<Entry>>;
    /// Opens a file to read it.
    fn open(&self, name: &OsStr) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a directory.
    fn open_dir(&self, name: &OsStr) -> io::Result<Box<dyn DiskDir>>;
    /// Makes one directory.
    fn make_dir(&self, name: &OsStr) -> io::Result<()>;
    /// Removes a file's name.
    fn unlink(&self, name: &OsStr) -> io::Result<()>;
    /// What is known of it.
    fn stat(&self) -> io::Result<Stat>;
    /// What a name in it stands for; links are not followed.
    fn stat_of(&self, name: &OsStr) -> io::Result<Stat>;
    /// Flushes it.
    fn sync(&self) -> io::Result<()>;
    /// What files of the same disk know it by.
    fn handle(&self) -> Handle<'_>;
}

/// What an open directory is to its disk.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Handle<'a> {
    Descriptor(BorrowedFd<'a>),
    #[cfg(any(test, feature = "simulation"))]
    Simulated(u64),
}

/// A name that leads nowhere but into its directory.
pub(crate) fn single(name: &OsStr) -> io::Result<&OsStr> {
    let bytes = name.as_encoded_bytes();
    match bytes {
        b"" | b"." | b".." => Err(Errno::INVAL.into()),
        _ if bytes.iter().any(|byte| matches!(byte, b'/' | 0)) => Err(Errno::INVAL.into()),
        _ => Ok(name),
    }
}

/// An open file.
pub(crate) trait DiskFile: fmt::Debug + Send + Sync {
    /// Reads at most the buffer's length; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// As [`read_at`](Self::read_at), behind what is in the buffer and up to its capacity.
    fn read_into(&self, buffer: &mut Vec<u8>, offset: u64) -> io::Result<usize> {
        let filled = buffer.len();
        buffer.resize(buffer.capacity(), 0);
        let read = self.read_at(buffer.get_mut(filled..).unwrap_or_default(), offset);
        buffer.truncate(filled + read.as_ref().copied().unwrap_or_default());
        read
    }
    /// Writes at least one byte at an offset (at the end, for a file opened to append), and says how many.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Cuts it to nothing.
    fn truncate(&self) -> io::Result<()>;
    /// What is known of it.
    fn stat(&self) -> io::Result<Stat>;
    /// Begins to write back its contents, and does not wait: a flush soon after finds less to do. Advice.
    fn start_sync(&self);
    /// Flushes contents and metadata.
    fn sync(&self) -> io::Result<()>;
    /// Flushes contents.
    fn sync_data(&self) -> io::Result<()>;
    /// Takes space without changing the size.
    fn allocate(&self, size: u64) -> io::Result<()>;
    /// Says that the page cache need not keep these bytes; a length of 0 reaches to the end.
    fn drop_cache(&self, offset: u64, length: u64);
    /// An extended attribute.
    fn attribute(&self, name: &str) -> io::Result<Vec<u8>>;
    /// Sets an extended attribute.
    fn set_attribute(&self, name: &str, value: &[u8]) -> io::Result<()>;
    /// Takes the lock on it, or says that somebody else has it.
    fn try_lock(&self) -> io::Result<bool>;
    /// Gives a file without a name one, which must be free.
    fn link(&self, to: &Path) -> io::Result<()>;
    /// The same in an open directory.
    fn link_in(&self, directory: &dyn DiskDir, name: &OsStr) -> io::Result<()>;
}

/// Writes all bytes at an offset (at the end, for a file opened to append).
pub(crate) fn write_all(file: &dyn DiskFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    let (mut bytes, mut offset) = (bytes, offset);
    while !bytes.is_empty() {
        let written = file.write_at(bytes, offset)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = bytes.get(written..).unwrap_or_default();
        offset += written as u64;
    }
    Ok(())
}

/// Reads a whole file of at most `limit` bytes.
pub(crate) fn read_all(file: &dyn DiskFile, limit: usize) -> io::Result<Vec<u8>> {
    const PIECE: usize = 64 * 1024;
    let mut bytes = Vec::new();
    loop {
        let start = bytes.len();
        if start > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {limit} bytes")));
        }
        bytes.resize(start + PIECE, 0);
        let read = file.read_at(bytes.get_mut(start..).unwrap_or_default(), start as u64)?;
        bytes.truncate(start + read);
        if read == 0 {
            return Ok(bytes);
        }
    }
}
