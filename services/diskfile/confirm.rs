//! Whether an offered version is safe here, so that its sender may let go (rules S1 and S2).

use std::{io, path::Path, sync::Arc};

use ssync_types::{FragmentIndex, FragmentPreference, ObjectKind, Offer, Timestamp};

use crate::{
    Confirmation, Device, DiskError, Found, Location, OpenOptions, PolicyKind,
    choice::{Choice, Preference},
    cleanup::Cleaned,
    directory::{Looks, names},
    disk::DiskFile,
    flush_time::flushing,
    layout, listing,
    name::FileName,
};

/// How often an object is looked at that changes each time.
const LOOKS_MAX: usize = 3;

impl Device {
    /// Whether an offered version, or a newer one, is here: opened, checked, and flushed before the answer, whoever wrote it.
    /// Erasure coding: of this fragment, or of any durable one where none is named, as in Swift (ssync_receiver.py
    /// `_check_local`). What is offered as durable must be durable here.
    ///
    /// What another process replaces while it is being looked at is looked at again, a few times; `StateChanged` if it does
    /// not end.
    pub fn confirm(
        self: &Arc<Self>,
        at: &Location,
        offer: &Offer,
        fragment: Option<FragmentIndex>,
    ) -> Result<Confirmation, DiskError> {
        let mut looks = 1;
        loop {
            match self.look_and_flush(at, offer, fragment) {
                Err(DiskError::StateChanged { .. }) if looks < LOOKS_MAX => looks += 1,
                looked => return looked,
            }
        }
    }

    fn look_and_flush(
        self: &Arc<Self>,
        at: &Location,
        offer: &Offer,
        fragment: Option<FragmentIndex>,
    ) -> Result<Confirmation, DiskError> {
        let kind = self.kind(at.policy)?;
        if offer.hash != at.hash {
            return Ok(Confirmation::Lacking);
        }
        self.check_mounted()?;
        let directory = layout::object(at);
        let found = {
            let _exclusive = self.exclusive(&at.hash);
            self.clean_up_or_quarantine(at.policy, &directory, Preference::default())
        };
        let mut found = match found {
            Err(DiskError::Damaged { .. }) => return Ok(Confirmation::Lacking),
            other => other?,
        };
        if kind != PolicyKind::Replication {
            found.choice = choose_fragment(&found, kind, offer, fragment);
        }
        let Some(own) = listing::offer(at.hash, &found.choice) else { return Ok(Confirmation::Lacking) };
        let verdict = match own.durable {
            true => compare(&own, offer),
            // Metadata have nothing to belong to before the fragment counts.
            false => {
                compare(&own, &Offer { metadata: offer.data, content_type: offer.data, ..offer.clone() })
            }
        };
        if verdict == Confirmation::Lacking {
            return Ok(verdict);
        }
        let options = OpenOptions { open_expired: true, ..OpenOptions::default() };
        match self.open_found(at, directory.clone(), &found, &options) {
            Ok(Found::Object(_) | Found::Tombstone(_) | Found::Expired(_)) => {}
            Ok(Found::Nothing) | Err(DiskError::Damaged { .. }) => return Ok(Confirmation::Lacking),
            Err(error) => return Err(error),
        }
        flushing(|| self.flush_chosen(at, &directory, &found))?;
        Ok(verdict)
    }

    fn flush_chosen(&self, at: &Location, directory: &Path, found: &Cleaned) -> Result<(), DiskError> {
        let _exclusive = self.exclusive(&at.hash);
        let changed = || DiskError::StateChanged { device: self.name.clone(), path: directory.to_path_buf() };
        let Choice { data, meta, content_type, tombstone, .. } = &found.choice;
        let open = found.directory.as_deref().ok_or_else(changed)?;
        for file in [data, meta, content_type, tombstone].into_iter().flatten() {
            let path = directory.join(&file.name);
            self.flush_file(&path, || open.open(file.name.as_ref())).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => changed(),
                _ => self.io("flush", &path, error),
            })?;
        }
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => changed(),
            _ => self.io("flush the directory", directory, error),
        };
        // What was looked at must be what is at the object's place.
        let mut looks = Looks::default();
        let here = looks.of(self, directory).map_err(failed)?;
        if !here.is(&open.stat().map_err(failed)?) {
            return Err(changed());
        }
        // The object's and the suffix's directory in any case: somebody else may have made the file.
        self.flush_names(directory, 1, &mut looks).map_err(failed)
    }

    /// Flushes a file that may not be flushed. Once that has failed, it fails for as long as it is the same file.
    fn flush_file(
        &self,
        path: &Path,
        open: impl FnOnce() -> io::Result<Box<dyn DiskFile>>,
    ) -> io::Result<()> {
        let file = open()?;
        self.doubts.flush(path, &file.stat()?, || file.sync())
    }
}

/// What stands against the offer of a fragment: what is durable, or the same fragment without its mark where the sender's has
/// none either and nothing as new is durable.
fn choose_fragment(
    found: &Cleaned,
    kind: PolicyKind,
    offer: &Offer,
    fragment: Option<FragmentIndex>,
) -> Choice {
    let names = names(&found.files);
    let durable = Choice::of(&names, kind, Preference { fragment, fragments: None });
    let newest = durable.data.as_ref().or(durable.tombstone.as_ref()).map(|file| file.timestamp);
    let set = found.choice.fragments.iter().find(|set| set.timestamp == offer.data);
    let (Some(set), Some(_)) = (set, fragment) else { return durable };
    if offer.durable || newest >= Some(offer.data) {
        return durable;
    }
    let others = set.files.iter().filter_map(|file| file.fragment).filter(|index| Some(*index) != fragment);
    let same = FragmentPreference { timestamp: offer.data, excluded: others.collect() };
    let own = Choice::of(&names, kind, Preference { fragment, fragments: Some(&[same]) });
    let is_it = |data: &FileName| data.fragment == fragment && data.timestamp == offer.data;
    if own.data.as_ref().is_some_and(is_it) { own } else { durable }
}

/// What is here against what was offered. Safe means: nothing that the sender has is newer than what is here.
pub(crate) fn compare(own: &Offer, offered: &Offer) -> Confirmation {
    let newest = own.data.max(own.metadata).max(own.content_type);
    if own.kind == Some(ObjectKind::Tombstone) {
        return match own.data.cmp(&offered.data) {
            std::cmp::Ordering::Less => Confirmation::Lacking,
            // A tombstone beats a body of its own time.
            std::cmp::Ordering::Equal if offered.kind != Some(ObjectKind::Data) => Confirmation::Confirmed,
            _ => Confirmation::Superseded(newest),
        };
    }
    if own.data == offered.data && offered.kind != Some(ObjectKind::Data) {
        // It is, or may be, a tombstone that this body would outlive.
        return Confirmation::Lacking;
    }
    let times = |offer: &Offer| -> [Timestamp; 3] { [offer.data, offer.metadata, offer.content_type] };
    let pairs = || times(own).into_iter().zip(times(offered));
    if offered.kind == Some(ObjectKind::Tombstone) {
        // What came before a deletion does not count.
        return if own.data > offered.data {
            Confirmation::Superseded(newest)
        } else {
            Confirmation::Lacking
        };
    }
    if pairs().any(|(own, offered)| own < offered) {
        Confirmation::Lacking
    } else if pairs().all(|(own, offered)| own == offered) {
        Confirmation::Confirmed
    } else {
        Confirmation::Superseded(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(kind: Option<ObjectKind>, times: [u64; 3]) -> Offer {
        let [data, metadata, content_type] = times.map(Timestamp::from_seconds);
        let hash = "4e2772c453cbe15a19b26fbfbb223e31".parse().unwrap();
        Offer { hash, data, metadata, content_type, kind, durable: true }
    }

    fn data(times: [u64; 3]) -> Offer {
        offer(Some(ObjectKind::Data), times)
    }

    fn tombstone(time: u64) -> Offer {
        offer(Some(ObjectKind::Tombstone), [time; 3])
    }

    fn newer(time: u64) -> Confirmation {
        Confirmation::Superseded(Timestamp::from_seconds(time))
    }

    #[test]
    fn bodies_compare_in_all_three_times() {
        assert_eq!(compare(&data([1, 3, 2]), &data([1, 3, 2])), Confirmation::Confirmed);
        assert_eq!(compare(&data([1, 4, 2]), &data([1, 3, 2])), newer(4));
        assert_eq!(compare(&data([1, 3, 2]), &data([1, 4, 2])), Confirmation::Lacking);
        assert_eq!(compare(&data([1, 4, 1]), &data([1, 4, 2])), Confirmation::Lacking);
        assert_eq!(
            compare(&data([2, 2, 2]), &data([1, 3, 1])),
            Confirmation::Lacking,
            "the newer POST is missing"
        );
        assert_eq!(compare(&data([1, 1, 1]), &data([2, 2, 2])), Confirmation::Lacking);
    }

    #[test]
    fn a_tombstone_beats_a_body_of_its_own_time_and_not_the_reverse() {
        assert_eq!(compare(&tombstone(1), &data([1, 1, 1])), newer(1));
        assert_eq!(compare(&tombstone(1), &tombstone(1)), Confirmation::Confirmed);
        assert_eq!(compare(&tombstone(2), &tombstone(1)), newer(2));
        assert_eq!(compare(&tombstone(1), &tombstone(2)), Confirmation::Lacking);
        assert_eq!(compare(&data([1, 5, 1]), &tombstone(1)), Confirmation::Lacking);
        assert_eq!(compare(&data([2, 2, 2]), &tombstone(1)), newer(2));
    }

    #[test]
    fn an_offer_that_does_not_say_what_it_is_gets_no_doubtful_answer() {
        assert_eq!(compare(&data([1, 1, 1]), &offer(None, [1, 1, 1])), Confirmation::Lacking);
        assert_eq!(compare(&tombstone(1), &offer(None, [1, 1, 1])), Confirmation::Confirmed);
    }
}
