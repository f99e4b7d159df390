//! What is done to a device, from a seed, with all that is known of it while it is done.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ssync_types::{Durability, Timestamp};

use super::{
    Kind,
    check::{Expected, reclaim},
    device,
    model::{Change, Mark, Object, View},
    op::{Op, Outcome},
};
use crate::{
    Device, DiskError,
    simulation::{Call, Options, Random, SimDisk},
};

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
    pub(super) kind: Kind,
    pub(super) random: Random,
    pub(super) disk: SimDisk,
    pub(super) device: Arc<Device>,
    pub(super) objects: Vec<Object>,
    damaged: BTreeSet<String>,
    linked: bool,
    pub(super) marks: Mark,
    durability: Durability,
    /// What comes next.
    pub(super) planned: VecDeque<Op>,
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

    pub(super) fn now(&self) -> Timestamp {
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
        if let (Op::Write { .. } | Op::Sheaf(_), Some(at)) = (&op, unmount)
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

    /// What an operation may change from now on.
    fn begin(&mut self, op: &Op) {
        match op {
            Op::Write { object, change, power } => {
                self.linked |= power.is_some();
                self.objects[*object].let_go = false;
                self.objects[*object].uncertain.push(*change);
            }
            Op::Foreign { object, change } => {
                let object = &mut self.objects[*object];
                object.let_go = false;
                object.uncertain.push(*change);
                (object.unflushed, object.unflushed_notes) = (true, true);
                self.damaged.insert(object.at.hash.to_string());
            }
            Op::Batch(members) | Op::Sheaf(members) => {
                for (object, change) in members {
                    self.objects[*object].let_go = false;
                    self.objects[*object].uncertain.push(*change);
                }
            }
            Op::Release(objects) => {
                let reclaim = reclaim(self.device.now());
                for object in objects {
                    let object = &mut self.objects[*object];
                    object.let_go =
                        object.sights(reclaim).iter().all(|(view, _)| matches!(view, View::Object(_)));
                    object.bases = object.letting_go();
                }
            }
            Op::Damage(object) => {
                let object = &mut self.objects[*object];
                self.damaged.insert(object.at.hash.to_string());
                object.let_go = false;
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
            (Op::Batch(members) | Op::Sheaf(members), Outcome::Changes(results)) => {
                self.begin(op);
                let members = members.iter().map(|(object, change)| (*object, change));
                self.acknowledge(members, &results);
            }
            (Op::Release(objects), Outcome::Released(gone)) => {
                let before = self.objects.clone();
                self.begin(op);
                for (object, gone) in objects.iter().zip(gone) {
                    if !gone {
                        self.objects[*object] = before[*object].clone();
                        continue;
                    }
                    self.objects[*object].bases = vec![Vec::new()];
                    self.objects[*object].uncertain.clear();
                }
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
}
