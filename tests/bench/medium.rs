//! File systems to measure on.

use std::{
    fmt,
    fs::File,
    path::{Path, PathBuf},
    str::FromStr,
    time::Instant,
};

use anyhow::{Context as _, Result};

/// `f_type` of statfs(2).
const KNOWN: [(u64, &str); 4] =
    [(0x0102_1994, "tmpfs"), (0x5846_5342, "xfs"), (0xef53, "ext4"), (0x9123_683e, "btrfs")];

/// A folder on a file system, called by the kind of that.
#[derive(Debug, Clone)]
pub(crate) struct Medium {
    name: String,
    folder: PathBuf,
}

impl Medium {
    /// Where things are made.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Seconds that it took until all that was written is on the disk.
    pub(crate) fn flush(&self) -> Result<f64> {
        let started = Instant::now();
        rustix::fs::syncfs(File::open(&self.folder)?)?;
        Ok(started.elapsed().as_secs_f64())
    }
}

impl FromStr for Medium {
    type Err = anyhow::Error;

    fn from_str(folder: &str) -> Result<Self> {
        let found = rustix::fs::statfs(folder).with_context(|| folder.to_owned())?;
        let kind = u64::try_from(found.f_type)?;
        let name = KNOWN.iter().find(|known| known.0 == kind).map(|known| known.1.to_owned());
        Ok(Self { name: name.unwrap_or_else(|| format!("{kind:#x}")), folder: PathBuf::from(folder) })
    }
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
