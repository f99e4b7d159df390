//! Whether a device is usable (Swift: common/constraints.py check_drive, common/utils ismount_raw).

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

/// The marker by which an operator says: take this for a mount point.
const MARKER: &str = ".ismount";

/// Which file system and directory a device is, or why it is not usable.
pub(crate) fn identify(path: &Path, mount_check: bool) -> Result<(u64, u64), String> {
    // Swift's words, which operators look for.
    let lacking = if mount_check { "not mounted" } else { "not a directory" };
    let reached = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("{} is {lacking}", path.display()),
        _ => problem(path, &error),
    })?;
    if !reached.is_dir() {
        return Err(format!("{} is not a directory", path.display()));
    }
    if mount_check && !is_mount(path).map_err(|error| problem(path, &error))? {
        return Err(format!("{} is not mounted", path.display()));
    }
    Ok((reached.dev(), reached.ino()))
}

fn problem(path: &Path, error: &io::Error) -> String {
    format!("{} is not usable ({error})", path.display())
}

/// Whether something is mounted there, or an operator says so.
pub(crate) fn is_mount(path: &Path) -> io::Result<bool> {
    let marked = || fs::metadata(path.join(MARKER)).is_ok_and(|marker| marker.is_file());
    let own = fs::symlink_metadata(path)?;
    if own.is_symlink() {
        return Ok(marked());
    }
    let parent = fs::symlink_metadata(path.join(".."))?;
    Ok(own.dev() != parent.dev() || own.ino() == parent.ino() || marked())
}
