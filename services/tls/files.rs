//! The files that TLS is made of.

use std::{
    env,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Where systemd puts what `LoadCredential=` names.
pub const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Largest file that is read: room for a bundle of hundreds of authorities.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A certificate, its key, and whom to believe; all in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities whose certificates are believed, of callers and of those who are called.
    pub authorities: PathBuf,
}

/// Why there is no TLS to be had from the files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {problem}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A file does not hold what it should.
    #[error("{}: {problem}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A relative path, and nowhere to look it up.
    #[error("{} is a relative path, which is looked up in $CREDENTIALS_DIRECTORY; that is not set: write a path that begins with /, or start by systemd with LoadCredential=", .0.display())]
    NoCredentials(PathBuf),
}

/// The path of a credential: a relative one is below `$CREDENTIALS_DIRECTORY`.
pub fn credential(path: &Path) -> Result<PathBuf, TlsError> {
    below(path, env::var_os(CREDENTIALS_DIRECTORY).map(PathBuf::from))
}

fn below(path: &Path, directory: Option<PathBuf>) -> Result<PathBuf, TlsError> {
    match directory {
        _ if path.is_absolute() => Ok(path.to_owned()),
        Some(directory) => Ok(directory.join(path)),
        None => Err(TlsError::NoCredentials(path.to_owned())),
    }
}

/// How to see that a file was replaced: where it stands, how large it is and when it was written.
pub(crate) type Stamp = Option<(u64, u64, u64, i64, i64)>;

impl TlsFiles {
    /// The files as they are, without reading them.
    pub(crate) fn stamps(&self) -> [Stamp; 3] {
        [&self.certificate, &self.key, &self.authorities].map(|path| {
            let found = std::fs::metadata(path).ok()?;
            Some((found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
        })
    }
}

/// A file's bytes.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable =
        |error: io::Error| TlsError::Unreadable { path: path.to_owned(), problem: error.to_string() };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(content(path, format!("is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

pub(crate) fn content(path: &Path, problem: impl Into<String>) -> TlsError {
    TlsError::Content { path: path.to_owned(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_path_is_a_credential() {
        let find = |path: &str, directory: Option<&str>| below(Path::new(path), directory.map(PathBuf::from));
        assert_eq!(find("/etc/ssync/tls.crt", Some("/run/c")).unwrap(), Path::new("/etc/ssync/tls.crt"));
        assert_eq!(find("tls.crt", Some("/run/c")).unwrap(), Path::new("/run/c/tls.crt"));
        let missing = find("tls.crt", None).unwrap_err();
        assert!(missing.to_string().contains("LoadCredential="), "{missing}");
    }
}
