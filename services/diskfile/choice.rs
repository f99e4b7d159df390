//! Which of an object's files count (Swift: diskfile.py get_ondisk_files and _process_ondisk_files).

mod coded;

use std::collections::BTreeMap;

use ssync_types::{FragmentIndex, FragmentPreference, Timestamp};

use crate::{
    PolicyKind,
    name::{Extension, FileName, is_rsync_temporary},
};

/// What to prefer among fragments.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Preference<'a> {
    pub(crate) fragment: Option<FragmentIndex>,
    pub(crate) fragments: Option<&'a [FragmentPreference]>,
}

/// Fragments of one time, by ascending index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FragmentFiles {
    pub(crate) timestamp: Timestamp,
    pub(crate) files: Vec<FileName>,
}

/// The files that make the object's state, and those that do not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) data: Option<FileName>,
    /// The newest metadata later than the body.
    pub(crate) meta: Option<FileName>,
    /// The metadata with the newest content type, where that is later than the body. May be `meta` itself.
    pub(crate) content_type: Option<FileName>,
    pub(crate) tombstone: Option<FileName>,
    /// To be removed.
    pub(crate) obsolete: Vec<FileName>,
    /// To be removed when they are old enough.
    pub(crate) stray: Vec<FileName>,
    /// Names that the format does not have.
    pub(crate) unexpected: Vec<String>,
    /// Erasure coding: fragments by time, newest first, none older than the durable ones.
    pub(crate) fragments: Vec<FragmentFiles>,
    /// Erasure coding: the time of the durable fragments, where a body was chosen.
    pub(crate) durable: Option<Timestamp>,
}

/// Names by extension, each list newest first.
type ByExtension = BTreeMap<Extension, Vec<FileName>>;

impl Choice {
    /// Chooses among the names of a directory.
    pub(crate) fn of(names: &[String], kind: PolicyKind, preference: Preference<'_>) -> Self {
        let mut choice = Self::default();
        let mut files = choice.sort_out(names, kind);
        choice.tombstones_hide(&mut files);
        choice.keep_newest_metadata(&mut files);
        match kind {
            PolicyKind::Replication => choice.choose_whole(&mut files),
            PolicyKind::ErasureCoding { .. } => coded::choose(&mut choice, &mut files, preference),
        }
        choice.settle(&mut files);
        choice
    }

    fn sort_out(&mut self, names: &[String], kind: PolicyKind) -> ByExtension {
        let mut names: Vec<_> = names.iter().collect();
        names.sort_unstable_by(|a, b| b.cmp(a));
        let mut files = ByExtension::new();
        for name in names {
            match FileName::parse(name, kind) {
                Some(file) => files.entry(file.extension.clone()).or_default().push(file),
                None => {
                    if !is_rsync_temporary(name) {
                        tracing::warn!(file = %name, "a name that Swift does not give; remove it if nobody needs it");
                    }
                    self.unexpected.push(name.clone());
                }
            }
        }
        for list in files.values_mut() {
            list.sort_by_key(|file| std::cmp::Reverse(file.timestamp));
        }
        files
    }

    /// A tombstone beats all that is as old as it, or older.
    fn tombstones_hide(&mut self, files: &mut ByExtension) {
        let Some(newest) = newest(files, &Extension::Tombstone) else { return };
        for (extension, list) in files.iter_mut() {
            let keep = match extension {
                Extension::Tombstone => 1,
                _ => list.partition_point(|file| file.timestamp > newest),
            };
            self.obsolete.extend(list.split_off(keep));
        }
    }

    /// The newest metadata counts, and the one of the newest content type where that is another.
    fn keep_newest_metadata(&mut self, files: &mut ByExtension) {
        let Some(list) = files.get_mut(&Extension::Meta) else { return };
        let mut keep = 1;
        if let [first, rest @ ..] = list.as_mut_slice() {
            rest.sort_by_key(|file| std::cmp::Reverse(content_type(file)));
            if let [second, ..] = rest
                && content_type(second) > content_type(first)
            {
                if second.timestamp == first.timestamp {
                    std::mem::swap(first, second);
                } else {
                    keep = 2;
                }
            }
        }
        self.obsolete.extend(list.split_off(keep.min(list.len())));
    }

    fn choose_whole(&mut self, files: &mut ByExtension) {
        match newest(files, &Extension::Data) {
            Some(data) => {
                for (extension, list) in files.iter_mut() {
                    let keep = match extension {
                        Extension::Data => list.partition_point(|file| file.timestamp >= data),
                        _ => list.partition_point(|file| file.timestamp > data),
                    };
                    self.obsolete.extend(list.split_off(keep));
                }
                self.data = first(files, &Extension::Data);
            }
            None => self.stray.extend(files.get(&Extension::Meta).cloned().unwrap_or_default()),
        }
    }

    fn settle(&mut self, files: &mut ByExtension) {
        if let Some(data) = &self.data {
            let list = files.get(&Extension::Meta).map(Vec::as_slice).unwrap_or_default();
            self.meta = list.first().cloned();
            self.content_type = list.last().filter(|file| file.content_type > Some(data.timestamp)).cloned();
        } else {
            self.tombstone = first(files, &Extension::Tombstone);
        }
    }
}

fn content_type(file: &FileName) -> Timestamp {
    file.content_type.unwrap_or(Timestamp::ZERO)
}

fn newest(files: &ByExtension, extension: &Extension) -> Option<Timestamp> {
    Some(files.get(extension)?.first()?.timestamp)
}

fn first(files: &ByExtension, extension: &Extension) -> Option<FileName> {
    files.get(extension)?.first().cloned()
}

#[cfg(test)]
mod tests;
