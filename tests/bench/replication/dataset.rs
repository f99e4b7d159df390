//! Objects that are written once for a work and copied for each turn.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use ssync_tests::{Cluster, DEVICE, Node, as_own_group, exchange, ssync_binary};
use tempfile::TempDir;

use super::{processes::Processes, work::Work};
use crate::placement::{PART_POWER, partition};

/// Clients that write at once.
const WRITERS: usize = 4;

/// A device full of objects.
#[derive(Debug)]
pub(crate) struct Dataset {
    _folder: TempDir,
    device: PathBuf,
}

impl Dataset {
    /// Writes the objects of a work.
    pub(crate) fn make(folder: &Path, work: &Work) -> Result<Self> {
        let cluster = Cluster::of(1)
            .within(folder)
            .part_power(PART_POWER)
            .setting("DEFAULT", "log_level", "INFO")
            .setting("ssync", "durability", "none")
            .build()?;
        let node = cluster.node(1);
        let mut processes = Processes::new(cluster.folder().join("log/dataset.log"));
        let mut server = as_own_group(&ssync_binary()?);
        server.args(["node", "--no-replicator", "--conf"]).arg(node.conf());
        processes.serve(&mut server, node.address())?;
        put_all(node, work)?;
        drop(processes);
        let kept = TempDir::new_in(folder)?;
        let device = kept.path().join(DEVICE);
        fs::rename(node.device(), &device)?;
        Ok(Self { _folder: kept, device })
    }

    /// Puts a copy in the place of a node's device.
    pub(crate) fn copy_to(&self, node: &Node) -> Result<()> {
        fs::remove_dir_all(node.device())?;
        let copied = Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .arg(&self.device)
            .arg(node.device())
            .status()?;
        ensure!(copied.success(), "cp: {copied}");
        Ok(())
    }
}

fn put_all(node: &Node, work: &Work) -> Result<()> {
    let next = AtomicUsize::new(0);
    let write = || -> Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= work.objects {
                return Ok(());
            }
            put(node, number, work.size).with_context(|| format!("object {number}"))?;
        }
    };
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(write)).collect();
        writers.into_iter().try_for_each(|writer| {
            writer.join().map_err(|_| anyhow::anyhow!("a thread that writes objects panicked"))?
        })
    })
}

fn put(node: &Node, number: usize, size: usize) -> Result<()> {
    let path = format!("/AUTH_bench/c/object-{number:07}");
    let mut request = format!(
        "PUT /{DEVICE}/{}{path} HTTP/1.1\r\nHost: node\r\nX-Timestamp: 1700000000.{:05}\r\n\
         Content-Type: application/octet-stream\r\nX-Object-Meta-Number: {number}\r\nContent-Length: {size}\r\n\
         Connection: close\r\n\r\n",
        partition(&path),
        number % 100_000,
    )
    .into_bytes();
    let head = request.len();
    request.resize(head + size, 0);
    fill(&mut request[head..], number as u64);
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
