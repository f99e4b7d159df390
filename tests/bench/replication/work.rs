//! What is to be done.

use std::{fmt, str::FromStr};

use anyhow::{Context as _, Result, ensure};

const OBJECTS_MAX: usize = 1_000_000;
const SIZE_MAX: usize = 1 << 30;
/// One object in so many is changed.
const CHANGED_EVERY: usize = 100;

/// Whose objects go where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// From a primary to another whose device is empty.
    Wiped,
    /// From a handoff to two primaries whose devices are empty; the handoff lets go.
    Drain,
    /// Two primaries have the same, then one object in a hundred is written anew on one of them.
    Changed,
    /// Two primaries have the same, and have known it.
    Warm,
    /// Two primaries have the same, and no suffix hashes.
    Cold,
}

const NAMES: [(&str, Kind); 5] = [
    ("wiped", Kind::Wiped),
    ("drain", Kind::Drain),
    ("changed", Kind::Changed),
    ("warm", Kind::Warm),
    ("cold", Kind::Cold),
];

/// So many objects of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) kind: Kind,
    pub(crate) objects: usize,
    pub(crate) size: usize,
}

impl Work {
    /// The numbers of the objects that are written anew.
    pub(crate) fn changed(&self) -> impl Iterator<Item = usize> + use<> {
        let objects = if self.kind == Kind::Changed { self.objects } else { 0 };
        (0..objects).step_by(CHANGED_EVERY)
    }

    /// How many objects have to be moved.
    pub(crate) fn moved(&self) -> usize {
        match self.kind {
            Kind::Wiped | Kind::Drain => self.objects,
            Kind::Changed => self.changed().count(),
            Kind::Warm | Kind::Cold => 0,
        }
    }

    /// Whether it is done by a daemon that runs already, in place of a program that is started for it.
    pub(crate) fn is_by_daemon(&self) -> bool {
        self.has_peers_filled()
    }

    /// Whether the peer has the objects before it begins.
    pub(crate) fn has_peers_filled(&self) -> bool {
        matches!(self.kind, Kind::Changed | Kind::Warm | Kind::Cold)
    }
}

impl FromStr for Work {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, amount) = text.split_once(':').with_context(|| format!("{text}: KIND:COUNTxBYTES"))?;
        let (objects, size) = amount.split_once('x').with_context(|| format!("{amount}: COUNTxBYTES"))?;
        let kind = NAMES.iter().find(|known| known.0 == name).map(|known| known.1);
        let kind = kind.with_context(|| format!("{name}: wiped, drain, changed, warm or cold"))?;
        let work = Self { kind, objects: objects.parse()?, size: size.parse()? };
        ensure!((1..=OBJECTS_MAX).contains(&work.objects), "{text}: 1 to {OBJECTS_MAX} objects");
        ensure!(work.size <= SIZE_MAX, "{text}: at most {SIZE_MAX} bytes");
        Ok(work)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|known| known.1 == self.kind).map_or("", |known| known.0);
        write!(f, "{name}:{}x{}", self.objects, self.size)
    }
}
