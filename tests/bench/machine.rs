//! What it was measured on and with.

use std::{fmt, fs, path::PathBuf, process::Command, thread};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use ssync_tests::{repository, venv_program};

use crate::records::{Measurement, Out, Records};

/// Says what machine this is, and what the media are.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folders that are measured on.
    #[arg(long, required = true, value_delimiter = ',')]
    dir: Vec<PathBuf>,
    #[command(flatten)]
    out: Out,
}

/// A machine at a time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    lines: Vec<String>,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "* {line}"))
    }
}

/// Looks, and says it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut lines = vec![
        format!(
            "{}, commit {}",
            said("date", &["-u", "+%F"])?,
            said("git", &["rev-parse", "--short", "HEAD"])?
        ),
        hardware()?,
        format!("{}; {}", swift()?, said("rsync", &["--version"])?),
    ];
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    for folder in &options.dir {
        let folder = fs::canonicalize(folder).with_context(|| folder.display().to_string())?;
        // The longest mount point that it lies below.
        let mount = mounts
            .lines()
            .filter(|line| line.split(' ').nth(1).is_some_and(|point| folder.starts_with(point)))
            .max_by_key(|line| line.split(' ').nth(1).map_or(0, str::len));
        let words: Vec<&str> = mount.unwrap_or_default().split(' ').collect();
        if let [device, _, kind, with, ..] = words[..] {
            let device = device.trim_start_matches("/dev/");
            lines.push(format!("{kind}: {device}, {with}"));
        }
    }
    Records::open(&options.out)?.add(&Measurement::Machine(Machine { lines }))
}

fn hardware() -> Result<String> {
    let line = |path: &str, name: &str| -> Result<String> {
        let text = fs::read_to_string(path)?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
        Ok(value.map(|(_, value)| value.trim().to_owned()).unwrap_or_default())
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = fs::read_to_string("/proc/loadavg")?;
    Ok(format!(
        "{} x {}, {} of memory, Linux {}, load before {}",
        thread::available_parallelism()?,
        line("/proc/cpuinfo", "model name")?,
        line("/proc/meminfo", "MemTotal")?,
        kernel.trim(),
        load.split(' ').next().unwrap_or_default(),
    ))
}

fn swift() -> Result<String> {
    let python = venv_program("python")?;
    let version = "import importlib.metadata as m, platform; \
                   print('Swift', m.version('swift'), 'on Python', platform.python_version())";
    said(&python.display().to_string(), &["-c", version])
}

/// The first line of what a program says.
fn said(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).current_dir(repository()).output();
    let output = output.with_context(|| format!("{program} cannot be run"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "))
}
