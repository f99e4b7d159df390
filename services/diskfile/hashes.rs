//! `hashes.pkl`, what is known of a partition's suffixes (Swift: diskfile.py read_hashes, write_hashes, consolidate_hashes).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    time::UNIX_EPOCH,
};

use rustix::io::Errno;
use ssync_pickle::Value;
use ssync_types::{FragmentIndex, Suffix, SuffixHash};

use crate::{
    Device, DiskError,
    directory::is,
    disk::{DiskFile, OpenMode, read_all, write_all},
    layout,
    quarantine::random_name,
};

/// Most bytes read of `hashes.pkl`. All suffixes of a policy with many fragments take less than 4 MiB.
const FILE_BYTES_MAX: usize = 16 << 20;
/// Bytes of `hashes.invalid` read at a time. The file has a line for each change since the last hashing: any number.
const PIECE_BYTES: usize = 64 * 1024;
/// Most bytes kept of a line that has no end.
const LINE_BYTES_MAX: usize = 1024;

/// The contents of `hashes.pkl`. Two of them are equal when nobody wrote in between.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hashes {
    /// False: there is none, or it is not to be trusted.
    pub(crate) valid: bool,
    /// When it was written, in seconds.
    pub(crate) updated: f64,
    /// `None`: to be calculated.
    pub(crate) suffixes: BTreeMap<Suffix, Option<SuffixHash>>,
}

impl Hashes {
    /// Nothing is known.
    pub(crate) fn unknown() -> Self {
        Self { valid: false, updated: -1.0, suffixes: BTreeMap::new() }
    }

    pub(crate) fn decode(pickle: &[u8]) -> Self {
        ssync_pickle::read(pickle).ok().and_then(|value| Self::of(&value)).unwrap_or_else(Self::unknown)
    }

    /// `None` if there is a key that a good file does not have.
    fn of(value: &Value) -> Option<Self> {
        let mut hashes = Self { valid: true, ..Self::unknown() };
        for (key, value) in value.as_dict()? {
            match key.as_raw()? {
                b"valid" => hashes.valid = matches!(value, Value::Bool(true)),
                b"updated" => hashes.updated = seconds(value)?,
                name => {
                    hashes.suffixes.insert(Suffix::from_name(name)?, hash(value));
                }
            }
        }
        Some(hashes)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut pairs: Vec<_> = self
            .suffixes
            .iter()
            .map(|(suffix, hash)| (Value::text(suffix.to_string()), value(hash)))
            .collect();
        pairs.push((Value::text("valid"), Value::Bool(self.valid)));
        pairs.push((Value::text("updated"), Value::Float(self.updated)));
        ssync_pickle::write(&Value::Dict(pairs))
    }
}

/// What is no number never equals itself: a file of such a time would be calculated anew for ever, and never be replaced.
fn seconds(value: &Value) -> Option<f64> {
    match value {
        Value::Float(seconds) => seconds.is_finite().then_some(*seconds),
        Value::Int(seconds) => Some(*seconds as f64),
        _ => None,
    }
}

/// A stored hash. What is not of its form, or empty, is calculated anew.
fn hash(value: &Value) -> Option<SuffixHash> {
    let Some(pairs) = value.as_dict() else { return hex(value).map(SuffixHash::Replicated) };
    let mut fragments = BTreeMap::new();
    for (index, hash) in pairs {
        let index = match index {
            Value::None => None,
            Value::Int(index) => Some(FragmentIndex::new(u16::try_from(*index).ok()?)),
            _ => return None,
        };
        fragments.insert(index, hex(hash)?);
    }
    (!fragments.is_empty()).then_some(SuffixHash::Fragments(fragments))
}

/// In lower case alone: peers refuse an answer that has another.
fn hex(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    (text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
        .then(|| text.to_owned())
}

fn value(hash: &Option<SuffixHash>) -> Value {
    match hash {
        None | Some(SuffixHash::Unknown) => Value::None,
        Some(SuffixHash::Replicated(hex)) => Value::text(hex.clone()),
        Some(SuffixHash::Fragments(fragments)) => {
            let index =
                |index: &Option<FragmentIndex>| index.map_or(Value::None, |i| Value::Int(i.get().into()));
            Value::Dict(fragments.iter().map(|(i, hex)| (index(i), Value::text(hex.clone()))).collect())
        }
    }
}

/// The suffixes that `hashes.invalid` names. Where a power cut has left half a note, or zeros, at the end of the file, the next
/// note stands on the same line behind them; it counts all the same.
pub(crate) fn stale(notes: &[u8]) -> BTreeSet<Suffix> {
    let note = |line: &[u8]| Suffix::from_name(line.trim_ascii_end().last_chunk::<3>()?);
    notes.split(|b| *b == b'\n').filter_map(note).collect()
}

/// The suffixes that the file of notes names, and its length.
pub(crate) fn read_notes(file: &dyn DiskFile) -> io::Result<(BTreeSet<Suffix>, u64)> {
    let (mut suffixes, mut length) = (BTreeSet::new(), 0);
    let (mut piece, mut begun) = (vec![0; PIECE_BYTES], Vec::new());
    loop {
        let read = file.read_at(&mut piece, length)?;
        if read == 0 {
            suffixes.extend(stale(&begun));
            return Ok((suffixes, length));
        }
        length += read as u64;
        begun.extend_from_slice(piece.get(..read).unwrap_or_default());
        let ended = begun.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        suffixes.extend(stale(begun.get(..ended).unwrap_or_default()));
        begun.drain(..ended.max(begun.len().saturating_sub(LINE_BYTES_MAX)));
    }
}

impl Device {
    /// What `hashes.pkl` says; nothing is known where it is not there, or not readable.
    pub(crate) fn read_hashes(&self, partition: &Path) -> Hashes {
        let read =
            || read_all(&*self.disk.open(&partition.join(layout::HASHES), OpenMode::Read)?, FILE_BYTES_MAX);
        read().map_or_else(|_| Hashes::unknown(), |pickle| Hashes::decode(&pickle))
    }

    /// Writes `hashes.pkl` as one step. The caller holds the lock of the hashes. What it says is on the disk before its name
    /// is; the name itself may be lost with the power, and then what was there before speaks again.
    pub(crate) fn write_hashes(&self, partition: &Path, hashes: &mut Hashes) -> Result<(), DiskError> {
        hashes.updated = self.disk.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let temporary = partition.join(format!("tmp{}.tmp", random_name()));
        let target = partition.join(layout::HASHES);
        let written = self
            .write_pickle(&temporary, &hashes.encode())
            .and_then(|()| self.disk.rename(&temporary, &target));
        written.map_err(|error| {
            // Renamed already, or of no use.
            let _ = self.disk.unlink(&temporary);
            self.io("write", &target, error)
        })
    }

    fn write_pickle(&self, path: &Path, pickle: &[u8]) -> io::Result<()> {
        let file = self.disk.open(path, OpenMode::CreateNew)?;
        write_all(&*file, pickle, 0)?;
        file.sync()
    }

    /// Takes the notes of `hashes.invalid` over into `hashes.pkl`, and gives what that says then; `None` when there is no such
    /// partition. Notes are removed only once `hashes.pkl` has them, and its name is on the disk: no crash can lose one.
    /// Hashes that are calculated later may be lost: they are calculated again then. So theirs is the only flush of a name
    /// (Swift flushes those of both, and of the directories above).
    pub(crate) fn consolidate(&self, partition: &Path) -> Result<Option<Hashes>, DiskError> {
        let Some(_lock) = self.lock_hashes(partition)? else { return Ok(None) };
        let mut hashes = self.read_hashes(partition);
        let path = partition.join(layout::INVALIDATIONS);
        let (stale, length) = match self.disk.open(&path, OpenMode::Read) {
            Ok(file) => read_notes(&*file).map_err(|error| self.io("read", &path, error))?,
            Err(error) if is(&error, Errno::NOENT) => return Ok(Some(hashes)),
            Err(error) => return Err(self.io("open", &path, error)),
        };
        if !stale.is_empty() {
            hashes.suffixes.extend(stale.into_iter().map(|suffix| (suffix, None)));
            self.write_hashes(partition, &mut hashes)?;
            self.flush_directory(partition)
                .map_err(|error| self.io("flush the directory", partition, error))?;
        }
        if length > 0 {
            self.disk
                .open(&path, OpenMode::Append)
                .and_then(|file| file.truncate())
                .map_err(|error| self.io("empty", &path, error))?;
        }
        Ok(Some(hashes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let mut hashes = Hashes { valid: true, updated: 1.5, suffixes: BTreeMap::new() };
        let hex = "3e9785500a5fa2e1d89a06987beeee58".to_owned();
        let fragments = [(None, hex.clone()), (Some(FragmentIndex::new(3)), hex.clone())].into();
        hashes.suffixes.insert(Suffix::from_low_bits(1), Some(SuffixHash::Replicated(hex)));
        hashes.suffixes.insert(Suffix::from_low_bits(2), Some(SuffixHash::Fragments(fragments)));
        hashes.suffixes.insert(Suffix::from_low_bits(3), None);
        assert_eq!(Hashes::decode(&hashes.encode()), hashes);
    }

    #[test]
    fn a_key_that_is_no_suffix_spoils_all_of_it() {
        for key in ["zzz", "ab", "../x", "abcd"] {
            let pickle = ssync_pickle::write(&Value::Dict(vec![
                (Value::text("abc"), Value::text("3e9785500a5fa2e1d89a06987beeee58")),
                (Value::text(key), Value::None),
            ]));
            assert_eq!(Hashes::decode(&pickle), Hashes::unknown(), "{key}");
        }
        assert_eq!(Hashes::decode(b"junk"), Hashes::unknown());
        assert_eq!(Hashes::decode(&ssync_pickle::write(&Value::None)), Hashes::unknown());
    }

    #[test]
    fn a_hash_in_upper_case_is_none() {
        let upper = || Value::text("3E9785500A5FA2E1D89A06987BEEEE58");
        let lower = || Value::text("3e9785500a5fa2e1d89a06987beeee58");
        let pickle = ssync_pickle::write(&Value::Dict(vec![
            (Value::text("001"), lower()),
            (Value::text("002"), upper()),
            (Value::text("003"), Value::Dict(vec![(Value::None, lower()), (Value::Int(1), upper())])),
        ]));
        let known: Vec<_> =
            Hashes::decode(&pickle).suffixes.into_values().map(|hash| hash.is_some()).collect();
        assert_eq!(known, [true, false, false]);
    }

    #[test]
    fn a_time_that_is_no_number_is_not_believed() {
        for seconds in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let hashes = Hashes { valid: true, updated: seconds, suffixes: BTreeMap::new() };
            assert_eq!(Hashes::decode(&hashes.encode()), Hashes::unknown());
        }
    }

    /// Swift skips such a line, and does not calculate the hash anew.
    #[test]
    fn a_note_behind_the_damaged_end_of_another_counts() {
        let stale =
            |notes: &[u8]| stale(notes).into_iter().map(|suffix| suffix.to_string()).collect::<Vec<_>>();
        assert_eq!(stale(b"07b\nabc\n"), ["07b", "abc"]);
        assert_eq!(stale(b"07b\n0"), ["07b"]);
        assert_eq!(stale(b"07b\n0abc\n"), ["07b", "abc"]);
        assert_eq!(stale(b"07b\n\0\0\0\0abc\n"), ["07b", "abc"]);
        assert_eq!(stale(b" 07b \r\nxyz\n\n"), ["07b"]);
    }

    #[test]
    fn an_old_file_without_time_is_valid() {
        let hashes =
            Hashes::decode(&ssync_pickle::write(&Value::Dict(vec![(Value::bytes("abc"), Value::Int(3))])));
        assert_eq!((hashes.valid, hashes.updated), (true, -1.0));
        assert_eq!(
            hashes.suffixes.get(&Suffix::from_low_bits(0xabc)),
            Some(&None),
            "not a hash: calculate it"
        );
    }
}
