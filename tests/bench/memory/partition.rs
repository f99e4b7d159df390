//! One partition with as many objects as are wanted, written straight to a disk.

use std::{fmt::Write as _, fs, io::Write as _, path::Path, thread};

use anyhow::{Context as _, Result};
use md5::{Digest as _, Md5};
use rustix::fs::{XattrFlags, fsetxattr};
use ssync_pickle::Value;

use crate::placement::hash;

/// Two partitions: every other object is in the first, and none in the second.
pub(crate) const PART_POWER: u8 = 1;
/// Threads that write.
const WRITERS: usize = 2;
/// The second of the epoch in which all were written.
const SECOND: u64 = 1_700_000_000;

/// Makes so many objects of one size on a device.
pub(crate) fn make(device: &Path, objects: usize, size: usize) -> Result<()> {
    let partition = device.join("objects/0");
    let body = vec![b'x'; size];
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let count = objects / WRITERS + usize::from(writer < objects % WRITERS);
                let names = (writer..).step_by(WRITERS).map(|number| format!("/AUTH_bench/c/{number:08}"));
                let (partition, body) = (&partition, &body);
                scope.spawn(move || {
                    let ours = names.map(|name| (hash(&name), name)).filter(|(hash, _)| hash[0] < 0x80);
                    let mut made = ours.take(count);
                    made.try_for_each(|(hash, name)| write(partition, hash, &name, body).context(name))
                })
            })
            .collect();
        writers.into_iter().try_for_each(|writer| {
            writer.join().map_err(|_| anyhow::anyhow!("a thread that writes objects panicked"))?
        })
    })
}

/// An object as Swift has it on disk.
fn write(partition: &Path, hash: [u8; 16], name: &str, body: &[u8]) -> Result<()> {
    let (hash, time) = (hex(&hash), format!("{SECOND}.00000"));
    let folder = partition.join(&hash[hash.len() - 3..]).join(&hash);
    fs::create_dir_all(&folder)?;
    let mut file = fs::File::create_new(folder.join(format!("{time}.data")))?;
    file.write_all(body)?;
    let (length, etag) = (body.len().to_string(), hex(&Md5::digest(body)));
    let metadata = [
        ("name", name),
        ("X-Timestamp", &*time),
        ("Content-Type", "text/plain"),
        ("Content-Length", &*length),
        ("ETag", &*etag),
    ];
    let pairs = metadata.iter().map(|(name, value)| (Value::bytes(*name), Value::bytes(*value)));
    let pickle = ssync_pickle::write(&Value::Dict(pairs.collect()));
    fsetxattr(&file, "user.swift.metadata", &pickle, XattrFlags::CREATE)?;
    let checksum = hex(&Md5::digest(&pickle));
    Ok(fsetxattr(&file, "user.swift.metadata_checksum", checksum.as_bytes(), XattrFlags::CREATE)?)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes all that is written to it.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
