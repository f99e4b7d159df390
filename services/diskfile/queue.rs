//! Where threads of this program take turns, each thing for itself, and not for longer than they have time.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Whose turn it is, by the path of what the turn is for. As many as there are threads.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    taken: Mutex<BTreeSet<PathBuf>>,
    left: Condvar,
}

/// A turn; dropped, it is the next one's.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    queue: &'a Queue,
    path: PathBuf,
}

impl Queue {
    /// Waits for its turn.
    pub(crate) fn wait(&self, path: &Path) -> Turn<'_> {
        let taken = self.left.wait_while(self.taken(), |taken| taken.contains(path));
        self.take(taken.unwrap_or_else(PoisonError::into_inner), path)
    }

    /// Waits for its turn; `None` when it has not come in time.
    pub(crate) fn wait_for(&self, path: &Path, timeout: Duration) -> Option<Turn<'_>> {
        let waited = self.left.wait_timeout_while(self.taken(), timeout, |taken| taken.contains(path));
        let (taken, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (!taken.contains(path)).then(|| self.take(taken, path))
    }

    fn take(&self, mut taken: MutexGuard<'_, BTreeSet<PathBuf>>, path: &Path) -> Turn<'_> {
        taken.insert(path.to_path_buf());
        Turn { queue: self, path: path.to_path_buf() }
    }

    fn taken(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.queue.taken().remove(&self.path);
        self.queue.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn one_at_a_time_for_each_path() {
        let (queue, path) = (Queue::default(), Path::new("a"));
        let turn = queue.wait_for(path, LONG);
        assert!(queue.wait_for(path, SHORT).is_none());
        assert!(queue.wait_for(Path::new("b"), SHORT).is_some());
        drop(turn);
        assert!(queue.wait_for(path, Duration::ZERO).is_some());
        assert!(queue.taken().is_empty());
    }

    #[test]
    fn everybody_has_a_turn() {
        let queue = Queue::default();
        let mut count = Mutex::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let _turn = queue.wait_for(Path::new("a"), LONG);
                        let mut count = count.try_lock().unwrap();
                        *count += 1;
                    }
                });
            }
        });
        assert_eq!(*count.get_mut().unwrap(), 800);
    }

    #[test]
    fn a_thread_that_panics_ends_its_turn() {
        let queue = Queue::default();
        let panicked = thread::scope(|scope| {
            let turn = scope.spawn(|| {
                let _turn = queue.wait_for(Path::new("a"), LONG);
                panic!("on purpose");
            });
            turn.join().is_err()
        });
        assert!(panicked && queue.wait_for(Path::new("a"), Duration::ZERO).is_some());
    }
}
