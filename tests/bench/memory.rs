//! Memory, as `/proc` tells it.

use std::{collections::BTreeMap, fs};

use crate::{cpu, processes::Role};

/// The most that the living processes of these process groups have held at any time, by role: the sum of their `VmHWM`, in
/// which what processes share counts for each of them.
pub(crate) fn peaks_of_groups(groups: &[(Role, u32)]) -> BTreeMap<Role, u64> {
    let mut peaks = BTreeMap::new();
    for (path, group, _) in cpu::processes() {
        let Some((role, _)) = groups.iter().find(|known| known.1 == group) else { continue };
        // A process may end while we look.
        let status = fs::read_to_string(path.join("status")).unwrap_or_default();
        *peaks.entry(*role).or_default() += high_water(&status).unwrap_or(0);
    }
    peaks
}

/// In bytes; a process that has ended has none.
fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_told_in_bytes() {
        assert_eq!(high_water("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2 << 20));
        assert_eq!(high_water("Name:\tx\nState:\tZ (zombie)\n"), None);
    }
}
