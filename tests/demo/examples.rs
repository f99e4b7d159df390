//! What examples/README.md says to type works: each client pushes to `ssync dev` as it is written.

use std::{env, fs, path::PathBuf, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use ssync_tests::{repository, ssync_binary};
use tempfile::TempDir;

use crate::dev::{Dev, README_ADDRESS, paste_any};

/// The blocks of the page that are commands.
fn blocks(text: &str) -> Vec<&str> {
    text.split("```\n").skip(1).step_by(2).collect()
}

/// Where the clients were built; cargo's lies beside the binary under test.
fn built() -> PathBuf {
    env::var_os("SSYNC_EXAMPLES").map_or_else(|| repository().join("target/examples"), PathBuf::from)
}

#[test]
fn every_client_pushes_as_the_page_says() -> Result<()> {
    let text = fs::read_to_string(repository().join("examples/README.md"))?;
    let blocks = blocks(&text);
    let [builds, push] = blocks.as_slice() else { anyhow::bail!("{} blocks of commands", blocks.len()) };
    let dev = Dev::start()?;
    let folder = TempDir::new()?;
    let clients: Vec<&str> = builds.lines().filter_map(|line| line.split("/build ").nth(1)).collect();
    ensure!(clients.len() == 5, "{clients:?}");
    let rust = ssync_binary()?.with_file_name("examples").display().to_string();
    let places =
        clients.into_iter().map(|place| (place, built().join(place.rsplit('/').next().unwrap_or(place))));
    for (place, program) in places.chain([("target/release/examples", PathBuf::from(rust))]) {
        if !program.join("push").exists() {
            ensure!(env::var_os("SSYNC_NO_SKIPS").is_none(), "{} was not built", program.display());
            eprintln!("skipped: {} was not built", program.display());
            continue;
        }
        let commands = push
            .replace("target/examples/python/push", &program.join("push").display().to_string())
            .replace(README_ADDRESS, &dev.address()?);
        // Each brings an object of its own.
        let own = place.replace('/', "-");
        let commands = commands.replace("cats/tom", &format!("cats/{own}"));
        let commands = format!("cd {} && rm -rf photos\n{commands}", folder.path().display());
        let said = paste_until(&commands, "\"pushed\": 1")?;
        assert!(said.contains(&format!("/AUTH_dev/cats/{own}")), "{commands}\n{said}");
        let again = commands.lines().last().context("no command")?;
        paste_until(&format!("cd {} && {again}", folder.path().display()), "\"equal\": 1")?;
    }
    Ok(())
}

/// Pastes until it says so, however JSON is spaced: the node's own replicator may hold the partition meanwhile.
fn paste_until(commands: &str, wanted: &str) -> Result<String> {
    let mut said = String::new();
    for _ in 0..5 {
        said = paste_any(commands)?;
        if said.replace(": ", ":").contains(&wanted.replace(": ", ":")) {
            return Ok(said);
        }
        thread::sleep(Duration::from_secs(1));
    }
    anyhow::bail!("{commands}\ndid not say {wanted}:\n{said}")
}
