//! What must be on a device, by what was acknowledged and what was in flight: written anew from Swift's rules on which files
//! count, to be compared with what the disk layer makes of a disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ssync_types::{ObjectPath, Timestamp};

use crate::Location;

/// What tells one write from another: its number. It is in the body, in the metadata and in the content type.
pub(super) type Mark = u32;

/// A file that comes to an object, or a mark that one gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Data { time: Timestamp, mark: Mark },
    Meta { time: Timestamp, mark: Mark, content_type: Option<Timestamp> },
    Tombstone { time: Timestamp },
    Fragment { time: Timestamp, index: u16, durable: bool, mark: Mark },
    Durable { time: Timestamp, index: u16 },
}

/// What one sees of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    Nothing,
    Tombstone(Timestamp),
    Object(Seen),
    /// It is damaged; whoever looks moves it to quarantine.
    Damaged,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) data: Timestamp,
    pub(super) time: Timestamp,
    pub(super) content_type_time: Timestamp,
    pub(super) content_type: String,
    /// Of the metadata.
    pub(super) mark: Mark,
    /// Of the body.
    pub(super) body: Mark,
}

/// With what one sees when fragments count whether durable or not: the newest one's time, index and number.
pub(super) type Sight = (View, Option<(Timestamp, u16, Mark)>);

/// One object.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) path: ObjectPath,
    pub(super) at: Location,
    pub(super) coded: bool,
    /// What was acknowledged. More than one while it is not known whether a removal was done.
    pub(super) bases: Vec<Vec<Change>>,
    /// What was in flight, or failed: each may be there or not.
    pub(super) uncertain: Vec<Change>,
    /// It was damaged, and nothing acknowledged came since: it may be found damaged again.
    pub(super) damaged: bool,
    /// Somebody wrote it who flushes nothing, and no restart or confirmation flushed it since: a power cut may damage it.
    pub(super) unflushed: bool,
    /// And its suffix's hash may be stale after a power cut, as in Swift.
    pub(super) unflushed_notes: bool,
    /// A body that was there for certain is being let go of, or was, and nothing was written since.
    pub(super) let_go: bool,
}

/// The time, and the age from which a tombstone may be gone.
pub(super) type Reclaim = (Timestamp, Duration);

impl Object {
    pub(super) fn new(path: ObjectPath, at: Location, coded: bool) -> Self {
        Self {
            path,
            at,
            coded,
            bases: vec![Vec::new()],
            uncertain: Vec::new(),
            damaged: false,
            unflushed: false,
            unflushed_notes: false,
            let_go: false,
        }
    }

    /// All that may be seen, with what would be so then.
    fn possible(&self, (now, age): Reclaim) -> Vec<(Sight, usize, u32)> {
        let mut possible = Vec::new();
        for (number, base) in self.bases.iter().enumerate() {
            for chosen in 0..1u32 << self.uncertain.len() {
                let there = |(bit, _): &(usize, &Change)| chosen & (1 << bit) != 0;
                let some = self.uncertain.iter().enumerate().filter(there).map(|(_, change)| change);
                let files = Files::of(base.iter().chain(some));
                let mut sights = vec![if self.coded { files.coded() } else { (files.whole(), None) }];
                if let (View::Tombstone(time), any) = &sights[0]
                    && time.age_at(now) > age
                {
                    sights.push((View::Nothing, *any));
                }
                possible.extend(sights.into_iter().map(|sight| (sight, number, chosen)));
            }
        }
        possible
    }

    /// All that may be seen.
    pub(super) fn sights(&self, reclaim: Reclaim) -> Vec<Sight> {
        let mut sights: Vec<_> = self.possible(reclaim).into_iter().map(|(sight, ..)| sight).collect();
        if self.damaged || self.unflushed {
            sights.push((View::Damaged, None));
            sights.push((View::Nothing, None));
        }
        sights.dedup();
        sights
    }

    /// Whether a tombstone of it may be gone because of its age.
    pub(super) fn may_be_reclaimed(&self, (now, age): Reclaim) -> bool {
        let old = |change: &Change| matches!(change, Change::Tombstone { time } if time.age_at(now) > age);
        self.bases.iter().flatten().chain(&self.uncertain).any(old)
    }

    /// What was seen is so.
    pub(super) fn resolve(&mut self, seen: &Sight, reclaim: Reclaim) {
        self.unflushed = false;
        self.damaged |= seen.0 == View::Damaged;
        let mut matching = self.possible(reclaim);
        matching.retain(|(sight, ..)| sight == seen);
        if matching.is_empty() {
            // Damaged, or gone because it was.
            self.bases = vec![Vec::new()];
            self.uncertain.clear();
            return;
        }
        let bases: BTreeSet<_> = matching.iter().map(|(_, number, _)| *number).collect();
        self.bases = bases.into_iter().map(|number| self.bases[number].clone()).collect();
        for (bit, change) in std::mem::take(&mut self.uncertain).into_iter().enumerate() {
            let with = matching.iter().filter(|(.., chosen)| chosen & (1 << bit) != 0).count();
            if with == matching.len() {
                self.acknowledge(change);
            } else if with > 0 {
                self.uncertain.push(change);
            }
        }
    }

    pub(super) fn acknowledge(&mut self, change: Change) {
        self.damaged &= matches!(change, Change::Meta { .. } | Change::Durable { .. });
        for base in &mut self.bases {
            base.push(change);
        }
    }

    /// Forgets of the uncertain what an acknowledged file covers: whether it is there makes no difference any more.
    pub(super) fn prune(&mut self) {
        let covered = |time: Timestamp| {
            self.bases.iter().all(|base| {
                base.iter().any(|change| match change {
                    Change::Data { time: newer, .. } | Change::Tombstone { time: newer } => *newer > time,
                    Change::Fragment { time: newer, durable, .. } => *durable && *newer > time,
                    _ => false,
                })
            })
        };
        let kept = std::mem::take(&mut self.uncertain).into_iter().filter(|change| !covered(change.time()));
        self.uncertain = kept.collect();
    }

    /// What may be left while it is being let go of: what it is, without its newest metadata, and so on, or nothing.
    pub(super) fn letting_go(&self) -> Vec<Vec<Change>> {
        let mut states = Vec::new();
        for base in &self.bases {
            let mut base = base.clone();
            loop {
                states.push(base.clone());
                let metas = base.iter().filter(|change| matches!(change, Change::Meta { .. }));
                let Some(newest) = metas.map(Change::time).max() else { break };
                base.retain(|change| !matches!(change, Change::Meta { time, .. } if *time == newest));
            }
        }
        states.push(Vec::new());
        states
    }
}

impl Change {
    pub(super) fn time(&self) -> Timestamp {
        match self {
            Self::Data { time, .. }
            | Self::Meta { time, .. }
            | Self::Tombstone { time }
            | Self::Fragment { time, .. }
            | Self::Durable { time, .. } => *time,
        }
    }
}

/// An object's directory.
#[derive(Default)]
struct Files {
    data: BTreeMap<Timestamp, Mark>,
    metas: BTreeMap<Timestamp, (Mark, Option<Timestamp>)>,
    tombstone: Option<Timestamp>,
    fragments: BTreeMap<(Timestamp, u16), (bool, Mark)>,
}

impl Files {
    fn of<'a>(changes: impl Iterator<Item = &'a Change>) -> Self {
        let mut files = Self::default();
        for change in changes {
            match change {
                Change::Data { time, mark } => {
                    files.data.insert(*time, *mark);
                }
                Change::Meta { time, mark, content_type } => {
                    files.metas.insert(*time, (*mark, *content_type));
                }
                Change::Tombstone { time } => files.tombstone = files.tombstone.max(Some(*time)),
                Change::Fragment { time, index, durable, mark } => {
                    files.fragments.insert((*time, *index), (*durable, *mark));
                }
                Change::Durable { time, index } => {
                    if let Some(fragment) = files.fragments.get_mut(&(*time, *index)) {
                        fragment.0 = true;
                    }
                }
            }
        }
        // A tombstone beats what is as old as it.
        let lives = |time: Timestamp| files.tombstone.is_none_or(|tombstone| time > tombstone);
        files.data.retain(|time, _| lives(*time));
        files.fragments.retain(|(time, _), _| lives(*time));
        files
    }

    fn whole(&self) -> View {
        match self.data.last_key_value() {
            Some((time, mark)) => self.with_metas(*time, *mark),
            None => self.tombstone.map_or(View::Nothing, View::Tombstone),
        }
    }

    fn coded(&self) -> Sight {
        let durable = self.fragments.iter().rev().find(|(_, (durable, _))| *durable);
        let durable = durable.map(|((time, _), _)| *time);
        // One mark is a mark for all of its time: the highest index of that time is taken.
        let highest = |of: Timestamp| {
            self.fragments.range(..=(of, u16::MAX)).next_back().filter(|((t, _), _)| *t == of)
        };
        let view = match durable.and_then(highest) {
            Some(((time, _), (_, mark))) => self.with_metas(*time, *mark),
            None => self.tombstone.map_or(View::Nothing, View::Tombstone),
        };
        let any = self.fragments.last_key_value().map(|((time, index), (_, mark))| (*time, *index, *mark));
        (view, any)
    }

    fn with_metas(&self, data: Timestamp, body: Mark) -> View {
        let mut seen = Seen {
            data,
            time: data,
            content_type_time: data,
            content_type: content_type(body),
            mark: body,
            body,
        };
        for (time, (mark, typed)) in self.metas.iter().filter(|(time, _)| **time > data) {
            (seen.time, seen.mark) = (*time, *mark);
            if let Some(typed) = typed.filter(|typed| *typed > seen.content_type_time) {
                (seen.content_type_time, seen.content_type) = (typed, content_type(*mark));
            }
        }
        View::Object(seen)
    }
}

pub(super) fn content_type(mark: Mark) -> String {
    format!("text/x-{mark}")
}

/// The body of a number: most are small, some take several writes.
pub(super) fn body(mark: Mark) -> Vec<u8> {
    let length = match mark % 8 {
        0 => 0,
        1 => 9000,
        other => other * 17,
    };
    mark.to_be_bytes().into_iter().cycle().take(4 + length as usize).collect()
}

pub(super) fn mark_of(found: &[u8]) -> Option<Mark> {
    let mark = Mark::from_be_bytes(*found.first_chunk::<4>()?);
    (body(mark) == found).then_some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn whole(changes: &[Change]) -> View {
        Files::of(changes.iter()).whole()
    }

    #[test]
    fn the_newest_counts() {
        let data = |time, mark| Change::Data { time: at(time), mark };
        let tombstone = |time| Change::Tombstone { time: at(time) };
        assert_eq!(whole(&[]), View::Nothing);
        assert_eq!(whole(&[data(1, 1), tombstone(1)]), View::Tombstone(at(1)));
        let View::Object(seen) = whole(&[data(3, 1), data(2, 2), tombstone(1)]) else { panic!() };
        assert_eq!((seen.data, seen.body), (at(3), 1));
    }

    #[test]
    fn a_lone_post_is_nothing_and_the_newest_content_type_counts() {
        let meta = |time, mark, typed: Option<u64>| Change::Meta {
            time: at(time),
            mark,
            content_type: typed.map(at),
        };
        assert_eq!(whole(&[meta(2, 1, None)]), View::Nothing);
        let data = Change::Data { time: at(1), mark: 9 };
        let View::Object(seen) = whole(&[meta(4, 1, None), data, meta(3, 2, Some(2))]) else { panic!() };
        assert_eq!((seen.time, seen.mark, seen.body), (at(4), 1, 9));
        assert_eq!((seen.content_type_time, seen.content_type.as_str()), (at(2), "text/x-2"));
    }

    #[test]
    fn bodies_tell_their_number() {
        for mark in 0..20 {
            assert_eq!(mark_of(&body(mark)), Some(mark));
            let mut bad = body(mark);
            bad.push(0);
            assert_eq!(mark_of(&bad), None);
        }
    }
}
