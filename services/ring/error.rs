//! Why a ring, or swift.conf, cannot be used.

use std::{io, path::PathBuf};

use ssync_conf::ConfError;
use ssync_types::Invalid;

/// Why a ring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is damaged, or no ring.
    #[error("{}: is no usable ring: {problem}; copy it again from where the cluster's rings are built", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Devices and assignments that make no ring.
    #[error("no ring: {0}")]
    Parts(String),
}

/// Why swift.conf cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SwiftConfError {
    /// It cannot be read, or a value in it cannot be used.
    #[error(transparent)]
    Conf(#[from] ConfError),
    /// It has no salt.
    #[error("{}: [swift-hash]: {source}", path.display())]
    HashPath {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Invalid,
    },
    /// Its storage policies are not what policies may be.
    #[error("{}: {problem}", path.display())]
    Policies {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        problem: String,
    },
}
