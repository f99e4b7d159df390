//! The files in which daemons, Swift's and this program's, leave what they did (Swift: common/recon.py).

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use serde_json::{Map, Value};

use crate::python_json::Json;

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// One of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    Account,
    Container,
    Drive,
    Object,
    Relinker,
}

impl File {
    const fn name(self) -> &'static str {
        match self {
            Self::Account => "account.recon",
            Self::Container => "container.recon",
            Self::Drive => "drive.recon",
            Self::Object => "object.recon",
            Self::Relinker => "relinker.recon",
        }
    }
}

/// Some keys of a file; null for what is not there, or not to be read. Writers put a whole file in its place, so no lock is
/// needed. Blocks.
pub(super) fn read(folder: &Path, file: File, keys: &[&str]) -> Json {
    let path = folder.join(file.name());
    let mut found = match parse(&path) {
        Ok(found) => found,
        // There is one only while somebody relinks.
        Err(error) if file == File::Relinker && error.kind() == io::ErrorKind::NotFound => Map::new(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the recon cache cannot be read; check recon_cache_path");
            Map::new()
        }
    };
    keys.iter().map(|&key| (key.to_owned(), Json::Value(found.remove(key).unwrap_or_default()))).collect()
}

fn parse(path: &Path) -> io::Result<Map<String, Value>> {
    let mut text = String::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_null() {
        let folder = tempfile::tempdir().unwrap();
        let shown =
            |pending: Option<u64>| Json::map([("async_pending", Json::of(pending)), ("other", Json::of(()))]);
        let read = || read(folder.path(), File::Object, &["async_pending", "other"]);
        let nothing = shown(None);
        assert_eq!(read(), nothing);
        fs::write(folder.path().join("object.recon"), r#"{"async_pending": 7, "more": {}}"#).unwrap();
        assert_eq!(read(), shown(Some(7)));
        for bad in ["{\"async_pending\": 7", "[7]", ""] {
            fs::write(folder.path().join("object.recon"), bad).unwrap();
            assert_eq!(read(), nothing, "{bad}");
        }
    }
}
