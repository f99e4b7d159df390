//! Digests of the files that every node of a cluster has alike.

use std::{
    collections::HashMap,
    fs::{File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use md5::{Digest as _, Md5};
use serde_json::Value;

use crate::{hex::hex, python_json::Json};

const READ_BYTES: usize = 64 * 1024;

/// What was read, so that nobody makes the node read large rings again and again. One for each file of the configuration.
#[derive(Debug, Default)]
pub(super) struct Digests(Mutex<HashMap<PathBuf, (Version, String)>>);

/// What tells a file from the one that takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        Self { modified: metadata.modified().ok(), bytes: metadata.len(), inode: metadata.ino() }
    }
}

impl Digests {
    /// The ring files that are there, each with its digest. Blocks.
    pub(super) fn rings(&self, paths: &[PathBuf]) -> Json {
        let there = paths.iter().filter(|path| path.exists());
        there.map(|path| (name(path), Json::Value(self.digest(path)))).collect()
    }

    /// swift.conf with its digest. Blocks.
    pub(super) fn swift_conf(&self, path: &Path) -> Json {
        Json::from_iter([(name(path), Json::Value(self.digest(path)))])
    }

    /// Null for what cannot be read.
    fn digest(&self, path: &Path) -> Value {
        match self.md5(path) {
            Ok(digest) => digest.into(),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::error!(path = %path.display(), %error, "recon cannot read a file");
                }
                Value::Null
            }
        }
    }

    fn md5(&self, path: &Path) -> io::Result<String> {
        let file = File::open(path)?;
        let version = Version::of(&file.metadata()?);
        if let Some((known, digest)) = self.known().get(path)
            && *known == version
        {
            return Ok(digest.clone());
        }
        let digest = md5(file)?;
        self.known().insert(path.to_owned(), (version, digest.clone()));
        Ok(digest)
    }

    /// Not held while a file is read.
    fn known(&self) -> MutexGuard<'_, HashMap<PathBuf, (Version, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn md5(mut file: File) -> io::Result<String> {
    let mut digest = Md5::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => digest.update(buffer.get(..length).unwrap_or_default()),
        }
    }
    Ok(hex(&digest.finalize()))
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;

    #[test]
    fn a_file_is_read_again_when_it_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("object.ring.gz");
        let digests = Digests::default();
        let write = |text: &str, at: SystemTime| {
            fs::write(&path, text).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
        };
        let (early, late) = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_nanos(1));
        let hello = "5d41402abc4b2a76b9719d911017c592";
        let world = "7d793037a0760186574b0282f2f435e7";
        write("hello", early);
        assert_eq!(digests.digest(&path), hello);
        write("world", early);
        assert_eq!(digests.digest(&path), hello, "nothing tells that it is another");
        write("world", late);
        assert_eq!(digests.digest(&path), world);
        write("hello", late);
        assert_eq!(digests.digest(&path), world);
        fs::rename(&path, folder.path().join("old")).unwrap();
        assert_eq!(digests.digest(&path), Value::Null);
        write("hello", late);
        assert_eq!(digests.digest(&path), hello, "the inode is another");
        write("hell", late);
        assert_ne!(digests.digest(&path), hello, "the size is another");
    }
}
