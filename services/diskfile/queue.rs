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
    turns: Mutex<Turns>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct Turns {
    taken: BTreeSet<PathBuf>,
    /// Threads that wait for any of them: where there are none, nobody is woken, which is a system call.
    waiting: usize,
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
        let mut turns = self.turns();
        while turns.taken.contains(path) {
            turns.waiting += 1;
            turns = self.left.wait(turns).unwrap_or_else(PoisonError::into_inner);
            turns.waiting -= 1;
        }
        self.take(turns, path)
    }

    /// Waits for its turn; `None` when it has not come in time.
    pub(crate) fn wait_for(&self, path: &Path, timeout: Duration) -> Option<Turn<'_>> {
        let mut turns = self.turns();
        if turns.taken.contains(path) {
            turns.waiting += 1;
            let waited = self.left.wait_timeout_while(turns, timeout, |turns| turns.taken.contains(path));
            (turns, _) = waited.unwrap_or_else(PoisonError::into_inner);
            turns.waiting -= 1;
        }
        (!turns.taken.contains(path)).then(|| self.take(turns, path))
    }

    fn take(&self, mut turns: MutexGuard<'_, Turns>, path: &Path) -> Turn<'_> {
        turns.taken.insert(path.to_path_buf());
        Turn { queue: self, path: path.to_path_buf() }
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = self.queue.turns();
        turns.taken.remove(&self.path);
        if turns.waiting > 0 {
            self.queue.left.notify_all();
        }
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
        assert!(queue.turns().taken.is_empty());
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
