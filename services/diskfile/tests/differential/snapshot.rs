//! Everything that is on a device, in a form that can be compared.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::Path,
};

use serde_json::{Value, json};

use super::ours::{Ours, file_attributes, names, text};
use crate::layout;

/// All names below a device with what they are, sorted.
pub(super) fn of(ours: &Ours) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    walk(ours, Path::new(""), &mut found);
    found.sort_by(|a, b| (&a.0, a.1.to_string()).cmp(&(&b.0, b.1.to_string())));
    found
}

fn walk(ours: &Ours, below: &Path, found: &mut Vec<(String, Value)>) {
    for name in names(&ours.root.join(below)) {
        let path = below.join(OsStr::from_bytes(&name));
        let metadata = fs::symlink_metadata(ours.root.join(&path)).unwrap();
        let mode = format!("{:o}", metadata.mode());
        if name.starts_with(layout::LOCK.as_bytes()) {
            continue;
        }
        if metadata.is_dir() {
            found.push((spelled(&path), json!({"mode": mode})));
            walk(ours, &path, found);
        } else if name == layout::HASHES.as_bytes() {
            let meaning = ours.pickle(below);
            // Not the mode: a file that the test placed has another, and one side may write what the other leaves.
            found.push((spelled(&path), json!({"meaning": meaning})));
        } else {
            let body = fs::read(ours.root.join(&path)).unwrap();
            let body = if body.len() > 4096 { format!("{} bytes", body.len()) } else { text(&body) };
            let attributes = file_attributes(ours.device(), &path);
            found.push((
                spelled(&path),
                json!({"mode": mode, "links": metadata.nlink(), "body": body, "attributes": attributes}),
            ));
        }
    }
}

/// A path; what quarantine adds to a name that is taken is random, and left out.
fn spelled(path: &Path) -> String {
    let mut parts: Vec<_> = path.iter().map(|part| text(part.as_bytes())).collect();
    if let [first, _, moved, ..] = parts.as_mut_slice()
        && first == layout::QUARANTINE
        && let Some((name, tail)) = moved.rsplit_once('-')
        && tail.len() == 32
        && tail.bytes().all(|b| b.is_ascii_hexdigit())
    {
        *moved = format!("{name}-*");
    }
    parts.join("/")
}
