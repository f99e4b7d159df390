//! What lies on a device, and whether another device has the same.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use ssync_pickle::Value;

/// Largest extended attribute.
const ATTRIBUTE_BYTES_MAX: usize = 64 << 10;
const PIECE_BYTES: usize = 256 << 10;
const METADATA: &str = "user.swift.metadata";

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn suffix_folders(device: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let is_suffix = |path: &PathBuf| path.file_name().is_some_and(|name| name.len() == 3);
    entries(&device.join("objects")).flat_map(|partition| entries(&partition)).filter(is_suffix)
}

/// One for nearly each object here, and cheap to count.
pub(crate) fn suffixes(device: &Path) -> usize {
    suffix_folders(device).count()
}

/// The files of all objects, below the device.
pub(crate) fn files(device: &Path) -> Vec<PathBuf> {
    let files = suffix_folders(device).flat_map(|suffix| entries(&suffix)).flat_map(|hash| entries(&hash));
    files.filter_map(|file| Some(file.strip_prefix(device).ok()?.to_path_buf())).collect()
}

/// Takes away the hashes of all partitions.
pub(crate) fn forget_hashes(device: &Path) -> Result<()> {
    for partition in entries(&device.join("objects")) {
        for name in ["hashes.pkl", "hashes.invalid"] {
            match fs::remove_file(partition.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Fails unless each of these files is in both devices with the same bytes and the same metadata.
pub(crate) fn ensure_same(files: &[PathBuf], here: &Path, there: &Path) -> Result<()> {
    ensure!(!files.is_empty(), "{}: nothing to compare", here.display());
    files.iter().try_for_each(|file| {
        let (one, other) = (here.join(file), there.join(file));
        let same = same_bytes(&one, &other)? && metadata(&one)? == metadata(&other)?;
        ensure!(same, "{} is not what it should be", other.display());
        Ok(())
    })
}

fn same_bytes(one: &Path, other: &Path) -> Result<bool> {
    let open = |path: &Path| fs::File::open(path).with_context(|| path.display().to_string());
    let (mut one, mut other) = (open(one)?, open(other)?);
    let (mut piece, mut beside) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    loop {
        let filled = read_full(&mut one, &mut piece)?;
        if read_full(&mut other, &mut beside)? != filled || piece[..filled] != beside[..filled] {
            return Ok(false);
        }
        if filled == 0 {
            return Ok(true);
        }
    }
}

fn read_full(from: &mut impl Read, piece: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < piece.len() {
        match from.read(&mut piece[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// By name; who wrote the pickle decides on its order.
fn metadata(file: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut pickle = vec![0; ATTRIBUTE_BYTES_MAX];
    let length =
        rustix::fs::getxattr(file, METADATA, &mut pickle).with_context(|| file.display().to_string())?;
    let value = ssync_pickle::read(&pickle[..length]).with_context(|| file.display().to_string())?;
    let raw = |value: &Value| value.as_raw().map(<[u8]>::to_vec);
    let pairs = value.as_dict().with_context(|| format!("{}: metadata of another form", file.display()))?;
    pairs
        .iter()
        .map(|(name, value)| Some((raw(name)?, raw(value)?)))
        .collect::<Option<_>>()
        .with_context(|| format!("{}: metadata of another form", file.display()))
}
