//! Digests of the files that every node of a cluster has alike.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use md5::{Digest as _, Md5};
use serde_json::Value;

use super::json::Json;

const READ_BYTES: usize = 64 * 1024;

/// The ring files that are there, each with its digest. Blocks.
pub(super) fn rings(paths: &[PathBuf]) -> Json {
    let there = paths.iter().filter(|path| path.exists());
    there.map(|path| (name(path), Json::Value(digest(path)))).collect()
}

/// swift.conf with its digest. Blocks.
pub(super) fn swift_conf(path: &Path) -> Json {
    Json::from_iter([(name(path), Json::Value(digest(path)))])
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Null for what cannot be read.
fn digest(path: &Path) -> Value {
    match md5(path) {
        Ok(digest) => digest.into(),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::error!(path = %path.display(), %error, "recon cannot read a file");
            }
            Value::Null
        }
    }
}

fn md5(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Md5::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => digest.update(buffer.get(..length).unwrap_or_default()),
        }
    }
    Ok(digest.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}
