//! `ssync dev` prints lines that work as they stand, and what the README says about it is true.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, TcpListener},
    process::{Child, ChildStdout, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use ssync_tests::{as_own_group, repository, ssync_binary, venv_program};
use tempfile::TempDir;

/// The last line of the greeting starts so.
const GREETING_ENDS: &str = "Ctrl-C";
/// Ports that three nodes and their admin services take.
const PORTS: u16 = 40;
/// Where the README says that the first node is.
pub(crate) const README_ADDRESS: &str = "127.0.0.1:6210";
/// Longest that the replicators may take to bring one object to its other primaries.
const REPLICATION_WAIT_MAX: Duration = Duration::from_secs(60);

pub(crate) struct Dev {
    child: Child,
    greeting: Vec<String>,
    _output: BufReader<ChildStdout>,
    _folder: TempDir,
}

impl Dev {
    pub(crate) fn start() -> Result<Self> {
        let folder = TempDir::new()?;
        let base_port = free_ports()?;
        let mut child = as_own_group(&ssync_binary()?)
            .args(["dev", "--base-port", &base_port.to_string(), "--dir"])
            .arg(folder.path().join("dev"))
            .stdout(Stdio::piped())
            .spawn()?;
        let mut output = BufReader::new(child.stdout.take().context("no pipe")?);
        let mut greeting = Vec::new();
        loop {
            let mut line = String::new();
            if output.read_line(&mut line)? == 0 {
                bail!("ssync dev ended: {:?}\n{}", child.wait()?, greeting.join("\n"));
            }
            greeting.push(line.trim().to_owned());
            if line.starts_with(GREETING_ENDS) {
                return Ok(Self { child, greeting, _output: output, _folder: folder });
            }
        }
    }

    /// Where its first node is.
    pub(crate) fn address(&self) -> Result<String> {
        let list =
            self.lines("grpcurl").into_iter().find(|line| line.ends_with(" list")).context("no list")?;
        list.split_whitespace().nth(2).map(str::to_owned).context("no address")
    }

    fn lines(&self, start: &str) -> Vec<&str> {
        self.greeting.iter().map(String::as_str).filter(|line| line.starts_with(start)).collect()
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
    let start = u16::try_from(std::process::id() % 400)? * PORTS + 10_000;
    (0..100)
        .map(|row| start + row * PORTS)
        .take_while(|base| *base < 31_000)
        .find(|base| (*base..base + PORTS).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()))
        .context("no free ports")
}

/// Runs a line as a person would paste it.
fn paste(line: &str) -> Result<String> {
    let output = pasted(line)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    anyhow::ensure!(output.status.success(), "{line}\n{said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(said)
}

/// The same of one that may be refused: all that it prints.
pub(crate) fn paste_any(lines: &str) -> Result<String> {
    let output = pasted(lines)?;
    Ok([output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat())
}

fn pasted(lines: &str) -> Result<Output> {
    let venv = venv_program("grpcurl")?;
    let tools = venv.parent().context("no folder")?.display().to_string();
    let path = format!("{tools}:{}", env::var("PATH")?);
    Ok(Command::new("bash").args(["-c", lines]).env("PATH", path).output()?)
}

#[test]
fn every_line_that_it_prints_works() -> Result<()> {
    let mut dev = Dev::start()?;
    let checks = dev.lines("grpcurl").into_iter().filter(|line| line.contains("MissingCheck")).count();
    assert_eq!(
        (dev.lines("grpcurl").len(), checks, dev.lines("curl").len()),
        (4, 1, 6),
        "{:#?}",
        dev.greeting
    );

    for line in dev.lines("grpcurl") {
        let said = paste(line)?;
        let expected = if line.ends_with("list") { "ssync.v1.ReplicationService" } else { "\"wants\"" };
        assert!(said.contains(expected), "{line}\n{said}");
    }
    for line in dev.lines("curl").into_iter().filter(|line| line.contains("/metrics")) {
        assert!(paste(line)?.contains("# TYPE"), "{line}");
    }
    let put = dev.lines("curl -i -X PUT");
    assert!(paste(put[0])?.starts_with("HTTP/1.1 201"), "{put:?}");
    let gets: Vec<&str> = dev.lines("curl -i http");
    assert!(gets.len() == 2, "{gets:?}");
    for line in gets {
        let started = Instant::now();
        while !paste(line)?.starts_with("HTTP/1.1 200") {
            assert!(started.elapsed() < REPLICATION_WAIT_MAX, "{line}: {}", paste(line)?);
            thread::sleep(Duration::from_millis(500));
        }
        assert!(paste(line)?.ends_with("Hello, Swift"), "{line}");
    }

    kill_process(Pid::from_child(&dev.child), Signal::INT)?;
    let status = dev.child.wait()?;
    assert!(status.success(), "an interrupt ended it with {status}");
    Ok(())
}

#[test]
fn sigterm_ends_it_in_order_too() -> Result<()> {
    let mut dev = Dev::start()?;
    kill_process(Pid::from_child(&dev.child), Signal::TERM)?;
    let status = dev.child.wait()?;
    assert!(status.success(), "SIGTERM ended it with {status}");
    Ok(())
}

/// The README's grpcurl blocks, with the placeholders filled in from the line that `ssync dev` prints.
#[test]
fn what_the_readme_says_to_ask_is_answered() -> Result<()> {
    let dev = Dev::start()?;
    let check =
        dev.lines("grpcurl").into_iter().find(|line| line.contains("MissingCheck")).context("no check")?;
    let after = |text: &str, mark: &str| -> Result<String> {
        let rest = text.split(mark).nth(1).with_context(|| format!("no {mark} in {text}"))?;
        Ok(rest.trim_start_matches('"').chars().take_while(char::is_ascii_alphanumeric).collect())
    };
    let (partition, hash) = (after(check, ",\"partition\":")?, after(check, "\"objectHash\":")?);
    let device = after(check, "\"device\":")?;
    let address = after(check, "127.0.0.1:").map(|port| format!("127.0.0.1:{port}"))?;

    let readme = fs::read_to_string(repository().join("README.md"))?;
    let blocks: Vec<&str> =
        readme.split("```").filter(|block| block.trim_start().starts_with("grpcurl")).collect();
    assert_eq!(blocks.len(), 2, "{blocks:#?}");
    for block in blocks {
        let line = block
            .trim()
            .replace(README_ADDRESS, &address)
            .replace("\"d1\"", &format!("\"{device}\""))
            .replace("PARTITION", &partition)
            .replace("HASH", &hash);
        let said = paste(&line)?;
        let answers =
            said.contains("ssync.v1.ReplicationService") || (said.contains("wants") && said.contains(&hash));
        assert!(answers, "{line}\n{said}");
    }
    Ok(())
}
