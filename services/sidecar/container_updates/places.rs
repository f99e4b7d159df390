//! Places for deliveries: so many in all, and so many for one server, for a silent one must not take those of the others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Places for deliveries.
#[derive(Debug)]
pub(super) struct Places {
    all_max: usize,
    host_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Hosts that have one at least.
    of_host: HashMap<String, usize>,
}

/// One place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    host: String,
}

impl Places {
    pub(super) fn new(all_max: usize, host_max: usize) -> Arc<Self> {
        Arc::new(Self { all_max, host_max, taken: Mutex::default() })
    }

    /// A place for a delivery to this host; `None` when it, or all of them together, have no more.
    pub(super) fn take(self: &Arc<Self>, host: &str) -> Option<Place> {
        let mut taken = self.taken();
        let own = taken.of_host.get(host).copied().unwrap_or_default();
        if taken.all >= self.all_max || own >= self.host_max {
            return None;
        }
        taken.all += 1;
        taken.of_host.insert(host.to_owned(), own + 1);
        Some(Place { places: Arc::clone(self), host: host.to_owned() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all = taken.all.saturating_sub(1);
        match taken.of_host.get_mut(&self.host) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.of_host.remove(&self.host)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_does_not_take_all() {
        let places = Places::new(3, 2);
        let first = places.take("silent:6201").unwrap();
        let second = places.take("silent:6201").unwrap();
        assert!(places.take("silent:6201").is_none());
        let other = places.take("other:6201").unwrap();
        assert!(places.take("third:6201").is_none());
        drop(first);
        let third = places.take("third:6201").unwrap();
        drop((second, other, third));
        assert!(places.taken().of_host.is_empty());
        assert_eq!(places.taken().all, 0);
    }
}
