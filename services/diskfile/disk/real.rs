//! The operating system's file systems, through rustix.

use std::{
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::{
        self, Advice, AtFlags, CWD, FallocateFlags, FlockOperation, Mode, OFlags, RawDir, ResolveFlags,
        SeekFrom, StatxFlags, XattrFlags,
    },
    io::Errno,
};

use super::{Disk, DiskDir, DiskFile, Entry, Handle, OpenMode, Stat, single};
use crate::mount;

/// Most names read from one directory; beyond it something is wrong with the directory.
const ENTRIES_MAX: usize = 1 << 23;
/// How much of a directory is read at a time.
const LISTING_BYTES: usize = 32 * 1024;
/// Longest extended attribute that Linux keeps.
const ATTRIBUTE_BYTES_MAX: usize = 65_536;
/// Room for almost every object's metadata.
const ATTRIBUTE_BYTES_USUAL: usize = 2048;
/// What Swift's files without names, lock files and directories get, less the umask: the default of Python's os.open.
const MODE: Mode = Mode::from_raw_mode(0o777);
/// What Python's open gives, less the umask.
const PLAIN_MODE: Mode = Mode::from_raw_mode(0o666);
/// What Python's mkstemp gives.
const PRIVATE_MODE: Mode = Mode::from_raw_mode(0o600);

/// A directory of the operating system, and all below it.
#[derive(Debug)]
pub(crate) struct RealDisk {
    root: Arc<Root>,
    path: PathBuf,
    mount_check: bool,
    /// File system and inode.
    identity: (u64, u64),
}

/// What a device was when it was opened, as far as the kernel tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mount {
    identity: (u64, u64),
    /// Of this mounting alone: whatever is mounted next has another. From Linux 6.8.
    id: Option<u64>,
}

#[cfg(any(test, feature = "simulation"))]
impl Mount {
    /// One of simulated disks, by its number.
    pub(crate) fn simulated(number: u64) -> Self {
        Self { identity: (0, 0), id: Some(number) }
    }
}

/// STATX_MNT_ID_UNIQUE of statx(2).
const UNIQUE_MOUNT: StatxFlags = StatxFlags::from_bits_retain(0x4000);

#[derive(Debug)]
struct Root {
    directory: OwnedFd,
    /// openat2 is Linux 5.6, and some sandboxes refuse it.
    plain_open: AtomicBool,
}

impl Root {
    fn open(&self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = flags | OFlags::CLOEXEC;
        if !self.plain_open.load(Ordering::Relaxed) {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            match fs::openat2(&self.directory, path, flags, mode, resolve) {
                Err(Errno::NOSYS) => self.plain_open.store(true, Ordering::Relaxed),
                Err(Errno::PERM) => {}
                other => return Ok(other?),
            }
        }
        Ok(fs::openat(&self.directory, path, flags, mode)?)
    }

    /// The directory that holds a name, opened beneath the root, and the name: only opening can be kept beneath a directory.
    fn parent<'a>(&self, path: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok((self.open(parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?, name))
    }
}

impl RealDisk {
    /// Opens a device's directory if the device is usable; if not, says what was seen.
    pub(crate) fn open(path: &Path, mount_check: bool) -> Result<Self, String> {
        let identity = mount::identify(path, mount_check)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened =
            fs::openat(CWD, path, flags, Mode::empty()).and_then(|opened| Ok((fs::fstat(&opened)?, opened)));
        let (stat, directory) = opened.map_err(|error| format!("{}: {error}", path.display()))?;
        if (stat.st_dev, stat.st_ino) != identity {
            return Err("was mounted or unmounted while it was being opened".to_owned());
        }
        let root = Arc::new(Root { directory, plain_open: AtomicBool::new(false) });
        Ok(Self { root, path: path.to_path_buf(), mount_check, identity })
    }

    /// What is mounted there.
    pub(crate) fn mount(&self) -> Mount {
        let id = fs::statx(&self.root.directory, "", AtFlags::EMPTY_PATH, UNIQUE_MOUNT)
            .ok()
            .filter(|found| StatxFlags::from_bits_retain(found.stx_mask).contains(UNIQUE_MOUNT))
            .map(|found| found.stx_mnt_id);
        Mount { identity: self.identity, id }
    }

    fn file(&self, file: OwnedFd) -> Box<dyn DiskFile> {
        Box::new(RealFile { file, root: Arc::clone(&self.root) })
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let (flags, mode) = match mode {
            OpenMode::Read => (OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK, Mode::empty()),
            OpenMode::Append => (OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE, PLAIN_MODE),
            OpenMode::CreateNew => (OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, PRIVATE_MODE),
            OpenMode::Lock => (OFlags::WRONLY | OFlags::CREATE, MODE),
        };
        Ok(self.file(self.root.open(path, flags, mode)?))
    }

    fn open_dir(&self, path: &Path) -> io::Result<Box<dyn DiskDir>> {
        Ok(Box::new(RealDir::open(&self.root, path)?))
    }

    fn temporary(&self, directory: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(self.root.open(directory, OFlags::TMPFILE | OFlags::WRONLY, MODE)?))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((from_dir, from), (to_dir, to)) = (self.root.parent(from)?, self.root.parent(to)?);
        Ok(fs::linkat(from_dir, from, to_dir, to, AtFlags::empty())?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((from_dir, from), (to_dir, to)) = (self.root.parent(from)?, self.root.parent(to)?);
        Ok(fs::renameat(from_dir, from, to_dir, to)?)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let (directory, name) = self.root.parent(path)?;
        Ok(fs::unlinkat(directory, name, AtFlags::empty())?)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        let (directory, name) = self.root.parent(path)?;
        Ok(fs::mkdirat(directory, name, MODE)?)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let (directory, name) = self.root.parent(path)?;
        Ok(fs::unlinkat(directory, name, AtFlags::REMOVEDIR)?)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        RealDir::open(&self.root, path)?.list()
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        if path.as_os_str().is_empty() {
            return stat(&self.root.directory, Path::new(""));
        }
        let (directory, name) = self.root.parent(path)?;
        stat(&directory, Path::new(name))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDir::open(&self.root, path)?.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(fs::syncfs(&self.root.directory)?)
    }

    fn space(&self) -> io::Result<(u64, u64)> {
        let space = fs::fstatvfs(&self.root.directory)?;
        Ok((space.f_bavail.saturating_mul(space.f_frsize), space.f_blocks.saturating_mul(space.f_frsize)))
    }

    fn still_mounted(&self) -> Result<(), String> {
        if mount::identify(&self.path, self.mount_check)? == self.identity {
            return Ok(());
        }
        Err("was unmounted, or something else was mounted, after it was opened".to_owned())
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

#[derive(Debug)]
struct RealDir {
    directory: OwnedFd,
    root: Arc<Root>,
    /// As it was opened, from the root.
    path: PathBuf,
    /// It has been listed, so it is to be read from its beginning.
    listed: AtomicBool,
}

impl RealDir {
    fn open(root: &Arc<Root>, path: &Path) -> io::Result<Self> {
        let directory = root.open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        Ok(Self::of(root, directory, path.to_path_buf()))
    }

    fn of(root: &Arc<Root>, directory: OwnedFd, path: PathBuf) -> Self {
        Self { directory, root: Arc::clone(root), path, listed: AtomicBool::new(false) }
    }
}

impl DiskDir for RealDir {
    fn list(&self) -> io::Result<Vec<Entry>> {
        if self.listed.swap(true, Ordering::Relaxed) {
            fs::seek(&self.directory, SeekFrom::Start(0))?;
        }
        let mut buffer = Vec::with_capacity(LISTING_BYTES);
        let mut directory = RawDir::new(&self.directory, buffer.spare_capacity_mut());
        let mut entries = Vec::new();
        // A short answer need not be the last: an error that cut it short comes with the next one alone.
        while let Some(entry) = directory.next() {
            let entry = match entry {
                // It has been removed.
                Err(Errno::NOENT) => break,
                entry => entry?,
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            if entries.len() == ENTRIES_MAX {
                return Err(io::Error::other(format!("more than {ENTRIES_MAX} names")));
            }
            entries.push(Entry { name: name.to_owned(), inode: entry.ino() });
        }
        Ok(entries)
    }

    fn open(&self, name: &OsStr) -> io::Result<Box<dyn DiskFile>> {
        // No link is followed, so a single name does not lead out of the directory.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = fs::openat(&self.directory, single(name)?, flags, Mode::empty())?;
        Ok(Box::new(RealFile { file, root: Arc::clone(&self.root) }))
    }

    fn open_dir(&self, name: &OsStr) -> io::Result<Box<dyn DiskDir>> {
        let path = self.path.join(single(name)?);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match fs::openat(&self.directory, name, flags, Mode::empty()) {
            // A link is followed, but not out of the device.
            Err(Errno::NOTDIR | Errno::LOOP) => {
                self.root.open(&path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?
            }
            opened => opened?,
        };
        Ok(Box::new(Self::of(&self.root, directory, path)))
    }

    fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        Ok(fs::mkdirat(&self.directory, single(name)?, MODE)?)
    }

    fn unlink(&self, name: &OsStr) -> io::Result<()> {
        Ok(fs::unlinkat(&self.directory, single(name)?, AtFlags::empty())?)
    }

    fn stat(&self) -> io::Result<Stat> {
        stat(&self.directory, Path::new(""))
    }

    fn stat_of(&self, name: &OsStr) -> io::Result<Stat> {
        stat(&self.directory, Path::new(single(name)?))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.directory)?)
    }

    fn handle(&self) -> Handle<'_> {
        Handle::Descriptor(self.directory.as_fd())
    }
}

#[derive(Debug)]
struct RealFile {
    file: OwnedFd,
    root: Arc<Root>,
}

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pread(&self.file, buffer, offset)?)
    }

    fn read_into(&self, buffer: &mut Vec<u8>, offset: u64) -> io::Result<usize> {
        // Nothing is written into memory that is read over at once.
        Ok(rustix::io::pread(&self.file, rustix::buffer::spare_capacity(buffer), offset)?)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pwrite(&self.file, bytes, offset)?)
    }

    fn truncate(&self) -> io::Result<()> {
        Ok(fs::ftruncate(&self.file, 0)?)
    }

    fn stat(&self) -> io::Result<Stat> {
        stat(&self.file, Path::new(""))
    }

    fn start_sync(&self) {
        // Linux begins the write-back before it drops what is clean; sync_file_range would be unsafe code.
        self.drop_cache(0, 0);
    }

    fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.file)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(fs::fdatasync(&self.file)?)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        Ok(fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, size)?)
    }

    fn drop_cache(&self, offset: u64, length: u64) {
        // Advice: a refusal changes nothing.
        let _ = fs::fadvise(&self.file, offset, length.try_into().ok(), Advice::DontNeed);
    }

    fn attribute(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut value = vec![0; ATTRIBUTE_BYTES_USUAL];
        let length = match fs::fgetxattr(&self.file, name, &mut value[..]) {
            Err(Errno::RANGE) => {
                value.resize(ATTRIBUTE_BYTES_MAX, 0);
                fs::fgetxattr(&self.file, name, &mut value[..])?
            }
            length => length?,
        };
        value.truncate(length);
        Ok(value)
    }

    fn set_attribute(&self, name: &str, value: &[u8]) -> io::Result<()> {
        Ok(fs::fsetxattr(&self.file, name, value, XattrFlags::empty())?)
    }

    fn try_lock(&self) -> io::Result<bool> {
        match fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn link(&self, to: &Path) -> io::Result<()> {
        let (directory, name) = self.root.parent(to)?;
        self.name(directory.as_fd(), name)
    }

    fn link_in(&self, directory: &dyn DiskDir, name: &OsStr) -> io::Result<()> {
        match directory.handle() {
            Handle::Descriptor(directory) => self.name(directory, single(name)?),
            #[cfg(any(test, feature = "simulation"))]
            Handle::Simulated(_) => Err(Errno::XDEV.into()),
        }
    }
}

impl RealFile {
    fn name(&self, directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
        // AT_EMPTY_PATH on the descriptor itself wants a capability; the way through /proc does not (open(2), O_TMPFILE).
        let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        Ok(fs::linkat(CWD, own.as_str(), directory, name, AtFlags::SYMLINK_FOLLOW)?)
    }
}

fn stat(directory: &OwnedFd, name: &Path) -> io::Result<Stat> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    let found = fs::statx(directory, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
    let time = |seconds: i64, nanoseconds: u32| {
        UNIX_EPOCH + Duration::new(u64::try_from(seconds).unwrap_or(0), nanoseconds)
    };
    let born = StatxFlags::from_bits_retain(found.stx_mask)
        .contains(StatxFlags::BTIME)
        .then(|| time(found.stx_btime.tv_sec, found.stx_btime.tv_nsec));
    Ok(Stat {
        inode: found.stx_ino,
        size: found.stx_size,
        modified: time(found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec),
        changed: time(found.stx_ctime.tv_sec, found.stx_ctime.tv_nsec),
        born,
        directory: fs::FileType::from_raw_mode(found.stx_mode.into()) == fs::FileType::Directory,
    })
}
