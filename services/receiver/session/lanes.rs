//! Order: updates of one object one after the other, of different objects all at once.

use std::collections::{HashMap, VecDeque, hash_map::Entry};

use ssync_types::ObjectHash;

/// For each object that has an update under way: what waits behind it. Bounded by the session's outstanding updates.
#[derive(Debug)]
pub(super) struct Lanes<T> {
    busy: HashMap<ObjectHash, VecDeque<T>>,
}

impl<T> Lanes<T> {
    pub(super) fn new() -> Self {
        Self { busy: HashMap::new() }
    }

    /// Returns what may begin at once, or keeps it until [`end`](Self::end) returns it.
    pub(super) fn begin(&mut self, hash: ObjectHash, update: T) -> Option<T> {
        match self.busy.entry(hash) {
            Entry::Vacant(free) => {
                free.insert(VecDeque::new());
                Some(update)
            }
            Entry::Occupied(mut lane) => {
                lane.get_mut().push_back(update);
                None
            }
        }
    }

    /// An update of this object has ended; returns the next, which begins now.
    pub(super) fn end(&mut self, hash: &ObjectHash) -> Option<T> {
        let next = self.busy.get_mut(hash)?.pop_front();
        if next.is_none() {
            self.busy.remove(hash);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_object_waits_and_another_does_not() {
        let (one, two) = (ObjectHash::from_bytes([1; 16]), ObjectHash::from_bytes([2; 16]));
        let mut lanes = Lanes::new();
        assert_eq!(lanes.begin(one, 'a'), Some('a'));
        assert_eq!(lanes.begin(one, 'b'), None);
        assert_eq!(lanes.begin(one, 'c'), None);
        assert_eq!(lanes.begin(two, 'x'), Some('x'));
        assert_eq!(lanes.end(&one), Some('b'));
        assert_eq!(lanes.begin(one, 'd'), None);
        assert_eq!(lanes.end(&one), Some('c'));
        assert_eq!(lanes.end(&one), Some('d'));
        assert_eq!(lanes.end(&one), None);
        assert_eq!(lanes.begin(one, 'e'), Some('e'), "free again");
        assert_eq!(lanes.end(&two), None);
        assert!(!lanes.busy.contains_key(&two), "nothing is kept of an object at rest");
    }
}
