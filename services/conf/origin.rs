//! Where a value came from.

use std::{fmt, sync::Arc};

/// Where a value came from: a line of a file, or something with a name, such as an environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    source: Arc<str>,
    line: Option<usize>,
}

impl Origin {
    /// A source without lines.
    pub fn named(source: impl Into<Arc<str>>) -> Self {
        Self { source: source.into(), line: None }
    }

    /// A line of a file, counted from 1.
    pub fn line(source: impl Into<Arc<str>>, line: usize) -> Self {
        Self { source: source.into(), line: Some(line) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.source),
            None => f.write_str(&self.source),
        }
    }
}
