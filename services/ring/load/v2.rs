//! Rings of version 2: sections, and an index of them at the end.

use std::collections::HashMap;

use serde::{Deserialize, de::DeserializeOwned};

use super::{part_power, rows};
use crate::{assignments::Row, checksum::verify, device::FileDevices, ring::Parts};

/// Bytes of a length or an offset.
const NUMBER: usize = 8;
/// Longest index that is read, in bytes. Swift's own has three or four sections.
const INDEX_BYTES_MAX: usize = 1 << 20;

/// Where a section is: compressed start, start, compressed end, end, kind of checksum, checksum.
type Entry = (u64, u64, u64, u64, String, String);

/// What the section of metadata says.
#[derive(Deserialize)]
struct Metadata {
    part_shift: u32,
    dev_id_bytes: usize,
    replica_count: f64,
    version: Option<u64>,
    next_part_power: Option<u32>,
}

/// The file was decompressed from its beginning, so sections are found by their place in the whole, and a ring that
/// somebody compressed again is read as well.
pub(super) fn parse(bytes: &[u8]) -> Result<Parts, String> {
    let sections = Sections::of(bytes)?;
    let metadata: Metadata = sections.json("swift/ring/metadata")?;
    let devices = sections.json::<FileDevices>("swift/ring/devices")?.by_number()?;
    let table = sections.get("swift/ring/assignments")?;
    let part_power = part_power(metadata.part_shift)?;
    let rows = match metadata.dev_id_bytes {
        2 => rows(table, part_power, 2, |row| Row::narrow(row, u16::from_be_bytes))?,
        4 => rows(table, part_power, 4, Row::wide)?,
        other => return Err(format!("its device numbers have {other} bytes, and 2 and 4 are known")),
    };
    if rows.len() as f64 != metadata.replica_count.ceil() {
        return Err(format!("it has {} of {} replicas", rows.len(), metadata.replica_count));
    }
    Ok(Parts {
        devices,
        rows,
        part_power,
        next_part_power: metadata.next_part_power,
        version: metadata.version,
    })
}

struct Sections<'a> {
    bytes: &'a [u8],
    index: HashMap<String, Entry>,
}

impl<'a> Sections<'a> {
    /// The last numbers of the file are where its index begins: in the whole, and in the compressed file.
    fn of(bytes: &'a [u8]) -> Result<Self, String> {
        let tail =
            bytes.len().checked_sub(2 * NUMBER).and_then(|at| bytes.get(at..)).ok_or("it is cut short")?;
        let start = usize::try_from(number(tail)?).map_err(|error| error.to_string())?;
        let index = bytes.get(start..).ok_or("its index lies beyond its end")?;
        let length = usize::try_from(number(index)?).map_err(|error| error.to_string())?;
        if length > INDEX_BYTES_MAX {
            return Err(format!("its index has {length} bytes, and {INDEX_BYTES_MAX} is the most"));
        }
        let json = index.get(NUMBER..).and_then(|rest| rest.get(..length)).ok_or("its index is cut short")?;
        let index = serde_json::from_slice(json).map_err(|error| format!("its index is damaged: {error}"))?;
        Ok(Self { bytes, index })
    }

    /// The content of a section. Its checksum covers its length, too.
    fn get(&self, name: &str) -> Result<&'a [u8], String> {
        let (_, start, _, end, method, checksum) =
            self.index.get(name).ok_or_else(|| format!("it has no {name}"))?;
        let within = |problem: String| format!("{name}: {problem}");
        let place = |at: &u64| usize::try_from(*at).map_err(|error| within(error.to_string()));
        let section =
            self.bytes.get(place(start)?..place(end)?).ok_or_else(|| within("it is cut short".to_owned()))?;
        verify(method, checksum, section).map_err(within)?;
        let content = section.get(NUMBER..).unwrap_or_default();
        if number(section)? != content.len() as u64 {
            return Err(within("its length is not what the index says".to_owned()));
        }
        Ok(content)
    }

    fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, String> {
        serde_json::from_slice(self.get(name)?).map_err(|error| format!("{name}: it is damaged: {error}"))
    }
}

/// The number at the beginning of these bytes.
fn number(bytes: &[u8]) -> Result<u64, String> {
    bytes.first_chunk().map(|digits| u64::from_be_bytes(*digits)).ok_or_else(|| "it is cut short".to_owned())
}
