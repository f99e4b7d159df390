//! `ssync demo` does the main job on data of its own, says so in a table, and leaves nothing behind.

use std::{fs, process::Output};

use anyhow::Result;
use ssync_tests::{as_own_group, ssync_binary};
use tempfile::TempDir;

/// Fewer than by default, enough for every phase.
const OBJECTS: &str = "400";

fn demo(folder: &TempDir, more: &[&str]) -> Result<Output> {
    let mut command = as_own_group(&ssync_binary()?);
    command.args(["demo", "--objects", OBJECTS]).args(more).env("TMPDIR", folder.path());
    // It is for a daemon; taken for each node of the demo, it would have all of them listen at one port.
    command.env("SSYNC_BIND_PORT", "1");
    Ok(command.output()?)
}

fn succeeds_and_leaves_nothing(more: &[&str]) -> Result<()> {
    let folder = TempDir::new()?;
    let output = demo(&folder, more)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\n{complaints}", output.status);
    for word in ["objects", "mb", "seconds", OBJECTS] {
        assert!(said.to_lowercase().contains(word), "{word} is not in the table:\n{said}");
    }
    let left: Vec<_> = fs::read_dir(folder.path())?.flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

#[test]
fn in_one_process() -> Result<()> {
    succeeds_and_leaves_nothing(&[])
}

#[test]
fn with_processes_joined_by_tcp() -> Result<()> {
    succeeds_and_leaves_nothing(&["--split", "tcp"])
}

#[test]
fn with_processes_joined_by_unix_sockets() -> Result<()> {
    succeeds_and_leaves_nothing(&["--split", "unix"])
}

#[test]
fn keeps_its_folder_when_told_to() -> Result<()> {
    let folder = TempDir::new()?;
    let kept = folder.path().join("kept");
    let output = demo(&folder, &["--keep", "--dir", &kept.display().to_string()])?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(kept.join("swift.conf").exists() || kept.join("object.ring.gz").exists(), "nothing was kept");
    Ok(())
}
