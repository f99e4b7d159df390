//! Processor time, as `/proc` tells it.

use std::fs;

use anyhow::{Context as _, Result};

/// `USER_HZ` of Linux, on every architecture that matters here.
const TICKS_PER_SECOND: f64 = 100.0;
/// proc(5), /proc/PID/stat, counted from what follows the name: pgrp, and utime to cstime.
const GROUP_FIELD: usize = 2;
const TIME_FIELDS: std::ops::Range<usize> = 11..15;

/// Seconds used by all processes of these process groups, with the children that they have waited for.
pub(crate) fn seconds_of_groups(groups: &[u32]) -> Result<f64> {
    let mut ticks = 0;
    for entry in fs::read_dir("/proc")?.flatten() {
        // Most entries are no processes, and a process may end while we look.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((group, used)) = group_and_ticks(&stat) else { continue };
        if groups.contains(&group) {
            ticks += used;
        }
    }
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// Seconds used by this process.
pub(crate) fn own_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, ticks) = group_and_ticks(&stat).context("/proc/self/stat has another form")?;
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

fn group_and_ticks(stat: &str) -> Option<(u32, u64)> {
    // The name may hold anything, blanks and brackets too.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks =
        fields.get(TIME_FIELDS)?.iter().map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some((fields.get(GROUP_FIELD)?.parse().ok()?, ticks))
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
