//! Rings by stock `swift-ring-builder`, which reach the machines one after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use ssync_tests::{Chance, Cluster, helper, run_to_end, venv_program};

use crate::disks::Device;

const RING: &str = "object.ring.gz";
const BUILDER: &str = "object.builder";

/// Which devices hold a partition.
pub(crate) type Primaries = BTreeMap<u32, BTreeSet<Device>>;

/// The builder, and who has not got its newest ring yet.
#[derive(Debug)]
pub(crate) struct Rings {
    builder: PathBuf,
    /// Folders of rings; the proxy's is one of them.
    machines: Vec<PathBuf>,
    waiting: Vec<PathBuf>,
    /// By the newest ring.
    pub(crate) primaries: Primaries,
}

impl Rings {
    /// Goes on from the cluster's own builder.
    pub(crate) fn of(cluster: &Cluster) -> Result<Self> {
        let etc = cluster.folder().join("etc");
        let builder = cluster.folder().join("builder");
        fs::create_dir_all(&builder)?;
        for name in [RING, BUILDER] {
            fs::copy(etc.join(name), builder.join(name))?;
        }
        let primaries = primaries(&builder.join(RING))?;
        let nodes = (1..=cluster.size()).map(|number| cluster.node(number).swift_dir().clone());
        Ok(Self { machines: nodes.chain([etc]).collect(), builder, waiting: Vec::new(), primaries })
    }

    /// `swift-ring-builder object.builder COMMAND`.
    pub(crate) fn run(&self, command: &str) -> Result<()> {
        println!("  swift-ring-builder {BUILDER} {command}");
        let file = self.builder.join(BUILDER).display().to_string();
        let arguments: Vec<&str> = [file.as_str()].into_iter().chain(command.split(' ')).collect();
        let output = run_to_end(&venv_program("swift-ring-builder")?, &arguments)?;
        // 1 is a warning: for example that a device has more than its share.
        let good = output.status.code().is_some_and(|code| code < 2);
        ensure!(good, "swift-ring-builder {command}: {}", String::from_utf8_lossy(&output.stdout));
        Ok(())
    }

    /// A new ring, for which all machines wait, in an order of chance.
    pub(crate) fn rebalance(&mut self, chance: &mut Chance) -> Result<()> {
        self.run(&format!("rebalance --seed {}", chance.below(1000)))?;
        self.primaries = primaries(&self.builder.join(RING))?;
        self.waiting = self.machines.clone();
        chance.shuffle(&mut self.waiting);
        Ok(())
    }

    /// One machine gets the newest ring. Whether there was one without it.
    pub(crate) fn give_one(&mut self) -> Result<bool> {
        let Some(machine) = self.waiting.pop() else { return Ok(false) };
        let ring = machine.join(RING);
        // A reader sees the old one or the new one.
        let beside = ring.with_extension("new");
        fs::copy(self.builder.join(RING), &beside)?;
        fs::rename(beside, ring)?;
        Ok(true)
    }

    pub(crate) fn give_all(&mut self) -> Result<()> {
        while self.give_one()? {}
        Ok(())
    }
}

fn primaries(ring: &Path) -> Result<Primaries> {
    let answer: BTreeMap<u32, Vec<(String, String)>> =
        serde_json::from_value(helper("ring_of", &json!({"ring": ring}))?)?;
    let devices = |of: Vec<(String, String)>| {
        of.into_iter().map(|(address, name)| Device::of(&address, &name)).collect::<Result<BTreeSet<_>>>()
    };
    answer.into_iter().map(|(part, of)| Ok((part, devices(of)?))).collect::<Result<_>>().context("a ring")
}
