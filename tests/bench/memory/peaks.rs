//! Memory, as `/proc` tells it.

use std::{
    collections::BTreeMap,
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::{
    cpu,
    processes::{Groups, Role},
};

/// How often it is looked at what processes hold.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The most that processes have held, by role, until something else has `ended`. What those of one role have held
/// is summed up, or otherwise joined.
pub(crate) fn peaks_until(
    groups: &Groups,
    ended: &AtomicBool,
    join: fn(u64, u64) -> u64,
) -> BTreeMap<Role, u64> {
    let mut peaks: BTreeMap<Role, u64> = BTreeMap::new();
    // Once more when it has ended: the servers are still there.
    let mut last = false;
    while !last {
        last = ended.load(Ordering::Relaxed);
        for (role, bytes) in groups.peak_bytes(join) {
            let peak = peaks.entry(role).or_default();
            *peak = bytes.max(*peak);
        }
        thread::sleep(LOOK_EVERY);
    }
    peaks
}

/// The most that the living processes of these process groups have held at any time, by role: their `VmHWM`, joined, in
/// which what processes share counts for each of them.
pub(crate) fn peaks_of_groups(groups: &[(Role, u32)], join: fn(u64, u64) -> u64) -> BTreeMap<Role, u64> {
    let mut peaks = BTreeMap::new();
    for (path, group, _) in cpu::processes() {
        let Some((role, _)) = groups.iter().find(|known| known.1 == group) else { continue };
        // A process may end while we look.
        let status = fs::read_to_string(path.join("status")).unwrap_or_default();
        let peak = peaks.entry(*role).or_default();
        *peak = join(*peak, high_water(&status).unwrap_or(0));
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
