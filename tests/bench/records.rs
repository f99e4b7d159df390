//! Measurements as they come: to a person at once, and to a file, from which they can be read again.

use std::{
    fmt,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{guard, instructions, machine, memory, mesh, replication, requests};

/// Where measurements are kept.
#[derive(Debug, clap::Args)]
pub(crate) struct Out {
    /// A file for each measurement by itself, one JSON object a line; it is appended to.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// One, of any part.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "lowercase")]
pub(crate) enum Measurement {
    Replication(replication::Record),
    Watched(replication::Watched),
    Requests(requests::Record),
    Guard(guard::Record),
    Instructions(instructions::Record),
    Memory(memory::Record),
    Mesh(mesh::Record),
    Machine(machine::Machine),
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replication(record) => record.fmt(f),
            Self::Watched(watched) => watched.fmt(f),
            Self::Requests(record) => record.fmt(f),
            Self::Guard(record) => record.fmt(f),
            Self::Instructions(record) => record.fmt(f),
            Self::Memory(record) => record.fmt(f),
            Self::Mesh(record) => record.fmt(f),
            Self::Machine(machine) => machine.fmt(f),
        }
    }
}

/// Where they go.
#[derive(Debug)]
pub(crate) struct Records(Option<File>);

impl Records {
    /// To standard error, and appended to a file if there is one.
    pub(crate) fn open(out: &Out) -> Result<Self> {
        let append = |path: &PathBuf| File::options().create(true).append(true).open(path);
        Ok(Self(out.out.as_ref().map(append).transpose()?))
    }

    /// One more; in the file it is one JSON object on a line.
    pub(crate) fn add(&mut self, measurement: &Measurement) -> Result<()> {
        eprintln!("{measurement}");
        if let Some(file) = &mut self.0 {
            writeln!(file, "{}", serde_json::to_string(measurement)?)?;
        }
        Ok(())
    }
}

/// What was kept in a file.
pub(crate) fn read(path: &Path) -> Result<Vec<Measurement>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    text.lines()
        .enumerate()
        .map(|(at, line)| {
            serde_json::from_str(line).with_context(|| format!("{}:{}", path.display(), at + 1))
        })
        .collect()
}
