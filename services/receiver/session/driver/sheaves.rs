//! Small bodies that are handed to the disk together.

use std::collections::VecDeque;

use crate::{session::sheaf::WholePut, waiting::Waiting};

/// Most objects in a sheaf.
pub(super) const SHEAF_MAX: usize = 32;
/// Most bytes in a sheaf, but that it has one object at least.
const SHEAF_BYTES_MAX: usize = 1024 * 1024;
/// What another object in a sheaf may cost a slow disk beside its bytes: its share of the flushes, as bytes.
const FLUSHES_BYTES: u64 = 128 * 1024;

/// A body that may be stored now: no other update of its object is under way.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) id: u64,
    pub(super) whole: WholePut,
    /// Its bytes in the budget, until it is stored.
    pub(super) bytes: Option<Waiting>,
}

/// What may begin and has not been handed over, and how many sheaves are under way. Bounded by the session's outstanding
/// updates.
#[derive(Debug, Default)]
pub(super) struct Sheaves {
    ready: VecDeque<Put>,
    under_way: usize,
}

impl Sheaves {
    pub(super) fn add(&mut self, put: Put) {
        self.ready.push_back(put);
    }

    /// The next sheaf, if fewer than `hands` are under way; it is counted. Nobody waits for a sheaf to fill up: what is
    /// there is shared among the free hands, and what comes while none is free makes the next ones.
    pub(super) fn next(&mut self, hands: usize) -> Option<Vec<Put>> {
        let free = hands.checked_sub(self.under_way).filter(|free| *free > 0)?;
        let share = self.ready.len().div_ceil(free).min(SHEAF_MAX);
        let (mut sheaf, mut bytes) = (Vec::with_capacity(share), 0);
        while sheaf.len() < share
            && let Some(put) =
                self.ready.pop_front_if(|put| sheaf.is_empty() || bytes + put.len() <= SHEAF_BYTES_MAX)
        {
            bytes += put.len();
            sheaf.push(put);
        }
        if sheaf.is_empty() {
            return None;
        }
        self.under_way += 1;
        Some(sheaf)
    }

    /// One has ended.
    pub(super) fn end(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }
}

impl Put {
    fn len(&self) -> usize {
        self.whole.body.data.len()
    }
}

/// What a sheaf asks of a slow disk, in bytes to flush.
pub(super) fn cost(sheaf: &[Put]) -> u64 {
    let bytes: u64 = sheaf.iter().map(|put| put.len() as u64).sum();
    bytes + FLUSHES_BYTES * (sheaf.len() as u64).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ssync_types::{InlineBody, Metadata, ObjectHash, ObjectPath, PutUpdate, Timestamp};

    use super::*;

    fn put(id: u64, bytes: usize) -> Put {
        let put = PutUpdate {
            path: ObjectPath::of("a", "c", "o").unwrap(),
            timestamp: Timestamp::from_seconds(1),
            content_length: bytes as u64,
            metadata: Metadata::new(),
            durable: true,
            inline_body: None,
        };
        let body = InlineBody { data: Bytes::from(vec![0; bytes]), etag: None };
        Put { id, whole: WholePut { hash: ObjectHash::from_bytes([0; 16]), put, body }, bytes: None }
    }

    fn sheaves(count: u64, bytes: usize) -> Sheaves {
        let mut sheaves = Sheaves::default();
        (0..count).for_each(|id| sheaves.add(put(id, bytes)));
        sheaves
    }

    fn lengths(sheaves: &mut Sheaves, hands: usize) -> Vec<usize> {
        std::iter::from_fn(|| sheaves.next(hands).map(|sheaf| sheaf.len())).collect()
    }

    #[test]
    fn what_is_there_is_shared_among_the_free_hands() {
        let mut sheaves = sheaves(10, 1);
        assert_eq!(lengths(&mut sheaves, 4), [3, 3, 2, 2]);
        (10..13).for_each(|id| sheaves.add(put(id, 1)));
        assert!(sheaves.next(4).is_none(), "no hand is free");
        sheaves.end();
        let ids: Vec<_> = sheaves.next(4).unwrap().iter().map(|put| put.id).collect();
        assert_eq!(ids, [10, 11, 12], "in their order");
        sheaves.end();
        assert!(sheaves.next(4).is_none(), "nothing is ready");
        assert_eq!(sheaves.under_way, 3, "and nothing was counted");
    }

    #[test]
    fn a_sheaf_is_bounded_in_objects_and_in_bytes() {
        assert_eq!(lengths(&mut sheaves(100, 1), 2), [SHEAF_MAX, SHEAF_MAX]);
        assert_eq!(lengths(&mut sheaves(9, SHEAF_BYTES_MAX / 4), 1), [4]);
        let mut large = sheaves(2, SHEAF_BYTES_MAX + 1);
        assert_eq!(lengths(&mut large, 8), [1, 1], "one goes in any case");
    }

    #[test]
    fn a_slow_disk_has_time_for_the_bytes_and_for_the_flushes() {
        assert_eq!(cost(&[put(1, 5)]), 5);
        assert_eq!(cost(&[put(1, 5), put(2, 6)]), 11 + FLUSHES_BYTES);
    }
}
