//! What is held does not grow with the partition. Nothing is timed.

use std::{collections::BTreeMap, env};

use clap::Parser as _;

use super::{MIB_MAX, Options, measure};
use crate::processes::Role;

/// What 60,000 objects more may take: what the C library keeps. Held whole they would take twice as much.
const MORE_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug, clap::Parser)]
struct Alone {
    #[command(flatten)]
    options: Options,
}

fn peaks(work: &str) -> BTreeMap<Role, u64> {
    let dir = env::var_os("SSYNC_TEST_DISK").map_or_else(env::temp_dir, Into::into);
    let quick = ["bench", "--dir", dir.to_str().unwrap(), "--works", work];
    let mut peaks = BTreeMap::new();
    let measured = measure(&Alone::try_parse_from(quick).unwrap().options, |record| {
        peaks = record.peak_bytes;
        Ok(())
    });
    measured.unwrap();
    peaks
}

#[test]
fn four_times_as_many_objects_in_a_partition_take_no_more_memory() {
    for kind in ["wiped", "drain"] {
        let [few, many] = ["20000x8", "80000x8"].map(|amount| peaks(&format!("{kind}:{amount}")));
        assert_eq!(few.len(), 3, "{few:?}");
        for (role, peak) in &many {
            assert!(*peak < few[role] + MORE_BYTES_MAX, "{kind}: {few:?}, {many:?}");
            assert!(*peak < MIB_MAX << 20, "{kind}: {many:?}");
        }
    }
}
