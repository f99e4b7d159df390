//! What can be done to a device, and how it is done.

use std::{sync::Arc, time::Duration};

use ssync_types::{Durability, FragmentIndex, ObjectKind, Offer, Partition, PolicyIndex, ReleaseOutcome};

use super::{
    device,
    history::Session,
    model::{Change, Object, Seen, View},
};
use crate::{
    Confirmation, Device, DiskError, Location, layout, name,
    publish::Member,
    tests::bed::{CODED, WHOLE, release_item, release_open},
};

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
    /// Bodies that one thread writes and publishes together.
    Sheaf(Vec<(usize, Change)>),
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
    /// Objects of one partition.
    Release(Vec<usize>),
    RemovePartition(Partition),
    /// The platter rots; somebody reads.
    Damage(usize),
    Advance(Duration),
}

/// What an operation came to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Of each change, whether it was acknowledged, failed and is nowhere, or failed and may be there.
    Changes(Vec<Result<(), DiskError>>),
    /// Of each, whether it is gone.
    Released(Vec<bool>),
    Confirmed(bool),
    Removed(bool),
    Done,
}

impl Outcome {
    /// Whether it changed, or promised, anything.
    pub(super) fn had_effect(&self) -> bool {
        match self {
            Self::Changes(results) => results.iter().any(Result::is_ok),
            Self::Released(gone) => gone.contains(&true),
            Self::Confirmed(did) | Self::Removed(did) => *did,
            Self::Done => true,
        }
    }
}

impl Op {
    pub(super) fn name(&self) -> &'static str {
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
            Self::Sheaf(_) => "sheaf",
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

impl Session {
    /// An error where none may be is the error.
    pub(super) fn execute(&self, op: &Op, unmounted: bool) -> Result<Outcome, DiskError> {
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
            Op::Sheaf(members) => changes(self.write_sheaf(members)),
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
            Op::Release(objects) => done(self.release(objects)),
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
        self.device.prepare(&mut batch);
        self.device.commit(&mut batch);
        batch.into_iter().map(Member::into_outcome).collect()
    }

    fn write_sheaf(&self, members: &[(usize, Change)]) -> Vec<Result<(), DiskError>> {
        let puts: Vec<_> = members
            .iter()
            .filter_map(|(object, change)| match *change {
                Change::Data { time, mark } => Some((&self.objects[*object], time, mark)),
                _ => None,
            })
            .collect();
        device::put_together(&self.device, &puts)
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
        let confirmed = self.device.confirm(&object.at, &offer, None)?;
        Ok(Outcome::Confirmed(confirmed == Confirmation::Confirmed))
    }

    /// As a handoff whose primaries have confirmed all that it listed.
    fn release(&self, places: &[usize]) -> Result<Outcome, DiskError> {
        let Location { policy, partition, .. } = self.objects[places[0]].at;
        let lock = self.device.lock_partition(policy, partition, Duration::ZERO)?;
        let mut items = Vec::new();
        for place in places {
            let hash = self.objects[*place].at.hash;
            let listed = self.device.list_suffix(policy, partition, hash.suffix())?;
            let own = listed.into_iter().find(|local| local.offer.hash == hash);
            items.push(release_item(hash, &own.map(|own| own.files).unwrap_or_default()));
        }
        let open = release_open(&self.objects[places[0]].at);
        let released = self.device.release_batch(&lock, &open, &items)?;
        let gone = released.results.iter().map(|result| result.outcome == ReleaseOutcome::Released);
        Ok(Outcome::Released(gone.collect()))
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
