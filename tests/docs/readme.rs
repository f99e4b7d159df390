//! What the README has a newcomer do with `ssync dev`: an object is stored and replicated, a device goes away, is noticed, explained and
//! put back.

use std::{
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, TcpListener},
    process::{Child, ChildStdout, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use ssync_tests::{as_own_group, ssync_binary};
use tempfile::TempDir;

use crate::{
    accounts::{By, account},
    commands::{Command, all},
    scene::Scene,
};

/// Longest that a command may take to print what the README says.
const PRINTS_WITHIN: Duration = Duration::from_secs(60);
/// Ports that `ssync dev` takes.
const PORTS: u16 = 40;
/// The first of those that the README speaks of.
const README_PORT: u16 = 6210;

struct Dev {
    child: Child,
    port: u16,
    folder: TempDir,
    _output: BufReader<ChildStdout>,
}

impl Dev {
    fn start() -> Result<Self> {
        let (folder, port) = (TempDir::new()?, free_ports()?);
        let mut child = as_own_group(&ssync_binary()?)
            .args(["dev", "--base-port", &port.to_string(), "--dir"])
            .arg(folder.path().join("ssync-dev"))
            .stdout(Stdio::piped())
            .spawn()?;
        let mut output = BufReader::new(child.stdout.take().context("no pipe")?);
        let mut line = String::new();
        while !line.starts_with("Ctrl-C") {
            line.clear();
            if output.read_line(&mut line)? == 0 {
                bail!("ssync dev ended: {:?}", child.wait()?);
            }
        }
        Ok(Self { child, port, folder, _output: output })
    }

    fn scene(&self) -> Result<Scene> {
        let ports: Vec<(String, String)> = (0..3)
            .flat_map(|node| [10 * node, 10 * node + 1])
            .map(|more| {
                (format!("127.0.0.1:{}", README_PORT + more), format!("127.0.0.1:{}", self.port + more))
            })
            .collect();
        let folder = self.folder.path().join("ssync-dev").display().to_string();
        let own = [("ssync-dev", folder), ("target/release/ssync", "ssync".to_owned())];
        let pairs = ports.iter().map(|(written, here)| (written.as_str(), here.clone())).chain(own);
        Scene::new(&pairs.collect::<Vec<_>>(), &[])
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A row of ports that nothing listens at, below those that the kernel hands out.
fn free_ports() -> Result<u16> {
    // Above those of tests/demo.
    let start = 27_000 + u16::try_from(std::process::id() % 100)? * PORTS;
    (0..40)
        .map(|row| start + row * PORTS)
        .find(|base| (*base..base + PORTS).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()))
        .context("no free ports")
}

/// The first line of the page that is not in its place; `...` stands for anything, and blanks for blanks.
fn missing<'a>(said: &str, prints: &'a str) -> Option<&'a str> {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = words(said);
    let mut rest = said.as_str();
    for line in prints.lines().filter(|line| !line.trim().is_empty()) {
        for part in line.split("...").map(words).filter(|part| !part.is_empty()) {
            let Some(at) = rest.find(&part) else { return Some(line) };
            rest = &rest[at + part.len()..];
        }
    }
    None
}

fn give(scene: &Scene, command: &Command) -> Result<()> {
    let started = Instant::now();
    let prints = scene.here(command.prints.as_deref().unwrap_or_default());
    loop {
        let said = scene.give(&command.text)?;
        let Some(line) = missing(&said.text, &prints) else { return Ok(()) };
        ensure!(
            started.elapsed() < PRINTS_WITHIN,
            "{}\ndoes not say {line:?}:\n{}",
            command.place(),
            said.text
        );
        thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn a_device_goes_away_and_comes_back() -> Result<()> {
    let ours = |command: &Command| {
        command.document == "README.md" && matches!(account("README.md", &command.text), Some((_, By::Dev)))
    };
    let commands: Vec<Command> = all().into_iter().filter(ours).collect();
    ensure!(commands.iter().filter(|command| command.prints.is_some()).count() >= 4, "{commands:#?}");
    let dev = Dev::start()?;
    let scene = dev.scene()?;
    commands.iter().try_for_each(|command| give(&scene, command))
}

#[test]
fn what_it_prints_is_compared_line_by_line() {
    assert_eq!(missing("a  b c\nd e", "a b ...\nd ..."), None);
    assert_eq!(missing("d e\na b", "a b\nd e"), Some("d e"));
}
