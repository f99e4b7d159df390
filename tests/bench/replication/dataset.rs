//! Objects that are written once for a work and copied for each turn.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
};

use anyhow::{Context as _, Result, ensure};
use ssync_tests::{Cluster, DEVICE, Node, exchange};
use tempfile::TempDir;

use super::swift_like::node_server;
use crate::{
    medium::Medium,
    placement::{PART_POWER, partition},
    processes::{Processes, Role},
};

/// Clients that write at once.
const WRITERS: usize = 4;

/// A device full of objects.
#[derive(Debug)]
pub(crate) struct Dataset {
    _folder: TempDir,
    device: PathBuf,
}

impl Dataset {
    /// Writes so many objects of one size.
    pub(crate) fn make(medium: &Medium, objects: usize, size: usize) -> Result<Self> {
        let cluster = Cluster::of(1)
            .within(medium.folder())
            .part_power(PART_POWER)
            .setting("DEFAULT", "log_level", "INFO")
            .setting("ssync", "durability", "none")
            .build()?;
        let node = cluster.node(1);
        let mut processes = Processes::new(&cluster.folder().join("log"));
        processes.serve(Role::Home, &node_server(node)?, node.address())?;
        put_all(node, 0..objects, size, FIRST)?;
        drop(processes);
        let kept = TempDir::new_in(medium.folder())?;
        let device = kept.path().join(DEVICE);
        fs::rename(node.device(), &device)?;
        Ok(Self { _folder: kept, device })
    }

    /// Where it lies.
    pub(crate) fn device(&self) -> &Path {
        &self.device
    }

    /// Puts a copy in the place of a node's device; it is in the page cache then.
    pub(crate) fn copy_to(&self, node: &Node) -> Result<()> {
        fs::remove_dir_all(node.device())?;
        let copied = Command::new("cp")
            .args(["-a", "--reflink=never"])
            .arg(&self.device)
            .arg(node.device())
            .status()?;
        ensure!(copied.success(), "cp: {copied}");
        Ok(())
    }
}

/// The second of the epoch in which the objects of a data set were written.
const FIRST: u64 = 1_700_000_000;
/// The same of those that are written anew.
pub(crate) const SECOND: u64 = 1_700_100_000;

/// PUTs objects of these numbers to a node, by HTTP.
pub(crate) fn put_all(
    node: &Node,
    numbers: impl Iterator<Item = usize> + Send,
    size: usize,
    second: u64,
) -> Result<()> {
    let numbers = Mutex::new(numbers);
    let next = || numbers.lock().ok()?.next();
    let write = || -> Result<()> {
        while let Some(number) = next() {
            put(node, number, size, second).with_context(|| format!("object {number}"))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(write)).collect();
        writers.into_iter().try_for_each(|writer| {
            writer.join().map_err(|_| anyhow::anyhow!("a thread that writes objects panicked"))?
        })
    })
}

/// What the object of a number is called.
pub(crate) fn object_name(number: usize) -> String {
    format!("/AUTH_bench/c/object-{number:07}")
}

fn put(node: &Node, number: usize, size: usize, second: u64) -> Result<()> {
    let path = object_name(number);
    let mut request = format!(
        "PUT /{DEVICE}/{}{path} HTTP/1.1\r\nHost: node\r\nX-Timestamp: {second}.{:05}\r\n\
         Content-Type: application/octet-stream\r\nX-Object-Meta-Number: {number}\r\nContent-Length: {size}\r\n\
         Connection: close\r\n\r\n",
        partition(&path),
        number % 100_000,
    )
    .into_bytes();
    let head = request.len();
    request.resize(head + size, 0);
    fill(&mut request[head..], number as u64 ^ second);
    let answer = exchange(node.address(), &request)?;
    ensure!(answer.status == 201, "{}: {}", answer.status, answer.text());
    Ok(())
}

/// Bytes that no disk compresses, another in each object.
fn fill(body: &mut [u8], seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for piece in body.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        piece.copy_from_slice(&state.to_le_bytes()[..piece.len()]);
    }
}
