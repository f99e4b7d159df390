//! A disk in memory that can lose its power, its program, its mount, any call, and its patience, all from a seed; and machines
//! that have such disks.
//!
//! It keeps what programs see and what is on the platter apart (the idea is redb's `CrashBackend`). What a power cut leaves of the
//! difference is decided by a seed: `journal.rs` says how for names, `contents.rs` for bytes and attributes.

mod calls;
mod contents;
mod faults;
mod journal;
mod machine;
mod random;
mod single;
#[cfg(test)]
mod tests;
mod tree;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub use calls::Call;
pub use faults::{Again, Faults};
pub use journal::Model;
pub use machine::Machine;
pub use random::Random;
pub use rustix::io::Errno;
pub use single::{Single, hang, hangs, is_single, number, work_takes};

use tree::Tree;

/// When a new disk's clock begins.
const BEGINNING: Duration = Duration::from_secs(1_700_000_000);
/// How long the machine is down after a power cut.
const DOWNTIME: Duration = Duration::from_secs(20);
/// Most lines of the log that are kept.
const LOG_MAX: usize = 100_000;

/// What sort of file system it is.
#[derive(Debug, Clone)]
pub struct Options {
    /// Files without a name can be made; otherwise the call says OPNOTSUPP.
    pub nameless: bool,
    /// It knows when a file was made.
    pub born: bool,
    /// Bytes that are free, and bytes in all. What is more than is free is refused; nothing is counted.
    pub space: (u64, u64),
    /// Blocks in all, where they are counted: one for each inode, each name, and each 4 KiB of contents or part of it.
    pub blocks: Option<usize>,
    /// A write takes a part of what it is given, by this seed.
    pub short_writes: Option<Random>,
    /// The machine's clock. Without one, time passes with the calls alone.
    pub clock: Option<Clock>,
}

/// Says what time it is.
#[derive(Clone)]
pub struct Clock(pub Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&(self.0)()).finish()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nameless: true,
            born: true,
            space: (1 << 40, 1 << 40),
            blocks: None,
            short_writes: None,
            clock: None,
        }
    }
}

type Hook = Box<dyn FnMut(&SimDisk, &Call) + Send>;

/// The disk. Clones are the same disk; [`snapshot`](Self::snapshot) gives another.
#[derive(Clone)]
pub struct SimDisk(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    faults: Mutex<Faults>,
    counts: Mutex<Counts>,
    log: Mutex<Option<Vec<String>>>,
    hook: Mutex<Option<Hook>>,
}

/// What a snapshot copies.
#[derive(Debug, Clone)]
struct State {
    tree: Tree,
    options: Options,
    mounted: bool,
    /// Which handle has the lock on a file.
    locks: BTreeMap<journal::Id, u64>,
    handles: BTreeMap<u64, journal::Id>,
    next_handle: u64,
    /// Files and directories of which it said that it could not read them, or give them their names.
    failed: BTreeSet<PathBuf>,
    /// The call that is being made does half of what it is asked for.
    short: bool,
}

/// What was asked of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Calls that can fail.
    pub calls: u64,
    /// Calls that change names or contents, or flush.
    pub changes: u64,
    /// Calls that flush.
    pub flushes: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            tree: Tree::new(UNIX_EPOCH + BEGINNING),
            options: Options::default(),
            mounted: true,
            locks: BTreeMap::new(),
            handles: BTreeMap::new(),
            next_handle: 0,
            failed: BTreeSet::new(),
            short: false,
        }
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDisk")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimDisk {
    /// An empty one.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self::of(State { options, ..State::default() })
    }

    fn of(state: State) -> Self {
        Self(Arc::new(Shared { state: Mutex::new(state), ..Shared::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    // === What becomes of it ===

    /// A copy as it is now, without hook, log and faults. It holds nobody's handles, but the files of these are still there.
    pub fn snapshot(&self) -> Self {
        Self::of(self.state().clone())
    }

    /// What is there after a power cut now.
    pub fn crash(&self, model: Model, seed: u64) -> Self {
        let state = self.state();
        let mut tree = state.tree.cut(model, &mut Random::new(seed));
        if state.options.clock.is_none() {
            tree.pass(DOWNTIME);
        }
        Self::restarted(&state, tree)
    }

    /// What is there after the program was killed now: what is not flushed is not lost yet.
    pub fn kill(&self) -> Self {
        let state = self.state();
        let tree = state.tree.killed();
        Self::restarted(&state, tree)
    }

    fn restarted(state: &State, tree: Tree) -> Self {
        let (options, failed) = (state.options.clone(), state.failed.clone());
        Self::of(State { tree, options, failed, ..State::default() })
    }

    /// Unmounted though it was in use: it is seen to be gone, yet whoever has it open goes on writing to it.
    pub fn unmount(&self) {
        self.state().mounted = false;
    }

    /// Puts a file there that somebody else wrote and flushed.
    pub fn plant(&self, path: &Path, bytes: &[u8], attributes: &[(&str, &[u8])]) {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec()));
        self.state().tree.plant(path, bytes.to_vec(), attributes.collect());
    }

    /// Takes a file away that somebody else made, if it is there.
    pub fn take_away(&self, path: &Path) {
        let _ = self.state().tree.unlink(path);
    }

    /// Spoils a file's first byte, on the platter too.
    pub fn damage(&self, path: &Path) {
        let mut state = self.state();
        let id = state.tree.find(path).unwrap();
        state.tree.contents_mut(id).unwrap().damage();
    }

    /// Moves a directory with all that is in it to a place where there is none, as an operator would; says whether it could.
    pub fn move_directory(&self, from: &Path, to: &Path) -> bool {
        let tree = &mut self.state().tree;
        let above: Vec<_> = to.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
        for directory in above.into_iter().rev() {
            // It may be there.
            let _ = tree.make_dir(directory);
        }
        tree.rename(from, to).is_ok()
    }

    // === What is set ===

    /// Lets time pass, where there is no clock.
    pub fn advance(&self, time: Duration) {
        let mut state = self.state();
        if state.options.clock.is_none() {
            state.tree.pass(time);
        }
    }

    /// What sort of file system it is.
    #[must_use]
    pub fn options(&self) -> Options {
        self.state().options.clone()
    }

    /// Bytes free, and bytes in all.
    pub fn set_space(&self, free: u64, total: u64) {
        self.state().options.space = (free, total);
    }

    /// From now on blocks are counted, and so many are free.
    pub fn leave_blocks(&self, free: usize) {
        let mut state = self.state();
        state.options.blocks = Some(state.tree.blocks() + free);
    }

    /// What is to go wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        *lock(&self.0.faults) = faults;
    }

    /// Runs something before and after each call that can fail. Not for the calls that it makes itself.
    pub fn on_call(&self, hook: impl FnMut(&SimDisk, &Call) + Send + 'static) {
        *lock(&self.0.hook) = Some(Box::new(hook));
    }

    /// Ends [`on_call`](Self::on_call).
    pub fn without_hook(&self) {
        *lock(&self.0.hook) = None;
    }

    // === What is known ===

    /// What was asked of it so far.
    pub fn counts(&self) -> Counts {
        *lock(&self.0.counts)
    }

    /// Files that are open.
    pub fn open_handles(&self) -> usize {
        self.state().handles.len()
    }

    /// Locks that are held.
    pub fn locks(&self) -> usize {
        self.state().locks.len()
    }

    /// All paths, directories with a slash at the end.
    pub fn paths(&self) -> Vec<String> {
        self.state().tree.paths()
    }

    /// Files and directories that it could not read, list, make or link at some time (EIO). It remembers them for good.
    pub fn failed(&self) -> BTreeSet<PathBuf> {
        self.state().failed.clone()
    }

    /// Whether a power cut would leave a file as it is, with its name.
    pub fn is_flushed(&self, path: &Path) -> bool {
        self.state().tree.is_flushed(path).unwrap_or(false)
    }

    /// From now on calls are noted.
    pub fn start_log(&self) {
        *lock(&self.0.log) = Some(Vec::new());
    }

    /// What was done since the last time.
    pub fn take_log(&self) -> Vec<String> {
        lock(&self.0.log).as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn note(&self, line: impl FnOnce() -> String) {
        if let Some(log) = lock(&self.0.log).as_mut().filter(|log| log.len() < LOG_MAX) {
            log.push(line());
        }
    }

    fn now(&self) -> SystemTime {
        let mut state = self.state();
        state.tick(Duration::ZERO);
        state.tree.now
    }
}

impl State {
    /// Refuses what needs more blocks than are free.
    fn need(&self, blocks: usize) -> std::io::Result<()> {
        match self.options.blocks {
            Some(all) if blocks > 0 && self.tree.blocks() + blocks > all => Err(Errno::NOSPC.into()),
            _ => Ok(()),
        }
    }

    /// Time passes, and the clock is followed.
    fn tick(&mut self, takes: Duration) {
        self.tree.now += takes;
        let Some(Clock(clock)) = &self.options.clock else { return };
        if let Ok(passed) = clock().duration_since(self.tree.now) {
            self.tree.pass(passed);
        }
    }
}
