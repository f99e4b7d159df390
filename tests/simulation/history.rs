//! What clients asked for, what they were told, and what may be there because of it.

use std::collections::BTreeSet;

use bytes::Bytes;
use ssync_types::{Metadata, ObjectHash, ObjectKind, ObjectPath, Timestamp};

use crate::cluster::hash_path;

pub(crate) const MARK: &str = "X-Object-Meta-Mark";

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Put { length: usize },
    Post { content_type: bool },
    Delete,
}

/// A request, by its number, which is in all that it leaves.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) number: usize,
    pub(crate) object: usize,
    pub(crate) kind: Kind,
    pub(crate) timestamp: Timestamp,
}

/// What its client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing, or that it failed: it may have been done, in part.
    Unknown,
    /// It is done. Of a POST: to bodies as old as this.
    Done { base: Timestamp },
}

/// All requests.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) requests: Vec<(Request, Answer)>,
    times: BTreeSet<Timestamp>,
}

/// An object as one disk, or the cluster, has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) data: Timestamp,
    pub(crate) tombstone: Timestamp,
    pub(crate) metadata: Timestamp,
    pub(crate) content_type: Timestamp,
}

impl Times {
    pub(crate) fn join(&mut self, other: Self) {
        self.data = self.data.max(other.data);
        self.tombstone = self.tombstone.max(other.tombstone);
        self.metadata = self.metadata.max(other.metadata);
        self.content_type = self.content_type.max(other.content_type);
    }

    /// Whether there is a body that counts.
    fn is_live(self) -> bool {
        self.data > self.tombstone
    }
}

pub(crate) fn path(object: usize) -> ObjectPath {
    ObjectPath::of("a", "c", &format!("o{object}")).unwrap()
}

pub(crate) fn hash(object: usize) -> ObjectHash {
    hash_path().hash(&path(object))
}

impl Request {
    pub(crate) fn body(&self) -> Bytes {
        let Kind::Put { length } = self.kind else { return Bytes::new() };
        format!("{} ", self.number).bytes().cycle().take(length).collect()
    }

    pub(crate) fn metadata(&self) -> Metadata {
        let mut metadata = Metadata::new();
        metadata.set(MARK, self.number.to_string());
        if !matches!(self.kind, Kind::Post { content_type: false }) {
            metadata.set("Content-Type", self.content_type());
        }
        metadata
    }

    fn content_type(&self) -> String {
        format!("text/x-{}", self.number)
    }
}

impl History {
    /// A request at a time that no other has; unless it is to have that of another.
    pub(crate) fn begin(&mut self, object: usize, kind: Kind, mut timestamp: Timestamp) -> Request {
        while !self.times.insert(timestamp) {
            timestamp = timestamp.shifted(1, 0).unwrap();
        }
        let request = Request { number: self.requests.len(), object, kind, timestamp };
        self.requests.push((request.clone(), Answer::Unknown));
        request
    }

    pub(crate) fn answered(&mut self, request: &Request, answer: Answer) {
        self.requests[request.number].1 = answer;
    }

    fn of(&self, object: usize) -> impl Iterator<Item = &(Request, Answer)> {
        self.requests.iter().filter(move |(request, _)| request.object == object)
    }

    fn at(&self, object: usize, time: Timestamp, is: impl Fn(Kind) -> bool) -> Option<&Request> {
        self.of(object)
            .map(|(request, _)| request)
            .find(|request| request.timestamp == time && is(request.kind))
    }

    /// What was promised of an object and is not there.
    pub(crate) fn broken_promise(&self, object: usize, times: Times) -> Option<String> {
        let kept = |(request, answer): &&(Request, Answer)| {
            let time = request.timestamp;
            match (request.kind, answer) {
                (_, Answer::Unknown) => true,
                (Kind::Put { .. }, _) => times.tombstone >= time || times.data >= time,
                (Kind::Delete, _) => times.tombstone >= time || times.data > time,
                (Kind::Post { content_type }, Answer::Done { base }) => {
                    let metadata = times.is_live()
                        && times.metadata >= time
                        && (!content_type || times.content_type >= time);
                    // A deletion takes metadata with the body that it was of.
                    let deleted = self
                        .of(object)
                        .any(|(other, _)| other.kind == Kind::Delete && other.timestamp >= *base);
                    metadata || times.data >= time || times.tombstone >= time || deleted
                }
            }
        };
        let (request, _) = self.of(object).find(|request| !kept(request))?;
        Some(format!("{request:?} was acknowledged; there is {times:?}"))
    }

    /// What is wrong with a copy: something that nobody wrote.
    pub(crate) fn made_up(&self, object: usize, copy: &Copy) -> Option<String> {
        let Times { data, tombstone, metadata, content_type } = copy.times;
        if copy.kind == ObjectKind::Tombstone {
            let known = self.at(object, tombstone, |kind| kind == Kind::Delete);
            return known.is_none().then(|| format!("nobody deleted at {tombstone:?}"));
        }
        let Some(put) = self.at(object, data, |kind| matches!(kind, Kind::Put { .. })) else {
            return Some(format!("nobody wrote at {data:?}"));
        };
        if copy.body != put.body() {
            return Some(format!("the body is not that of {put:?}"));
        }
        let post = |time| self.at(object, time, |kind| matches!(kind, Kind::Post { .. }));
        let marked = if metadata == data { Some(put) } else { post(metadata) };
        let Some(marked) = marked else {
            return Some(format!("nobody posted at {metadata:?}"));
        };
        if copy.metadata.get_str(MARK) != Some(&marked.number.to_string()) {
            return Some(format!("the metadata {:?} are not those of {marked:?}", copy.metadata));
        }
        let typed = if content_type == data { Some(put) } else { post(content_type) };
        let Some(typed) = typed else {
            return Some(format!("nobody gave a content type at {content_type:?}"));
        };
        let right = copy.metadata.get_str("Content-Type") == Some(&typed.content_type());
        (!right).then(|| format!("the content type in {:?} is not that of {typed:?}", copy.metadata))
    }
}

/// An object on a disk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Copy {
    pub(crate) kind: ObjectKind,
    pub(crate) times: Times,
    pub(crate) body: Bytes,
    pub(crate) metadata: Metadata,
}
