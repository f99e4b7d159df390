//! One pass of a replicator, stock or ours.

use std::{fs, path::Path, process::Output};

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::{
    node::{Node, swift_arguments},
    tools::{run_to_end, ssync_binary, venv_program},
};

/// Who replicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replicator {
    /// `swift-object-replicator CONF once -v` as Swift ships it, with `sync_method = ssync`.
    Stock,
    /// `ssync replicator --conf CONF --once`.
    Ssync,
    /// The binary under test, called by Swift's name.
    SsyncByLink,
}

/// What a pass left behind.
#[derive(Debug)]
pub struct Pass {
    /// Whether it ended well.
    pub success: bool,
    /// All that it said.
    pub log: String,
    /// `replication_stats` of the recon cache: attempted, failure, hashmatch, rsync, success, suffix_sync, ...
    pub stats: Value,
}

impl Pass {
    /// A count of `replication_stats`.
    ///
    /// # Panics
    ///
    /// When the pass left no such count.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        let count = self.stats.get(name).and_then(Value::as_u64);
        assert!(count.is_some(), "no {name} in the recon cache: {}\n{}", self.stats, self.log);
        count.unwrap_or_default()
    }

    /// Fails unless it ended well and counted no failure.
    ///
    /// # Panics
    ///
    /// That is how it fails.
    pub fn assert_success(&self) {
        assert!(self.success, "the pass failed:\n{}", self.log);
        assert_eq!(self.count("failure"), 0, "the pass counted failures:\n{}", self.log);
    }
}

impl Node {
    /// Runs one pass over the node's device and waits for its end.
    pub fn replicate(&self, replicator: Replicator) -> Result<Pass> {
        self.replicate_with(replicator, &[])
    }

    /// Runs one of stock Swift's daemons on this node once, to its end: `swift-object-updater`, `swift-object-reconstructor`,
    /// `swift-object-auditor`, `swift-object-expirer`. Fails when it ends badly; returns what it said.
    pub fn run_stock(&self, program: &str, more: &[&str]) -> Result<String> {
        let conf = match program {
            "swift-object-expirer" => self.swift_dir.join("object-expirer.conf"),
            "swift-container-updater" => self.swift_dir.join("container-server.conf"),
            _ => self.conf.clone(),
        };
        let arguments = swift_arguments(&self.swift_dir, program, &conf);
        let head: Vec<&str> = arguments.iter().map(String::as_str).chain(["once"]).collect();
        let output = run(&venv_program("python")?, &head, more)?;
        let log =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        eprintln!("--- {program} on node {} ({})\n{log}", self.number, output.status);
        ensure!(output.status.success(), "{program}: {}: {log}", output.status);
        Ok(log)
    }

    /// The same with more arguments, for example `--partitions 3`.
    pub fn replicate_with(&self, replicator: Replicator, more: &[&str]) -> Result<Pass> {
        let recon = self.recon.join("object.recon");
        let _ = fs::remove_file(&recon);
        let conf = self.conf.display().to_string();
        let output = match replicator {
            Replicator::Stock => {
                let arguments = swift_arguments(&self.swift_dir, "swift-object-replicator", &self.conf);
                let head: Vec<&str> = arguments.iter().map(String::as_str).chain(["once"]).collect();
                run(&venv_program("python")?, &head, more)
            }
            Replicator::Ssync => run(&ssync_binary()?, &["replicator", "--conf", &conf, "--once"], more),
            Replicator::SsyncByLink => {
                run(&self.link("swift-object-replicator")?, &[&conf, "once", "-v"], more)
            }
        }?;
        let log =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        eprintln!("--- a pass of {replicator:?} on node {} ({})\n{log}", self.number, output.status);
        let cache: Value = match fs::read(&recon) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(_) => Value::Null,
        };
        let stats = cache.get("replication_stats").cloned().unwrap_or_default();
        Ok(Pass { success: output.status.success(), log, stats })
    }
}

fn run(program: &Path, head: &[&str], more: &[&str]) -> Result<Output> {
    let arguments: Vec<&str> = head.iter().chain(more).copied().collect();
    run_to_end(program, &arguments)
}
