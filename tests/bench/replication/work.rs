//! What is to be done.

use std::{fmt, str::FromStr};

use anyhow::{Context as _, Result, bail, ensure};

const OBJECTS_MAX: usize = 1_000_000;
const SIZE_MAX: usize = 1 << 30;

/// Whose objects go where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// From a primary to another whose device is empty.
    Wiped,
    /// From a handoff to two primaries whose devices are empty; the handoff lets go.
    Drain,
}

/// So many objects of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) kind: Kind,
    pub(crate) objects: usize,
    pub(crate) size: usize,
}

impl FromStr for Work {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (kind, amount) = text.split_once(':').with_context(|| format!("{text}: KIND:COUNTxBYTES"))?;
        let (objects, size) = amount.split_once('x').with_context(|| format!("{amount}: COUNTxBYTES"))?;
        let kind = match kind {
            "wiped" => Kind::Wiped,
            "drain" => Kind::Drain,
            _ => bail!("{kind}: wiped or drain"),
        };
        let work = Self { kind, objects: objects.parse()?, size: size.parse()? };
        ensure!((1..=OBJECTS_MAX).contains(&work.objects), "{text}: 1 to {OBJECTS_MAX} objects");
        ensure!(work.size <= SIZE_MAX, "{text}: at most {SIZE_MAX} bytes");
        Ok(work)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Wiped => "wiped",
            Kind::Drain => "drain",
        };
        write!(f, "{kind}:{}x{}", self.objects, self.size)
    }
}
