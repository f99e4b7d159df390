//! Reads ring files, of versions 1 and 2 (Swift: common/ring/ring.py deserialize_v1 and _v2, common/ring/io.py).

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use flate2::read::GzDecoder;
use serde::Deserialize;

use crate::{REPLICAS_MAX, Ring, RingError, assignments::Row, device::FileDevices, ring::Parts};

mod v2;

/// Largest ring that is read, in bytes once decompressed: three replicas of 2^26 partitions.
pub const RING_BYTES_MAX: u64 = 512 << 20;

const MAGIC: &[u8] = b"R1NG";

impl Ring {
    /// Reads a ring file.
    pub fn load(path: &Path) -> Result<Self, RingError> {
        let failed = |source| RingError::Io { path: path.to_owned(), source };
        Self::read(path, File::open(path).map_err(failed)?)
    }

    /// Reads the content of a ring file; `path` stands for it in errors.
    pub(crate) fn read(path: &Path, file: impl io::Read) -> Result<Self, RingError> {
        let bad = |problem| RingError::File { path: path.to_owned(), problem };
        let mut bytes = Vec::new();
        match GzDecoder::new(file).take(RING_BYTES_MAX + 1).read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof) => {
                return Err(bad("it is cut short".to_owned()));
            }
            Err(error)
                if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) =>
            {
                return Err(bad(format!("it is no gzip file, or damaged ({error})")));
            }
            Err(source) => return Err(RingError::Io { path: path.to_owned(), source }),
        }
        if bytes.len() as u64 > RING_BYTES_MAX {
            return Err(bad(format!("it has more than {RING_BYTES_MAX} bytes")));
        }
        parse(&bytes).and_then(Self::of).map_err(bad)
    }
}

pub(crate) fn parse(bytes: &[u8]) -> Result<Parts, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin with R1NG")?;
    match rest {
        [0, 1, body @ ..] => parse_v1(body),
        [0, 2, ..] => v2::parse(bytes),
        [a, b, ..] => Err(format!("its version is {}, and 1 and 2 are known", u16::from_be_bytes([*a, *b]))),
        _ => Err("it is cut short".to_owned()),
    }
}

/// What a v1 ring says about itself.
#[derive(Deserialize)]
struct V1 {
    devs: FileDevices,
    part_shift: u32,
    replica_count: usize,
    byteorder: Option<String>,
    version: Option<u64>,
    next_part_power: Option<u32>,
}

fn parse_v1(body: &[u8]) -> Result<Parts, String> {
    let (length, rest) = body.split_first_chunk().ok_or("it is cut short")?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|error| error.to_string())?;
    let (json, table) = rest.split_at_checked(length).ok_or("it is cut short")?;
    let ring: V1 =
        serde_json::from_slice(json).map_err(|error| format!("its description is damaged: {error}"))?;
    let number = match ring.byteorder.as_deref() {
        Some("big") => u16::from_be_bytes,
        // A file that does not say was written in the byte order of some machine, and those are all little-endian now.
        Some("little") | None => u16::from_le_bytes,
        Some(other) => return Err(format!("its byte order is {other:?}")),
    };
    let part_power = part_power(ring.part_shift)?;
    let rows = rows(table, part_power, 2, |row| Row::narrow(row, number))?;
    // A share of a replica that is less than one partition of a small ring is counted, but has no row.
    let is_whole = rows.last().is_some_and(|row| row.len() as u64 == 1 << part_power);
    if rows.len() != ring.replica_count && !(is_whole && rows.len() + 1 == ring.replica_count) {
        return Err(format!(
            "it has {} of {} replicas; the file may be cut short",
            rows.len(),
            ring.replica_count
        ));
    }
    let devices = ring.devs.by_number()?;
    Ok(Parts { devices, rows, part_power, next_part_power: ring.next_part_power, version: ring.version })
}

fn part_power(part_shift: u32) -> Result<u32, String> {
    32_u32
        .checked_sub(part_shift)
        .ok_or_else(|| format!("its part shift is {part_shift}, and 32 is the most"))
}

/// Cuts the table of assignments into rows, of which the last may be short.
fn rows(table: &[u8], part_power: u32, width: usize, row: impl Fn(&[u8]) -> Row) -> Result<Vec<Row>, String> {
    let row_bytes =
        usize::try_from((1_u64 << part_power) * width as u64).map_err(|error| error.to_string())?;
    if !table.len().is_multiple_of(width) || table.len().div_ceil(row_bytes) > REPLICAS_MAX {
        return Err(format!(
            "its table of assignments has {} bytes, which no number of replicas has",
            table.len()
        ));
    }
    Ok(table.chunks(row_bytes).map(row).collect())
}
