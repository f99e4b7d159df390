//! Names of objects, found so that some share partition and suffix.

use std::collections::BTreeMap;

use ssync_types::{HashPathConfig, ObjectPath};

use super::{generate::POWER, ours::text, random::Random};

/// So many names are looked at.
const CANDIDATES: u64 = 6000;

pub(super) struct World {
    hash: HashPathConfig,
    /// Names that share partition and suffix, three each.
    together: Vec<Vec<String>>,
}

impl World {
    pub(super) fn new() -> Self {
        let hash = HashPathConfig::new("changeme", "changeme").unwrap();
        let mut groups = BTreeMap::<_, Vec<String>>::new();
        for number in 0..CANDIDATES {
            let account = ["AUTH_test", "a", "\u{e8}"][number as usize % 3];
            let object = match number % 5 {
                0 => format!("o{number}"),
                1 => format!("\u{e9}/{number}"),
                2 => format!("{number}\u{4e2d}\u{6587}"),
                3 => format!("a b//{number}\u{1f600}"),
                _ => format!("{number}%2F#+-.data"),
            };
            let path = ObjectPath::of(account, "c", &object).unwrap();
            let digest = hash.hash(&path);
            let key = (digest.partition(POWER as u32), digest.suffix());
            groups.entry(key).or_default().push(text(path.as_bytes()));
        }
        let together = groups.into_values().filter(|group| group.len() >= 3).collect();
        Self { hash, together }
    }

    /// Two or three objects of one partition and suffix, rarely one.
    pub(super) fn group(&self, random: &mut Random) -> Vec<String> {
        let mut group = random.pick(&self.together);
        group.truncate(random.pick(&[1, 1, 2, 2, 3]));
        group
    }

    pub(super) fn hash(&self, object: &str) -> String {
        self.hash.hash(&ObjectPath::parse(super::ours::raw(object)).unwrap()).to_string()
    }
}
