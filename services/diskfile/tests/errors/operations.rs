//! All that the disk layer does, each from the states in which it does something else.

use std::time::Duration;

use ssync_types::{Durability, FragmentIndex, Metadata, ObjectKind, Offer, ReleaseOutcome, Suffix};

use super::bench::{
    Answer, BODY, Bench, NEXT_POWER, Promise, Setup,
    State::{self, *},
    at, data_file,
};
use crate::{
    DiskError, Found, OpenOptions,
    attributes::{self, Attributes},
    name,
    publish::{Aftermath, Member, Publication},
    temporary::Temporary,
    tests::bed::{WHOLE, path, release_item},
};

/// What may be missing from an operation's result when something went wrong and it succeeded all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lesser {
    /// Nothing.
    Never,
    /// Lines: what could not be read is left out.
    Lines,
}

pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) setups: Vec<Setup>,
    pub(super) lesser: Lesser,
    /// It takes long: not every error is tried, and none for good.
    pub(super) slow: bool,
    pub(super) act: fn(&Bench) -> Answer,
}

fn operation(name: &'static str, states: &[State], lesser: Lesser, act: fn(&Bench) -> Answer) -> Operation {
    let setup = |state: &State| Setup { state: *state, nameless: true, durability: Durability::Object };
    Operation { name, setups: states.iter().map(setup).collect(), lesser, slow: false, act }
}

impl Operation {
    fn batched(mut self) -> Self {
        let more: Vec<_> =
            self.setups.iter().map(|setup| Setup { durability: Durability::Batch, ..*setup }).collect();
        self.setups.extend(more);
        self
    }

    fn without_nameless_files(mut self) -> Self {
        let more: Vec<_> = self.setups.iter().map(|setup| Setup { nameless: false, ..*setup }).collect();
        self.setups.extend(more);
        self
    }
}

fn done(names: &[&str]) -> Promise {
    Promise { lines: Vec::new(), kept: names.iter().map(|name| (*name).to_owned()).collect() }
}

fn lines(lines: impl IntoIterator<Item = String>) -> Promise {
    Promise { lines: lines.into_iter().collect(), kept: Vec::new() }
}

fn said(line: impl std::fmt::Debug) -> Promise {
    lines([format!("{line:?}")])
}

fn kept<T>(result: Result<T, DiskError>, names: &[&str]) -> Answer {
    Ok(result.map(|_| done(names))?)
}

/// Publishing.
pub(super) fn writes() -> Vec<Operation> {
    use Lesser::Never;
    let any = &[Fresh, Exists, Rich, Newer, Deleted, Noted];
    vec![
        operation("put", any, Never, |b| {
            b.arm();
            kept(b.put(&b.at("o"), "o", BODY, at(50), None), &["o"])
        })
        .batched()
        .without_nameless_files(),
        operation("put of unknown size", &[Fresh, Exists], Never, |b| {
            b.arm();
            kept(b.put_all(&b.at("o"), "o", BODY, None, data_file(at(50), None, None)), &["o"])
        }),
        operation("put of nothing", &[Fresh, Exists], Never, |b| {
            b.arm();
            kept(b.put(&b.at("o"), "o", b"", at(50), None), &["o"])
        }),
        operation("put in the next power's time", &[Fresh, Exists], Never, |b| {
            b.arm();
            let file = data_file(at(50), None, Some(NEXT_POWER));
            kept(b.put_all(&b.at("o"), "o", BODY, None, file), &["o"])
        }),
        operation("put of the same time", &[Exists, Rich], Never, |b| {
            b.arm();
            kept(b.put(&b.at("o"), "o", b"other bytes", at(10), None), &["o"])
        })
        .without_nameless_files(),
        operation("put and stop", &[Fresh, Exists], Never, |b| {
            b.arm();
            let mut writer = b.device.create(&b.at("o"), &path("o"), Some(3))?;
            writer.write(b"abc")?;
            drop(writer);
            Ok(Promise::default())
        })
        .without_nameless_files(),
        operation("post", &[Exists, Rich, Newer, Deleted, Fresh], Never, |b| {
            b.arm();
            kept(b.post(&b.at("o"), at(50), None, None), &["o"])
        })
        .batched()
        .without_nameless_files(),
        operation("post of a content type", &[Exists, Rich], Never, |b| {
            b.arm();
            kept(b.post(&b.at("o"), at(50), Some(at(50)), Some(NEXT_POWER)), &["o"])
        }),
        operation("delete", any, Never, |b| {
            b.arm();
            kept(b.delete(&b.at("o"), at(50), None), &["o"])
        })
        .batched()
        .without_nameless_files(),
        operation("delete in the next power's time", &[Exists], Never, |b| {
            b.arm();
            kept(b.delete(&b.at("o"), at(50), Some(NEXT_POWER)), &["o"])
        }),
        operation("put a fragment", &[Fresh, Coded], Never, |b| {
            b.arm();
            kept(b.put(&b.coded("o"), "o", BODY, at(50), Some((3, false))), &["o#3"])
        }),
        operation("put a durable fragment", &[Fresh, Coded], Never, |b| {
            b.arm();
            kept(b.put(&b.coded("o"), "o", BODY, at(20), Some((3, true))), &["o#3", "o, durable"])
        }),
        operation("commit a fragment", &[Coded, Fresh], Never, |b| {
            b.arm();
            kept(
                b.device.commit_fragment(&b.coded("o"), FragmentIndex::new(3), at(20), None),
                &["o, durable"],
            )
        }),
        operation("batch", &[Fresh, Exists, Noted], Never, batch),
        operation("sheaf", &[Fresh, Exists, Noted, Newer], Never, sheaf).batched().without_nameless_files(),
    ]
}

/// A large body is slow to hash, so it has a test of its own.
pub(super) fn large_write() -> Operation {
    let large = operation("put of more than a flush's interval", &[Exists], Lesser::Never, |b| {
        let body = vec![7; (1 << 20) + (300 << 10)];
        b.arm();
        kept(b.put(&b.at("o"), "o", &body, at(50), None), &["o"])
    });
    Operation { slow: true, ..large }
}

fn batch(b: &Bench) -> Answer {
    let mut members = Vec::new();
    let names = ["o".to_owned(), b.neighbour(), "p".to_owned()];
    for name in &names {
        let mut metadata = Metadata::new();
        metadata.set("X-Timestamp", at(50).internal());
        metadata.set("Content-Length", "0");
        metadata.set("ETag", "d41d8cd98f00b204e9800998ecf8427e");
        let file = Temporary::create(&b.device, &b.at(name))?;
        attributes::write(&*file.file, &Attributes { name: Some(path(name).to_bytes()), metadata }).unwrap();
        members.push(Member::new(Publication {
            file,
            at: b.at(name),
            name: name::data(at(50)),
            needs_body: false,
            then: Aftermath { replaces: None, clean_up: true, next_part_power: None },
        }));
    }
    b.arm();
    b.device.prepare(&mut members);
    b.device.commit(&mut members);
    let outcomes: Vec<_> = members.into_iter().map(Member::into_outcome).collect();
    let mut kept = Vec::new();
    let mut failed = None;
    for (name, outcome) in names.iter().zip(outcomes) {
        match outcome {
            Ok(()) => kept.push(name.clone()),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        // What is kept is promised all the same.
        Some(error) if kept.is_empty() => Err(error.into()),
        _ => Ok(Promise { lines: Vec::new(), kept }),
    }
}

fn sheaf(b: &Bench) -> Answer {
    b.arm();
    let mut sheaf = b.device.sheaf()?;
    let mut add = |name: &String| {
        sheaf.is_vacant(&b.at(name));
        let mut writer = sheaf.create(&b.at(name), &path(name), Some(BODY.len() as u64))?;
        writer.write(BODY)?;
        sheaf.add(writer, data_file(at(50), None, None)).map(|_| ())
    };
    let names = ["o".to_owned(), b.neighbour(), "p".to_owned()];
    let added: Vec<_> = names.iter().map(&mut add).collect();
    let mut published = sheaf.publish().into_iter();
    let (mut kept, mut failed) = (Vec::new(), None);
    for (name, added) in names.into_iter().zip(added) {
        match added.and_then(|()| published.next().unwrap()) {
            Ok(()) => kept.push(name),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if kept.is_empty() => Err(error.into()),
        _ => Ok(Promise { lines: Vec::new(), kept }),
    }
}

fn found(result: Result<Found, DiskError>) -> Answer {
    Ok(said(match result? {
        Found::Object(object) => format!("{:?} {:?} {:?}", object.info, object.meta, object.fragment),
        other => format!("{other:?}"),
    }))
}

/// Reading.
pub(super) fn looks() -> Vec<Operation> {
    use Lesser::{Lines, Never};
    let any = &[Fresh, Exists, Rich, Deleted, Damaged];
    vec![
        operation("open", any, Never, |b| {
            b.arm();
            found(b.device.open_object(&b.at("o"), &OpenOptions::default()))
        }),
        operation("open for a check", &[Fresh, Exists, Rich, Deleted, Damaged, Reclaimable], Never, |b| {
            b.arm();
            found(b.device.open_for_check(&b.at("o"), &OpenOptions::default()))
        }),
        operation("open a fragment", &[Coded], Never, |b| {
            b.arm();
            let options = OpenOptions { fragment_preferences: Some(Vec::new()), ..OpenOptions::default() };
            found(b.device.open_object(&b.coded("o"), &options))
        }),
        operation("read", &[Exists, Rich, Rotten], Never, |b| {
            let Found::Object(object) = b.device.open_object(&b.at("o"), &OpenOptions::default())? else {
                // An earlier try has moved it to quarantine.
                b.arm();
                return Ok(Promise::default());
            };
            b.arm();
            let mut reader = object.into_reader();
            let mut body = Vec::new();
            while let Some(piece) = reader.next_chunk()? {
                body.extend_from_slice(&piece);
            }
            Ok(said(body))
        }),
        operation("deleted object", &[Exists, Deleted, Fresh], Never, |b| {
            b.arm();
            Ok(said(b.device.deleted_object(&b.at("o"))?))
        }),
        operation("list a suffix", &[Exists, Rich, Deleted, Reclaimable, Coded], Lines, |b| {
            b.arm();
            let at =
                if b.device.suffixes(WHOLE, b.partition())?.is_empty() { b.coded("o") } else { b.at("o") };
            let listed = b.device.list_suffix(at.policy, at.partition, at.hash.suffix())?;
            Ok(lines(listed.into_iter().map(|object| format!("{:?} {:?}", object.offer, object.fragment))))
        }),
        operation("suffixes", &[Fresh, Exists], Never, |b| {
            b.arm();
            Ok(said(b.device.suffixes(WHOLE, b.partition())?))
        }),
        operation("partitions", &[Fresh, Exists], Lines, |b| {
            b.arm();
            let listing = b.device.partitions(WHOLE)?;
            Ok(lines(listing.partitions.into_iter().map(|partition| partition.to_string())))
        }),
        operation("space", &[Exists], Never, |b| {
            b.arm();
            Ok(said(b.device.space()?))
        }),
        operation("lock a partition", &[Fresh, Exists], Never, |b| {
            b.arm();
            let _lock = b.device.lock_partition(WHOLE, b.partition(), Duration::from_secs(1))?;
            assert_eq!(b.disk.locks(), 1);
            Ok(Promise::default())
        }),
        operation("lock a device", &[Fresh, Exists], Never, |b| {
            b.arm();
            let _lock = b.device.lock_device(2, Duration::from_secs(1))?;
            assert_eq!(b.disk.locks(), 1);
            Ok(Promise::default())
        }),
    ]
}

fn hashes(b: &Bench, rehash: &[Suffix], list: bool) -> Answer {
    b.arm();
    let coded = b.device.suffixes(WHOLE, b.partition())?.is_empty();
    let policy = if coded { b.coded("o").policy } else { WHOLE };
    let hashes = b.device.suffix_hashes(policy, b.partition(), rehash, list)?;
    Ok(lines(hashes.into_iter().map(|(suffix, hash)| format!("{suffix} {hash:?}"))))
}

/// Hashes, their notes, and what follows from them.
pub(super) fn keeping() -> Vec<Operation> {
    use Lesser::{Lines, Never};
    vec![
        operation("hashes", &[Fresh, Exists, Noted, Coded, Reclaimable], Lines, |b| hashes(b, &[], false)),
        operation("hashes anew", &[Exists, Rich, Noted, Coded, Reclaimable], Lines, |b| {
            hashes(b, &[b.at("o").hash.suffix()], false)
        }),
        operation("hashes of all suffixes", &[Exists, Noted, Damaged], Lines, |b| hashes(b, &[], true)),
        operation("hashes of a partition without any", &[Exists, Coded], Lines, |b| {
            use crate::disk::Disk as _;
            for policy in [b.at("o").policy, b.coded("o").policy] {
                let file = crate::layout::partition(policy, b.partition()).join(crate::layout::HASHES);
                let _ = b.disk.unlink(&file);
            }
            hashes(b, &[], false)
        }),
        operation("invalidate", &[Fresh, Exists], Never, |b| {
            b.arm();
            kept(b.device.invalidate_suffixes(WHOLE, b.partition(), &[b.at("o").hash.suffix()]), &[])
        }),
        operation("confirm", &[Fresh, Exists, Rich, Unflushed], Never, |b| {
            b.arm();
            let offer = Offer::of_one_time(b.at("o").hash, at(10), Some(ObjectKind::Data));
            let answer = b.device.confirm(&b.at("o"), &offer, None)?;
            let kept = if answer == crate::Confirmation::Lacking { vec![] } else { vec!["o".to_owned()] };
            Ok(Promise { lines: vec![format!("{answer:?}")], kept })
        }),
        operation("confirm a deletion", &[Deleted], Never, |b| {
            b.arm();
            let offer = Offer::of_one_time(b.at("o").hash, at(10), Some(ObjectKind::Tombstone));
            let answer = b.device.confirm(&b.at("o"), &offer, None)?;
            Ok(Promise { lines: vec![format!("{answer:?}")], kept: vec!["o".to_owned()] })
        }),
        operation("release", &[Exists, Rich, Deleted, Noted], Never, |b| {
            let files = b.files_of("o");
            let lock = b.device.lock_partition(WHOLE, b.partition(), Duration::ZERO)?;
            b.arm();
            let item = release_item(b.at("o").hash, &files);
            match b.device.release_together(&lock, &[item]).remove(0).outcome {
                ReleaseOutcome::Released => Ok(done(&["o"])),
                ReleaseOutcome::Failed(refusal) => Err(refusal),
                // An earlier try has released it.
                ReleaseOutcome::Changed if files.is_empty() => Ok(Promise::default()),
                ReleaseOutcome::Changed => Ok(said("changed")),
            }
        }),
        operation("remove an empty partition", &[Emptied, Exists], Never, |b| {
            let lock = b.device.lock_partition(WHOLE, b.partition(), Duration::ZERO)?;
            b.arm();
            Ok(said(b.device.remove_empty_partition(lock)?))
        }),
        operation("sync", &[Unflushed], Never, |b| {
            b.arm();
            kept(b.device.sync(), &["o"])
        }),
    ]
}
