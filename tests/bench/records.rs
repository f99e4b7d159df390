//! Measurements as they come: to a person at once, and to a file.

use std::{fmt, fs::File, io::Write as _, path::Path};

use anyhow::Result;
use serde::Serialize;

/// Where they go.
#[derive(Debug)]
pub(crate) struct Records(Option<File>);

impl Records {
    /// To standard error, and appended to a file.
    pub(crate) fn open(file: Option<&Path>) -> Result<Self> {
        let append = |path: &Path| File::options().create(true).append(true).open(path);
        Ok(Self(file.map(append).transpose()?))
    }

    /// One more; in the file it is one JSON object on a line.
    pub(crate) fn add(&mut self, record: &(impl Serialize + fmt::Display)) -> Result<()> {
        eprintln!("{record}");
        if let Some(file) = &mut self.0 {
            writeln!(file, "{}", serde_json::to_string(record)?)?;
        }
        Ok(())
    }
}
