//! What is done next, by the seed, by what the history is about, and by what is there.

use std::time::Duration;

use ssync_types::Timestamp;

use super::{
    Kind,
    check::reclaim,
    device::{self, NEXT_POWER},
    history::Session,
    model::{Change, Mark, Object, View},
    op::Op,
};
use crate::tests::bed::WHOLE;

/// Most changes of one object that may be there or not; beyond it there is nothing new for that object.
const UNCERTAIN_MAX: usize = 5;

impl Session {
    fn mark(&mut self) -> Mark {
        self.marks += 1;
        self.marks
    }

    /// Mostly now; sometimes a time that others have long passed, as replication brings it.
    fn time(&mut self) -> Timestamp {
        let late = if self.random.once_in(5) { self.random.below(40_000) as i64 } else { 0 };
        // Uneven, so that no two are equal.
        self.disk.advance(Duration::from_micros(30));
        self.now().shifted(-late * 2, 0).unwrap()
    }

    pub(super) fn choose(&mut self) -> Op {
        if let Some(planned) = self.planned.pop_front() {
            return planned;
        }
        let kind = self.kind;
        let object = self.random.below(self.objects.len());
        let crowded = self.objects.iter().any(|object| object.uncertain.len() >= UNCERTAIN_MAX);
        let sort = self.random.below(100);
        match (kind, sort) {
            // Nothing more that may be there or not: the next are made sure of.
            _ if crowded => self.settle(),
            (_, 0..10) => self.hash(object),
            (_, 10..13) => Op::ListSuffix(object),
            (_, 13..15) => Op::Invalidate(object),
            (_, 15..18) => Op::Abandon(object),
            (Kind::Batch, 18..75) => self.batch(),
            (Kind::Release, 18..28) => Op::Release(vec![object]),
            (Kind::Release, 28..43) => self.drain(object),
            (Kind::Trouble, 18..26) if self.is_whole(object) => Op::Damage(object),
            (Kind::Trouble, 26..30) => Op::Advance(device::RECLAIM_AGE + Duration::from_secs(200)),
            (Kind::Trouble, 30..33) => Op::Advance(Duration::from_secs(40)),
            (Kind::Confirm, 18..40) => Op::Foreign { object, change: self.change(object) },
            (Kind::Confirm, 40..60) => Op::Confirm(object),
            (Kind::Whole | Kind::Weak, 18..23) => Op::Confirm(object),
            _ => {
                let raised = kind == Kind::Trouble && self.random.once_in(3);
                Op::Write { object, change: self.change(object), power: raised.then_some(NEXT_POWER) }
            }
        }
    }

    /// A handoff lets go of all of a partition, sometimes of an object with two POSTs that both count.
    fn drain(&mut self, object: usize) -> Op {
        let partition = self.objects[object].at.partition;
        if self.is_whole(object) {
            for content_type in [true, false] {
                let (time, mark) = (self.time(), self.mark());
                let content_type = content_type.then_some(time);
                let change = Change::Meta { time, mark, content_type };
                self.planned.push_back(Op::Write { object, change, power: None });
            }
        }
        self.planned.push_back(Op::Hash { policy: WHOLE, partition, list: true, rehash: false });
        let inside = |at: &usize| self.objects[*at].at.partition == partition;
        let inside: Vec<usize> = (0..self.objects.len()).filter(inside).collect();
        match self.random.once_in(2) {
            true => self.planned.push_back(Op::Release(inside)),
            false => self.planned.extend(inside.into_iter().map(|object| Op::Release(vec![object]))),
        }
        self.planned.push_back(Op::RemovePartition(partition));
        self.planned.pop_front().unwrap_or(Op::Release(vec![object]))
    }

    /// Something that makes an end of uncertainty.
    fn settle(&mut self) -> Op {
        let doubts = |object: &Object| object.uncertain.len();
        let object = (0..self.objects.len()).max_by_key(|at| doubts(&self.objects[*at])).unwrap();
        self.disk.advance(Duration::from_micros(30));
        let time = self.now();
        Op::Write { object, change: Change::Tombstone { time }, power: None }
    }

    fn is_whole(&self, object: usize) -> bool {
        let sights = self.objects[object].sights(reclaim(self.now()));
        sights.iter().all(|(view, _)| matches!(view, View::Object(_)))
    }

    fn change(&mut self, object: usize) -> Change {
        let (time, mark) = (self.time(), self.mark());
        let exists = self.is_whole(object);
        match self.random.below(10) {
            0..2 => Change::Tombstone { time },
            // Of the very time of what it deletes.
            2 => Change::Tombstone { time: self.newest(object).unwrap_or(time) },
            3..6 if exists => {
                let content_type = match self.random.below(3) {
                    0 => None,
                    1 => Some(time),
                    _ => time.shifted(-3, 0).ok(),
                };
                Change::Meta { time, mark, content_type }
            }
            // Once more, with another body.
            6 if !self.objects[object].coded => {
                Change::Data { time: self.newest(object).unwrap_or(time), mark }
            }
            _ if !self.objects[object].coded => Change::Data { time, mark },
            choice => self.fragment(object, time, mark, choice),
        }
    }

    fn fragment(&mut self, object: usize, time: Timestamp, mark: Mark, choice: usize) -> Change {
        let unmarked = self.objects[object].bases[0].iter().rev().find_map(|change| match change {
            Change::Fragment { time, index, durable: false, .. } => Some((*time, *index)),
            _ => None,
        });
        match (choice, unmarked) {
            (5..8, Some((time, index))) => Change::Durable { time, index },
            _ => {
                let (index, durable) = (self.random.below(3) as u16, self.random.once_in(3));
                Change::Fragment { time, index, durable, mark }
            }
        }
    }

    /// Of its bodies. None of what is deleted: the tombstone may have been reclaimed, and nobody writes what is older.
    fn newest(&self, object: usize) -> Option<Timestamp> {
        if !self.is_whole(object) {
            return None;
        }
        let base = &self.objects[object].bases[0];
        let bodies = base.iter().filter(|change| matches!(change, Change::Data { .. }));
        bodies.map(Change::time).max()
    }

    fn batch(&mut self) -> Op {
        let (count, sheaf) = (2 + self.random.below(5), self.random.once_in(2));
        let member = |session: &mut Self| {
            let object = session.random.below(session.objects.len());
            let (time, mark) = (session.time(), session.mark());
            let deleted = !sheaf && session.random.once_in(4);
            let change = if deleted { Change::Tombstone { time } } else { Change::Data { time, mark } };
            (object, change)
        };
        let members = (0..count).map(|_| member(self)).collect();
        if sheaf { Op::Sheaf(members) } else { Op::Batch(members) }
    }

    fn hash(&mut self, object: usize) -> Op {
        let at = self.objects[object].at;
        let (list, rehash) = (self.random.once_in(3), self.random.once_in(3));
        Op::Hash { policy: at.policy, partition: at.partition, list, rehash }
    }
}
