//! Puts files where no disk layer put them, and spoils those that it did: the same here as in `stock_swift.py`.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::fs::{
    AtFlags, CWD, Timespec, Timestamps, XattrFlags, getxattr, removexattr, setxattr, utimensat,
};
use serde_json::{Value, json};

use super::ours::{names, raw, seconds};

const METADATA: &str = "user.swift.metadata";
const CHECKSUM: &str = "user.swift.metadata_checksum";

pub(super) fn set_modified(path: &Path, time: SystemTime) -> io::Result<()> {
    let since = time.duration_since(UNIX_EPOCH).unwrap();
    let time = Timespec { tv_sec: since.as_secs() as i64, tv_nsec: since.subsec_nanos().into() };
    Ok(utimensat(
        CWD,
        path,
        &Timestamps { last_access: time, last_modification: time },
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

/// Puts a file or a directory, as rsync, another program or a broken disk would.
pub(super) fn place(root: &Path, op: &Value) -> io::Result<Value> {
    let path = root.join(OsStr::from_bytes(&raw(op["path"].as_str().unwrap())));
    let put = || -> io::Result<()> {
        fs::create_dir_all(path.parent().unwrap())?;
        let Some(body) = op["body"].as_str() else { return fs::create_dir_all(&path) };
        if fs::symlink_metadata(&path).is_ok() {
            fs::remove_file(&path)?;
        }
        fs::write(&path, raw(body))
    };
    if put().is_err() {
        return Ok(json!("no place"));
    }
    if op["body"].is_null() {
        return Ok(json!("done"));
    }
    for pair in op["attributes"].as_array().unwrap() {
        setxattr(&path, pair[0].as_str().unwrap(), &raw(pair[1].as_str().unwrap()), XattrFlags::empty())?;
    }
    if let Some(modified) = op["modified"].as_f64() {
        set_modified(&path, seconds(modified))?;
    }
    Ok(json!("done"))
}

/// Spoils one of an object's files, if there is one.
pub(super) fn damage(directory: &Path, op: &Value, now: SystemTime) -> io::Result<Value> {
    let names = names(directory);
    if names.is_empty() {
        return Ok(json!("nothing"));
    }
    let path = directory.join(OsStr::from_bytes(&names[op["nth"].as_u64().unwrap() as usize % names.len()]));
    if path.is_dir() {
        return Ok(json!("nothing"));
    }
    let at = op["at"].as_u64().unwrap_or_default();
    let what = op["what"].as_str().unwrap();
    match what {
        "unlink" => fs::remove_file(&path)?,
        "truncate" => {
            let file = OpenOptions::new().write(true).open(&path)?;
            file.set_len(file.metadata()?.len() / 2)?;
        }
        "append" => OpenOptions::new().append(true).open(&path)?.write_all(b"x")?,
        "flip" => {
            let mut bytes = fs::read(&path)?;
            if bytes.is_empty() {
                return Ok(json!("nothing"));
            }
            let at = at as usize % bytes.len();
            bytes[at] ^= 1;
            // Not `fs::write`, which cuts the file first; and the inode stays.
            OpenOptions::new().write(true).open(&path)?.write_all(&bytes)?;
        }
        "age" => set_modified(&path, seconds(op["at"].as_f64().unwrap()))?,
        "rename" => fs::rename(&path, directory.join(OsStr::from_bytes(&raw(op["name"].as_str().unwrap()))))?,
        _ => return spoil(&path, what, at, op["value"].as_str().unwrap_or_default()),
    }
    if ["append", "flip", "truncate"].contains(&what) {
        set_modified(&path, now)?;
    }
    Ok(json!("done"))
}

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 65_536];
    let length = getxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

fn spoil(path: &Path, what: &str, at: u64, value: &str) -> io::Result<Value> {
    let (checksum, first) = (attribute(path, CHECKSUM), attribute(path, METADATA));
    match (what, checksum, first) {
        ("no checksum", Some(_), _) => removexattr(path, CHECKSUM)?,
        ("no metadata", _, Some(_)) => removexattr(path, METADATA)?,
        ("checksum", Some(_), _) => setxattr(path, CHECKSUM, &raw(value), XattrFlags::empty())?,
        ("metadata", Some(_), Some(mut bytes)) => {
            // The first byte: no later one is the same in the pickles of both.
            bytes[0] ^= 1 << (at % 8);
            setxattr(path, METADATA, &bytes, XattrFlags::empty())?;
        }
        _ => return Ok(json!("nothing")),
    }
    Ok(json!("done"))
}
