//! Which fragments count (Swift: diskfile.py ECDiskFileManager._process_ondisk_files).

use ssync_types::{FragmentIndex, Timestamp};

use super::{ByExtension, Choice, FragmentFiles, Preference, newest};
use crate::name::{Extension, FileName};

pub(super) fn choose(choice: &mut Choice, files: &mut ByExtension, preference: Preference<'_>) {
    let legacy = newest(files, &Extension::Durable);
    let (sets, durable) = group(files.get(&Extension::Data).map(Vec::as_slice).unwrap_or_default(), legacy);
    // The time of what is durable, be it fragments or a mark without any.
    let durable_time = durable.max(legacy);

    let picked = pick(&sets, durable, preference);
    if let Some(file) = &picked {
        choice.durable = durable;
        if Some(file.timestamp) != durable {
            // Metadata older than the chosen fragment does not belong to it, yet belongs to what is durable: it is kept.
            if let Some(list) = files.get_mut(&Extension::Meta) {
                list.truncate(list.partition_point(|meta| meta.timestamp > file.timestamp));
            }
        }
    }

    if let Some(time) = durable_time {
        for list in files.values_mut() {
            let keep = list.partition_point(|file| file.timestamp >= time);
            choice.obsolete.extend(list.split_off(keep));
        }
    }
    if durable.is_none() {
        choice.obsolete.extend(files.remove(&Extension::Durable).unwrap_or_default());
    }
    let picked_time = picked.as_ref().map(|file| file.timestamp);
    for set in &sets {
        if Some(set.timestamp) != durable && Some(set.timestamp) != picked_time {
            choice.stray.extend(set.files.iter().cloned());
        }
    }
    if durable.is_none() {
        choice.stray.extend(files.get(&Extension::Meta).cloned().unwrap_or_default());
    }
    choice.fragments = sets;
    choice.data = picked;
}

/// Fragments by time, newest first, down to the durable ones; and the time of these. A mark on one fragment, or a file of
/// its own, marks all of the same time.
fn group(fragments: &[FileName], legacy: Option<Timestamp>) -> (Vec<FragmentFiles>, Option<Timestamp>) {
    let mut sets = Vec::new();
    for same_time in fragments.chunk_by(|a, b| a.timestamp == b.timestamp) {
        let Some(timestamp) = same_time.first().map(|file| file.timestamp) else { continue };
        let mut files = same_time.to_vec();
        files.sort_by_key(|file| file.fragment);
        let marked = files.iter().any(|file| file.durable) && legacy.is_none_or(|mark| mark < timestamp);
        let durable = marked || legacy == Some(timestamp);
        if durable {
            files.iter_mut().for_each(|file| file.durable = true);
        }
        sets.push(FragmentFiles { timestamp, files });
        if durable {
            return (sets, Some(timestamp));
        }
    }
    (sets, None)
}

fn pick(sets: &[FragmentFiles], durable: Option<Timestamp>, preference: Preference<'_>) -> Option<FileName> {
    let Some(preferences) = preference.fragments else {
        let set = sets.iter().find(|set| Some(set.timestamp) == durable)?;
        return of_index(set, preference.fragment);
    };
    let mut candidates: Vec<&FragmentFiles> = sets.iter().collect();
    for wish in preferences {
        let Some(at) = candidates.iter().position(|set| set.timestamp == wish.timestamp) else { continue };
        let set = candidates.remove(at);
        let wanted = |file: &&FileName| file.fragment.is_some_and(|index| !wish.excluded.contains(&index));
        if let Some(file) = set.files.iter().rev().find(wanted) {
            return Some(file.clone());
        }
    }
    of_index(candidates.first()?, preference.fragment)
}

/// The fragment of an index, or of the highest.
fn of_index(set: &FragmentFiles, index: Option<FragmentIndex>) -> Option<FileName> {
    match index {
        Some(_) => set.files.iter().find(|file| file.fragment == index).cloned(),
        None => set.files.last().cloned(),
    }
}
