//! What a run that failed says: all that it knows on the way, and what decides in few lines at the very end, since a log is
//! often cut down to them.

use std::{collections::BTreeSet, env, fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};
use ssync_tests::{Server, Shape};

use crate::{
    ledger::Ledger,
    scene::{BY_RSYNC, NODES, Scene},
    survey::Survey,
};

/// Lines of a list that are shown at the end.
const SHOWN_MAX: usize = 4;
/// Longest of these lines.
const LINE_CHARS_MAX: usize = 600;
/// Complaints of one node's replicator.
const COMPLAINTS_MAX: usize = 25;
/// What a replicator's complaints have in them.
const COMPLAINS: [&str; 4] = ["ERROR", "WARN", "rror syncing", "Unable to lock"];

/// Prints everything that may explain what is wrong, and returns the most of it that a short message holds. A folder named by
/// `UPHEAVAL_KEEP` gets a copy of the cluster.
pub(crate) fn tell(scene: &Scene, ledger: Option<&Ledger>, wrong: &[String]) -> String {
    wrong.iter().for_each(|line| println!("  WRONG {line}"));
    for number in 1..=NODES {
        println!("  node {number} is {}", who(scene, number));
        complaints(scene, number).iter().for_each(|line| println!("    {line}"));
    }
    if let Some(ledger) = ledger {
        match Survey::of(scene.cluster(), ledger) {
            Ok(survey) => survey.faults(ledger).iter().for_each(|fault| println!("  FAULT {fault}")),
            Err(error) => println!("  no survey: {error:#}"),
        }
    }
    if let Err(error) = keep(scene) {
        println!("  nothing is kept: {error:#}");
    }
    let nodes: Vec<String> = (1..=NODES).map(|number| format!("{number} {}", who(scene, number))).collect();
    format!("{}\nnodes: {}", shortened(wrong), nodes.join("; "))
}

/// The beginning of a list.
fn shortened(lines: &[String]) -> String {
    let cut = |line: &String| line.chars().take(LINE_CHARS_MAX).collect::<String>();
    let mut shown: Vec<String> = lines.iter().take(SHOWN_MAX).map(cut).collect();
    if lines.len() > SHOWN_MAX {
        shown.push(format!("and {} more", lines.len() - SHOWN_MAX));
    }
    shown.join("\n")
}

/// Who serves a node, and how it pushes.
fn who(scene: &Scene, number: u8) -> String {
    match scene.server_of(number) {
        Server::Stock if BY_RSYNC.contains(&number) => "stock, by rsync".to_owned(),
        Server::Stock => "stock, by ssync".to_owned(),
        ours => format!("{ours:?}"),
    }
}

/// What a node's replicator has complained of last, each kind of thing once.
fn complaints(scene: &Scene, number: u8) -> Vec<String> {
    let program = match scene.server_of(number) {
        Server::Stock => "swift-object-replicator",
        Server::Ssync(Shape::OneProcess) => "ssync-node",
        _ => "ssync-replicator",
    };
    let log = scene.cluster().folder().join("log").join(format!("{number}-{program}.log"));
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let mut known = BTreeSet::new();
    let complains = |line: &&str| COMPLAINS.iter().any(|word| line.contains(word));
    // Times differ where the rest does not.
    let kind = |line: &str| line.chars().filter(|char| !char.is_ascii_digit()).collect::<String>();
    let last = text.lines().rev().filter(complains).filter(|line| known.insert(kind(line)));
    let mut last: Vec<String> = last.take(COMPLAINTS_MAX).map(str::to_owned).collect();
    last.reverse();
    last
}

fn keep(scene: &Scene) -> Result<()> {
    let Some(folder) = env::var_os("UPHEAVAL_KEEP").map(PathBuf::from) else { return Ok(()) };
    fs::create_dir_all(&folder)?;
    let copied =
        Command::new("cp").arg("-a").arg(scene.cluster().folder()).arg(&folder).status().context("cp")?;
    ensure!(copied.success(), "cp: {copied}");
    println!("  the cluster is kept in {}", folder.display());
    Ok(())
}
