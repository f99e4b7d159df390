//! Which calls fail: by number, by name, or by chance.

use std::path::Path;

use rustix::io::Errno;

use super::random::Random;

/// Whether what failed fails again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It does not.
    Once,
    /// It does.
    Always,
}

/// What is to go wrong. A call that fails has no effect; a flush of a file that fails loses what it was to write.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    numbered: Vec<(u64, Errno, Again)>,
    named: Vec<(String, Errno, Again)>,
    chance: Option<(Random, usize, Vec<Errno>)>,
    short: Option<u64>,
}

impl Faults {
    /// The call of this number fails, counted as in `Counts::calls`: the next one has the number that `calls` has now.
    pub fn at(mut self, number: u64, error: Errno, again: Again) -> Self {
        self.numbered.push((number, error, again));
        self
    }

    /// Calls fail whose `<name> <path>` begins so.
    pub fn named(mut self, beginning: &str, error: Errno, again: Again) -> Self {
        self.named.push((beginning.to_owned(), error, again));
        self
    }

    /// So many of a thousand calls fail, with one of some errors.
    pub fn by_chance(mut self, seed: u64, per_mille: usize, errors: &[Errno]) -> Self {
        self.chance = Some((Random::new(seed), per_mille, errors.to_vec()));
        self
    }

    /// The call of this number, if it reads or writes, does half of it.
    pub fn short_at(mut self, number: u64) -> Self {
        self.short = Some(number);
        self
    }

    pub(super) fn is_short(&self, number: u64) -> bool {
        self.short == Some(number)
    }

    /// What a call fails with.
    pub(super) fn take(&mut self, number: u64, name: &str, path: &Path) -> Option<Errno> {
        let numbered = |(at, _, again): &(u64, Errno, Again)| match again {
            Again::Once => *at == number,
            Again::Always => *at <= number,
        };
        if let Some((_, error, _)) = self.numbered.iter().find(|fault| numbered(fault)) {
            return Some(*error);
        }
        if !self.named.is_empty() {
            let call = format!("{name} {}", path.display());
            if let Some(at) = self.named.iter().position(|(beginning, ..)| call.starts_with(beginning)) {
                let (_, error, again) = &self.named[at];
                let error = *error;
                if *again == Again::Once {
                    self.named.remove(at);
                }
                return Some(error);
            }
        }
        let (random, per_mille, errors) = self.chance.as_mut()?;
        random.per_mille(*per_mille).then(|| *random.pick(errors))
    }
}
