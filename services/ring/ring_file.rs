//! A ring that follows its file.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use crate::{Ring, RingError};

/// A ring that follows its file: when the file was replaced, so is the ring, and when the new file is bad the old ring stays.
#[derive(Debug)]
pub struct RingFile {
    path: PathBuf,
    required_replicas: Option<u32>,
    check_interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    ring: Arc<Ring>,
    /// When the file that was looked at last was written; `None` if there was none.
    modified: Option<SystemTime>,
    next_check: Instant,
}

/// What a look at the file found, for the log.
#[derive(Debug)]
pub enum RingEvent {
    /// There is a new ring.
    Reloaded(PathBuf),
    /// There is a new file, or none, and the old ring stays. Said once for each such file.
    Kept(RingError),
}

impl RingFile {
    /// How often Swift looks at its rings.
    pub const CHECK_INTERVAL: Duration = Duration::from_secs(15);

    /// Reads the ring. With `required_replicas` a ring that has another number of them is bad, as erasure coding needs.
    pub fn open(
        path: &Path,
        required_replicas: Option<u32>,
        check_interval: Duration,
    ) -> Result<Self, RingError> {
        let (ring, modified) = load(path)?;
        check_replicas(path, &ring, required_replicas)?;
        let next_check = Instant::now() + check_interval;
        let state = Mutex::new(State { ring: Arc::new(ring), modified: Some(modified), next_check });
        Ok(Self { path: path.to_owned(), required_replicas, check_interval, state })
    }

    /// The ring as it is now. It does not look at the file.
    #[must_use]
    pub fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.state().ring)
    }

    /// Looks at the file if it is time to, and reads it if it was replaced. It may block for as long as that takes, but not
    /// those who call `ring`.
    pub fn refresh(&self) -> Option<RingEvent> {
        if !self.is_replaced() {
            return None;
        }
        let loaded = load(&self.path).and_then(|(ring, modified)| {
            check_replicas(&self.path, &ring, self.required_replicas)?;
            Ok((ring, modified))
        });
        match loaded {
            Ok((ring, modified)) => {
                let mut state = self.state();
                state.ring = Arc::new(ring);
                state.modified = Some(modified);
                Some(RingEvent::Reloaded(self.path.clone()))
            }
            Err(error) => Some(RingEvent::Kept(error)),
        }
    }

    /// The same, now: somebody says that it is time.
    pub fn refresh_now(&self) -> Option<RingEvent> {
        self.state().next_check = Instant::now();
        self.refresh()
    }

    /// Whether it is time to look at the file, and it is another than at the last look.
    fn is_replaced(&self) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        if now < state.next_check {
            return false;
        }
        state.next_check = now + self.check_interval;
        let modified = fs::metadata(&self.path).and_then(|metadata| metadata.modified()).ok();
        // Another time, not a later one: a ring that was put back has an earlier time (Swift: ring.py has_changed).
        std::mem::replace(&mut state.modified, modified) != modified
    }

    /// Nothing here leaves the state half changed, so a panic elsewhere does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ring, and when the very file that it was read from was written.
fn load(path: &Path) -> Result<(Ring, SystemTime), RingError> {
    let failed = |source: io::Error| RingError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let modified = file.metadata().and_then(|metadata| metadata.modified()).map_err(failed)?;
    Ok((Ring::read(path, file)?, modified))
}

fn check_replicas(path: &Path, ring: &Ring, required: Option<u32>) -> Result<(), RingError> {
    match required.map(f64::from) {
        Some(required) if required != ring.replica_count() => {
            let problem =
                format!("its policy needs {required} replicas, and it has {}", ring.replica_count());
            Err(RingError::File { path: path.to_owned(), problem })
        }
        _ => Ok(()),
    }
}
