//! Random damage to good pickles: any answer will do, as long as there is one.

use super::pickle;
use crate::{read, write};

const NAMES: [&str; 8] =
    ["METADATA", "HASHES", "EC_HASHES", "SHAPES", "UPDATE_0", "UPDATE_2", "UPDATE_4", "SHARED"];
const ROUNDS: usize = 4000;

/// Marsaglia's xorshift64: the same numbers on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[at] = random.next() as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.insert(at, random.next() as u8),
            3 => drop(bytes.remove(at)),
            _ => {
                let piece = bytes[at..bytes.len().min(at + random.below(16))].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }
}

#[test]
fn damage_never_panics() {
    let mut random = Random(0x5eed_5eed_5eed_5eed);
    let mut read_anyway = 0;
    for name in NAMES {
        let whole = pickle(name);
        for _ in 0..ROUNDS {
            let mut bytes = whole.clone();
            damage(&mut bytes, &mut random);
            // What is read can be written, and is then the same (but for NaN, which equals nothing).
            if let Ok(value) = read(&bytes) {
                read_anyway += 1;
                let again = read(&write(&value)).unwrap();
                assert_eq!(format!("{again:?}"), format!("{value:?}"));
            }
        }
    }
    assert!(read_anyway > 1000, "the damage should leave some pickles readable: {read_anyway}");
}
