//! One file of an object: whether what it says of itself is whole, and fits to its name, its size and its place.

use std::{io, time::Duration};

use ssync_types::{Metadata, ObjectHash, ObjectPath, Timestamp};

use super::FlawKind;
use crate::{
    Device,
    attributes::{self, AttributesError},
    disk::DiskDir,
    name::{Extension, FileName},
};

/// So far clocks may be apart.
const AHEAD_MAX: Duration = Duration::from_secs(3600);

impl Device {
    /// Its size, and what is wrong with it. Its body is not read.
    pub(super) fn inspect_file(
        &self,
        directory: &dyn DiskDir,
        file: &FileName,
        hash: Option<&ObjectHash>,
    ) -> io::Result<(u64, Vec<FlawKind>)> {
        let open = directory.open(file.name.as_ref())?;
        let size = open.stat()?.size;
        let mut flaws = Vec::new();
        if self.now().age_at(file.timestamp) > AHEAD_MAX {
            flaws.push(FlawKind::Ahead);
        }
        match attributes::read(&*open) {
            Err(AttributesError::Io(error)) => return Err(error),
            Err(AttributesError::Damaged(how)) => flaws.push(FlawKind::Damaged(how)),
            Ok(found) => {
                let name = found.name.as_deref().map(|name| ObjectPath::parse(name.to_vec()));
                let belongs =
                    |path: &ObjectPath| hash.is_none_or(|hash| self.settings.hash.hash(path) == *hash);
                let how = match name {
                    None => Some("has no name in its metadata".to_owned()),
                    Some(Err(_)) => Some("has a name in its metadata that no object has".to_owned()),
                    Some(Ok(path)) if !belongs(&path) => Some(format!("says that it is of {path}")),
                    Some(Ok(_)) => misfit(&found.metadata, file, size),
                };
                flaws.extend(how.map(FlawKind::Damaged));
            }
        }
        Ok((size, flaws))
    }
}

/// What does not fit to the file's name or size.
fn misfit(metadata: &Metadata, file: &FileName, size: u64) -> Option<String> {
    let time = metadata.get_str("X-Timestamp").map(|text| Timestamp::parse(text.as_bytes()));
    match time {
        None => return Some("has no X-Timestamp in its metadata".to_owned()),
        Some(Ok(time)) if time == file.timestamp => {}
        Some(_) => return Some("has another time in its metadata than in its name".to_owned()),
    }
    if file.extension != Extension::Data {
        return None;
    }
    if let Some(lacking) =
        ["Content-Length", "ETag", "Content-Type"].into_iter().find(|name| metadata.get(name).is_none())
    {
        return Some(format!("has no {lacking} in its metadata"));
    }
    match metadata.get_str("Content-Length").and_then(|text| text.parse::<u64>().ok()) {
        Some(length) if length == size => None,
        _ => Some(format!(
            "has {size} bytes, and its metadata say {}",
            metadata.get_str("Content-Length").unwrap_or("something else")
        )),
    }
}
