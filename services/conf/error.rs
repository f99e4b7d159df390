//! What is wrong with a configuration.

use std::{io, path::PathBuf};

use crate::Origin;

/// What is wrong with a configuration, and where.
#[derive(Debug, thiserror::Error)]
pub enum ConfError {
    /// A file or directory cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what a configuration file is.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A line is not of any form that a configuration file has.
    #[error("{origin}: {problem}")]
    Line {
        /// The line.
        origin: Origin,
        /// What is wrong with it.
        problem: String,
    },
    /// A section that is needed is not there.
    #[error("{file}: has no section [{section}]")]
    NoSection {
        /// The file.
        file: String,
        /// The section.
        section: String,
    },
    /// A value cannot be used.
    #[error("{origin}: {key} = {value}: must be {accepted}")]
    Value {
        /// Where the value was set.
        origin: Origin,
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What is accepted instead.
        accepted: String,
    },
}
