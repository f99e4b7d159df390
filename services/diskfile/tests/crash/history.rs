//! What is done to a device, from a seed, with all that is known of it while it is done.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ssync_types::{
    Durability, FragmentIndex, ObjectKind, Offer, Partition, PolicyIndex, ReleaseOutcome, Timestamp,
};

use super::{
    Kind,
    check::{Expected, reclaim},
    device::{self, NEXT_POWER},
    model::{Change, Mark, Object, Seen, View},
};
use crate::{
    Confirmation, Device, DiskError, layout, name,
    publish::Member,
    tests::{
        bed::{CODED, WHOLE},
        sim::{Call, Options, Random, SimDisk},
    },
};

/// Most changes of one object that may be there or not; beyond it there is nothing new for that object.
const UNCERTAIN_MAX: usize = 5;

/// One step of a history. Objects are known by their place in the list.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// One change, published by itself.
    Write {
        object: usize,
        change: Change,
        power: Option<u32>,
    },
    /// Bodies and tombstones in one batch.
    Batch(Vec<(usize, Change)>),
    /// A body that is begun and given up.
    Abandon(usize),
    /// A write of somebody who flushes nothing.
    Foreign {
        object: usize,
        change: Change,
    },
    Hash {
        policy: PolicyIndex,
        partition: Partition,
        list: bool,
        rehash: bool,
    },
    ListSuffix(usize),
    Invalidate(usize),
    Confirm(usize),
    Release(usize),
    RemovePartition(Partition),
    /// The platter rots; somebody reads.
    Damage(usize),
    Advance(Duration),
}

/// What an operation came to.
#[derive(Debug)]
enum Outcome {
    /// Of each change, whether it was acknowledged, failed and is nowhere, or failed and may be there.
    Changes(Vec<Result<(), DiskError>>),
    Released(bool),
    Confirmed(bool),
    Removed(bool),
    Done,
}

impl Outcome {
    /// Whether it changed, or promised, anything.
    fn had_effect(&self) -> bool {
        match self {
            Self::Changes(results) => results.iter().any(Result::is_ok),
            Self::Released(did) | Self::Confirmed(did) | Self::Removed(did) => *did,
            Self::Done => true,
        }
    }
}

impl Op {
    fn name(&self) -> &'static str {
        match self {
            Self::Write { change, power, .. } => match (change, power) {
                (_, Some(_)) => "linked for the next power",
                (Change::Data { .. }, _) => "put",
                (Change::Meta { .. }, _) => "post",
                (Change::Tombstone { .. }, _) => "delete",
                (Change::Fragment { .. }, _) => "fragment",
                (Change::Durable { .. }, _) => "durable mark",
            },
            Self::Batch(_) => "batch",
            Self::Abandon(_) => "given up",
            Self::Foreign { .. } => "written by others",
            Self::Hash { .. } => "hashed",
            Self::ListSuffix(_) => "listed",
            Self::Invalidate(_) => "invalidated",
            Self::Confirm(_) => "confirmed",
            Self::Release(_) => "released",
            Self::RemovePartition(_) => "partition removed",
            Self::Damage(_) => "damaged",
            Self::Advance(_) => "time passed",
        }
    }
}

/// An image of a moment.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) call: String,
    pub(super) flush: bool,
    /// A file gets its name.
    names: bool,
    pub(super) image: SimDisk,
}

/// A device in use, and what is known of it.
pub(super) struct Session {
    kind: Kind,
    pub(super) random: Random,
    pub(super) disk: SimDisk,
    device: Arc<Device>,
    pub(super) objects: Vec<Object>,
    damaged: BTreeSet<String>,
    linked: bool,
    marks: Mark,
    durability: Durability,
    /// What comes next.
    planned: VecDeque<Op>,
    /// What was done, for messages.
    pub(super) story: Vec<String>,
    /// How often each operation had an effect.
    pub(super) effects: BTreeMap<&'static str, u64>,
}

/// What was done in one operation, and all moments of it.
pub(super) struct Run {
    pub(super) points: Vec<Point>,
    /// What must be so in each of them.
    pub(super) during: Expected,
    /// What must be so now.
    pub(super) after: Expected,
}

impl Session {
    pub(super) fn new(kind: Kind, seed: u64) -> Self {
        let mut random = Random::of(seed, kind as u64);
        let options =
            Options { nameless: !random.once_in(4), born: !random.once_in(4), ..Options::default() };
        let disk = SimDisk::new(options);
        // In one thread a batch of one is committed as it comes.
        let durability = *random.pick(&[Durability::Object, Durability::Batch]);
        let device = device::device(&disk, durability);
        device.sync().unwrap();
        let mut objects = Vec::new();
        if kind != Kind::Coded {
            objects.extend(device::objects(false));
        }
        if kind == Kind::Coded {
            objects.extend(device::objects(true));
        }
        Self {
            kind,
            random,
            disk,
            device,
            objects,
            damaged: BTreeSet::new(),
            linked: false,
            marks: 0,
            durability,
            planned: VecDeque::new(),
            story: Vec::new(),
            effects: BTreeMap::new(),
        }
    }

    fn now(&self) -> Timestamp {
        self.device.now()
    }

    pub(super) fn expected(&self) -> Expected {
        Expected::new(self.objects.clone(), self.now(), self.damaged.clone(), self.linked)
    }

    /// Does the next operation, and says what there was to be seen meanwhile.
    pub(super) fn step(&mut self) -> Result<Run, String> {
        self.disk.advance(Duration::from_millis(10 + self.random.below(90) as u64));
        let op = self.choose();
        let unmount = (self.kind == Kind::Trouble && self.random.once_in(15)).then(|| self.random.below(40));
        self.story
            .push(format!("{op:?}{}", unmount.map_or(String::new(), |at| format!(", unmounted at {at}"))));
        let before = self.objects.clone();
        let paths = self.leavings();
        self.begin(&op);
        let during = self.expected();
        let points = Arc::new(Mutex::new(Vec::new()));
        let (noted, mut number) = (Arc::clone(&points), 0);
        self.disk.on_call(move |disk: &SimDisk, call: &Call| {
            if call.done || !call.changes {
                return;
            }
            if unmount == Some(number) {
                disk.unmount();
            }
            number += 1;
            let call_text = format!("before call {}, {} {}", call.number, call.name, call.path.display());
            let names = ["link", "rename"].contains(&call.name) && call.path.starts_with("objects");
            let point = Point { call: call_text, flush: call.flush, names, image: disk.snapshot() };
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(point);
        });
        let outcome = self.execute(&op, unmount.is_some());
        self.disk.without_hook();
        let outcome = outcome.map_err(|error| format!("the operation failed: {error}"))?;
        let points = std::mem::take(&mut *points.lock().unwrap_or_else(PoisonError::into_inner));
        if let (Op::Write { .. }, Some(at)) = (&op, unmount)
            && points.iter().position(|point| point.names).is_some_and(|named| at < named)
        {
            return Err("S7: a file was named on a device that was not mounted".to_owned());
        }
        if matches!(op, Op::Abandon(_)) && unmount.is_none() && self.leavings() != paths {
            return Err(format!("what was given up left {:?} of {paths:?}", self.leavings()));
        }
        *self.effects.entry(op.name()).or_default() += u64::from(outcome.had_effect());
        self.objects = before;
        self.end(&op, outcome)?;
        if unmount.is_some_and(|at| at < points.len()) {
            self.after_unmount()?;
        }
        Ok(Run { points, during, after: self.expected() })
    }

    /// All files, and the directories of suffixes and objects. Those of partitions stay, as Swift's do.
    fn leavings(&self) -> Vec<String> {
        let stays = |path: &String| path.ends_with('/') && path.split('/').count() <= 3;
        self.disk.paths().into_iter().filter(|path| !stays(path)).collect()
    }

    /// Nothing begins on a device that is not mounted; then it is mounted again.
    fn after_unmount(&mut self) -> Result<(), String> {
        let changes = self.disk.counts().changes;
        let refused = |result: Result<(), DiskError>| matches!(result, Err(DiskError::Unmounted { .. }));
        let object = self.objects[0].clone();
        let later = self.now();
        let put = device::put(&self.device, &object, later, 1, object.coded.then_some((0, true)), None);
        let hashes = self.device.suffix_hashes(object.at.policy, object.at.partition, &[], true).map(|_| ());
        let deleted = self.device.write_tombstone(&object.at, &object.path, later, None);
        if !refused(put) || !refused(hashes) || !refused(deleted) || self.disk.counts().changes > changes {
            return Err("S7: something was done to a device that is not mounted".to_owned());
        }
        let image = self.disk.kill();
        self.restart(image, "mounted again")
    }

    /// Goes on with an image.
    pub(super) fn restart(&mut self, image: SimDisk, why: &str) -> Result<(), String> {
        self.story.push(why.to_owned());
        self.disk = image;
        self.device = device::device(&self.disk, self.durability);
        self.device.sync().map_err(|error| error.to_string())?;
        self.resolve()
    }

    /// What is seen now is on the platter now.
    fn resolve(&mut self) -> Result<(), String> {
        let reclaim = reclaim(self.now());
        for object in &mut self.objects {
            let seen = device::look(&self.device, object)?;
            object.resolve(&seen, reclaim);
        }
        Ok(())
    }

    // === What is chosen ===

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

    fn choose(&mut self) -> Op {
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
            (Kind::Release, 18..28) => Op::Release(object),
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
        self.planned.extend((0..self.objects.len()).filter(inside).map(Op::Release));
        self.planned.push_back(Op::RemovePartition(partition));
        self.planned.pop_front().unwrap_or(Op::Release(object))
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
        let count = 2 + self.random.below(5);
        let member = |session: &mut Self| {
            let object = session.random.below(session.objects.len());
            let (time, mark) = (session.time(), session.mark());
            let deleted = session.random.once_in(4);
            let change = if deleted { Change::Tombstone { time } } else { Change::Data { time, mark } };
            (object, change)
        };
        Op::Batch((0..count).map(|_| member(self)).collect())
    }

    fn hash(&mut self, object: usize) -> Op {
        let at = self.objects[object].at;
        let (list, rehash) = (self.random.once_in(3), self.random.once_in(3));
        Op::Hash { policy: at.policy, partition: at.partition, list, rehash }
    }

    // === What is known ===

    /// What an operation may change from now on.
    fn begin(&mut self, op: &Op) {
        match op {
            Op::Write { object, change, power } => {
                self.linked |= power.is_some();
                self.objects[*object].uncertain.push(*change);
            }
            Op::Foreign { object, change } => {
                let object = &mut self.objects[*object];
                object.uncertain.push(*change);
                (object.unflushed, object.unflushed_notes) = (true, true);
                self.damaged.insert(object.at.hash.to_string());
            }
            Op::Batch(members) => {
                for (object, change) in members {
                    self.objects[*object].uncertain.push(*change);
                }
            }
            Op::Release(object) => {
                let object = &mut self.objects[*object];
                object.bases = object.letting_go();
            }
            Op::Damage(object) => {
                let object = &mut self.objects[*object];
                self.damaged.insert(object.at.hash.to_string());
                object.bases = vec![Vec::new()];
                object.uncertain.clear();
                object.damaged = true;
            }
            _ => {}
        }
    }

    fn end(&mut self, op: &Op, outcome: Outcome) -> Result<(), String> {
        match (op, outcome) {
            (Op::Write { object, change, .. }, Outcome::Changes(results)) => {
                self.begin(op);
                self.acknowledge([(*object, change)].into_iter(), &results);
            }
            (Op::Batch(members), Outcome::Changes(results)) => {
                self.begin(op);
                let members = members.iter().map(|(object, change)| (*object, change));
                self.acknowledge(members, &results);
            }
            (Op::Release(object), Outcome::Released(true)) => {
                self.objects[*object].bases = vec![Vec::new()];
                self.objects[*object].uncertain.clear();
            }
            (Op::Confirm(object), Outcome::Confirmed(true)) => {
                let seen = device::look(&self.device, &self.objects[*object])?;
                let reclaim = reclaim(self.now());
                self.objects[*object].resolve(&seen, reclaim);
            }
            (Op::Foreign { .. } | Op::Damage(_), _) => self.begin(op),
            _ => {}
        }
        Ok(())
    }

    fn acknowledge<'a>(
        &mut self,
        changes: impl Iterator<Item = (usize, &'a Change)>,
        results: &[Result<(), DiskError>],
    ) {
        for ((number, change), result) in changes.zip(results) {
            let object = &mut self.objects[number];
            match result {
                Ok(()) => {
                    object.uncertain.retain(|other| other != change);
                    object.acknowledge(*change);
                }
                // It was told that there is nothing to change: nothing was changed.
                Err(DiskError::NotFound { .. } | DiskError::StateChanged { .. }) => {
                    object.uncertain.retain(|other| other != change);
                }
                Err(_) => {}
            }
            object.prune();
        }
    }

    // === What is done ===

    /// An error where none may be is the error.
    fn execute(&self, op: &Op, unmounted: bool) -> Result<Outcome, DiskError> {
        let allowed = |error: &DiskError| match error {
            DiskError::NotFound { .. } | DiskError::StateChanged { .. } => true,
            DiskError::Unmounted { .. } => unmounted,
            _ => false,
        };
        let changes = |results: Vec<Result<(), DiskError>>| match results
            .iter()
            .find_map(|result| result.as_ref().err().filter(|error| !allowed(error)))
        {
            Some(error) => Err(error.clone()),
            None => Ok(Outcome::Changes(results)),
        };
        let done = |result: Result<Outcome, DiskError>| match result {
            Err(error) if allowed(&error) => Ok(Outcome::Done),
            other => other,
        };
        match op {
            Op::Write { object, change, power } => {
                changes(vec![self.write(&self.device, &self.objects[*object], change, *power)])
            }
            Op::Foreign { object, change } => {
                let other = device::device(&self.disk, Durability::None);
                changes(vec![self.write(&other, &self.objects[*object], change, None)])
            }
            Op::Batch(members) => changes(self.write_batch(members)),
            Op::Abandon(object) => {
                let object = &self.objects[*object];
                let given_up = self.device.create(&object.at, &object.path, None).and_then(|mut writer| {
                    writer.write(b"half of it")?;
                    Ok(Outcome::Done)
                });
                done(given_up)
            }
            Op::Hash { policy, partition, list, rehash } => {
                let at = self.objects.iter().map(|object| object.at).find(|at| at.partition == *partition);
                let rehash: Vec<_> = at.filter(|_| *rehash).map(|at| at.hash.suffix()).into_iter().collect();
                done(self.device.suffix_hashes(*policy, *partition, &rehash, *list).map(|_| Outcome::Done))
            }
            Op::ListSuffix(object) => {
                let at = self.objects[*object].at;
                let listed = self.device.list_suffix(at.policy, at.partition, at.hash.suffix());
                done(listed.map(|_| Outcome::Done))
            }
            Op::Invalidate(object) => {
                let at = self.objects[*object].at;
                let suffixes = [at.hash.suffix()];
                let noted = self.device.invalidate_suffixes(at.policy, at.partition, &suffixes);
                done(noted.map(|()| Outcome::Done))
            }
            Op::Confirm(object) => done(self.confirm(&self.objects[*object])),
            Op::Release(object) => done(self.release(&self.objects[*object])),
            Op::RemovePartition(partition) => {
                let lock = self.device.lock_partition(WHOLE, *partition, Duration::ZERO);
                done(lock.and_then(|lock| self.device.remove_empty_partition(lock)).map(Outcome::Removed))
            }
            Op::Damage(object) => {
                self.damage(&self.objects[*object]);
                Ok(Outcome::Done)
            }
            Op::Advance(time) => {
                self.disk.advance(*time);
                Ok(Outcome::Done)
            }
        }
    }

    fn write(
        &self,
        device: &Arc<Device>,
        object: &Object,
        change: &Change,
        power: Option<u32>,
    ) -> Result<(), DiskError> {
        match *change {
            Change::Data { time, mark } => device::put(device, object, time, mark, None, power),
            Change::Meta { time, mark, content_type } => {
                device::post(device, object, time, mark, content_type, power)
            }
            Change::Tombstone { time } => device.write_tombstone(&object.at, &object.path, time, power),
            Change::Fragment { time, index, durable, mark } => {
                device::put(device, object, time, mark, Some((index, durable)), power)
            }
            Change::Durable { time, index } => {
                device.commit_fragment(&object.at, FragmentIndex::new(index), time, power)
            }
        }
    }

    fn write_batch(&self, members: &[(usize, Change)]) -> Vec<Result<(), DiskError>> {
        let made = members.iter().map(|(object, change)| {
            let object = &self.objects[*object];
            match *change {
                Change::Data { time, mark } => device::member(&self.device, object, time, Some(mark)),
                _ => device::member(&self.device, object, change.time(), None),
            }
        });
        let mut batch = match made.collect::<Result<Vec<_>, _>>() {
            Ok(batch) => batch,
            Err(error) => return vec![Err(error); members.len()],
        };
        self.device.commit(&mut batch);
        batch.into_iter().map(Member::into_outcome).collect()
    }

    /// As a sender that has what is here asks.
    fn confirm(&self, object: &Object) -> Result<Outcome, DiskError> {
        let Ok((view, _)) = device::look(&self.device, object) else { return Ok(Outcome::Done) };
        let hash = object.at.hash;
        let offer = match view {
            View::Object(Seen { data, time, content_type_time, .. }) => Offer {
                metadata: time,
                content_type: content_type_time,
                ..Offer::of_one_time(hash, data, Some(ObjectKind::Data))
            },
            View::Tombstone(time) => Offer::of_one_time(hash, time, Some(ObjectKind::Tombstone)),
            View::Nothing | View::Damaged => return Ok(Outcome::Done),
        };
        let confirmed = self.device.confirm(&object.at, &offer)?;
        Ok(Outcome::Confirmed(confirmed == Confirmation::Confirmed))
    }

    /// As a handoff whose primaries have confirmed all that it listed.
    fn release(&self, object: &Object) -> Result<Outcome, DiskError> {
        let at = object.at;
        let lock = self.device.lock_partition(at.policy, at.partition, Duration::ZERO)?;
        let listed = self.device.list_suffix(at.policy, at.partition, at.hash.suffix())?;
        let Some(own) = listed.into_iter().find(|local| local.offer.hash == at.hash) else {
            return Ok(Outcome::Released(false));
        };
        match self.device.release(&lock, &at.hash, &own.files)? {
            ReleaseOutcome::Released => Ok(Outcome::Released(true)),
            ReleaseOutcome::Changed | ReleaseOutcome::Failed(_) => Ok(Outcome::Released(false)),
        }
    }

    /// What is read is found to be damaged, and goes to quarantine.
    fn damage(&self, object: &Object) {
        let directory = layout::object(&object.at);
        let view = device::look(&self.device, object).ok().map(|(view, _)| view);
        if let Some(View::Object(Seen { data, .. })) = view
            && object.at.policy != CODED
        {
            self.disk.damage(&directory.join(name::data(data)));
            let seen = device::look(&self.device, object);
            assert!(matches!(seen, Ok((View::Damaged, _))), "{seen:?}");
        }
    }
}
