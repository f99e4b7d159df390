//! Processor time, as `/proc` tells it.

use std::{collections::BTreeMap, fs, ops::Range, path::PathBuf};

use anyhow::{Context as _, Result};

/// `USER_HZ` of Linux, on every architecture that matters here.
const TICKS_PER_SECOND: f64 = 100.0;
/// proc(5), /proc/PID/stat, counted from what follows the name: pgrp, and utime to cstime.
const GROUP_FIELD: usize = 2;
const TIME_FIELDS: Range<usize> = 11..15;
/// Of these, cutime and cstime.
const CHILDREN_TIME_FIELDS: Range<usize> = 13..15;

/// Every process: its folder, its process group, and the ticks that it has used, with the children that it has waited for.
pub(crate) fn processes() -> impl Iterator<Item = (PathBuf, u32, u64)> {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    // Most entries are no processes, and a process may end while we look.
    folders.filter_map(|path| {
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        let (group, used) = group_and_ticks(&stat)?;
        Some((path, group, used))
    })
}

/// Seconds used by all processes of these process groups, by what each group is.
pub(crate) fn seconds_of_groups<R: Copy + Ord>(groups: &[(R, u32)]) -> BTreeMap<R, f64> {
    let mut ticks: BTreeMap<R, u64> = BTreeMap::new();
    for (_, group, used) in processes() {
        if let Some((what, _)) = groups.iter().find(|known| known.1 == group) {
            *ticks.entry(*what).or_default() += used;
        }
    }
    ticks.into_iter().map(|(what, used)| (what, used as f64 / TICKS_PER_SECOND)).collect()
}

/// Seconds used by children of this process that have ended, and by theirs.
pub(crate) fn seconds_of_children() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let used = fields(&stat).and_then(|fields| ticks(&fields, CHILDREN_TIME_FIELDS));
    Ok(used.context("/proc/self/stat has another form")? as f64 / TICKS_PER_SECOND)
}

/// Seconds used by this process.
pub(crate) fn own_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, ticks) = group_and_ticks(&stat).context("/proc/self/stat has another form")?;
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

fn group_and_ticks(stat: &str) -> Option<(u32, u64)> {
    let fields = fields(stat)?;
    Some((fields.get(GROUP_FIELD)?.parse().ok()?, ticks(&fields, TIME_FIELDS)?))
}

/// What follows the name, which may hold anything, blanks and brackets too.
fn fields(stat: &str) -> Option<Vec<&str>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace().collect())
}

fn ticks(fields: &[&str], which: Range<usize>) -> Option<u64> {
    fields.get(which)?.iter().map(|field| field.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_moves_no_field() {
        let stat = "7 (a) b (c) S 1 42 7 0 -1 0 0 0 0 0 100 20 3 1 20 0 1 0";
        assert_eq!(group_and_ticks(stat), Some((42, 124)));
        assert_eq!(group_and_ticks("7 (cut) S 1 42"), None);
    }
}
