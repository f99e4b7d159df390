//! `ssync conformance`: does a receiver keep the contract?

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use ssync_ring::{Ring, SwiftConf};
use ssync_store::{RemoteSettings, StoreAddress};
use ssync_types::{DeviceName, HashPathConfig, Partition, PartitionRef, PolicyIndex};

use crate::{
    commands::running::NotThere,
    conformance::{Disk, Place, Player, Vector, Verdict, all},
};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Args)]
pub(crate) struct ConformanceArgs {
    /// The receiver, HOST:PORT or unix:/PATH
    #[arg(required_unless_present = "list")]
    pub address: Option<String>,
    /// A device of it that may be written to: objects of the account .ssync-conformance are stored and deleted there, and their
    /// tombstones stay until they are reclaimed
    #[arg(long, short, required_unless_present = "list")]
    pub device: Option<DeviceName>,
    /// A partition there
    #[arg(long, short, default_value_t = 0)]
    pub partition: u32,
    /// A replication policy, by its index in swift.conf
    #[arg(long, short = 'i', default_value_t = 0)]
    pub policy: u32,
    /// The folder of swift.conf and the rings: for what the next three say
    #[arg(long, value_name = "DIR", conflicts_with_all = ["hash_prefix", "hash_suffix", "part_power"])]
    pub swift_dir: Option<std::path::PathBuf>,
    /// swift_hash_path_prefix of the receiver's swift.conf
    #[arg(long, default_value = "")]
    pub hash_prefix: String,
    /// swift_hash_path_suffix of the receiver's swift.conf
    #[arg(long, default_value = "")]
    pub hash_suffix: String,
    /// The part power of the policy's ring
    #[arg(long, required_unless_present_any = ["swift_dir", "list"], value_parser = clap::value_parser!(u32).range(0..=32))]
    pub part_power: Option<u32>,
    /// The receiver's folder of devices, where this command sees it: the files are compared, too
    #[arg(long, value_name = "DIR")]
    pub disk: Option<std::path::PathBuf>,
    /// Only the vectors whose names begin so
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Name the vectors, and play none
    #[arg(long)]
    pub list: bool,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Plays the vectors; exits 0 when all passed, 1 when some did not.
pub(crate) async fn run(args: &ConformanceArgs) -> anyhow::Result<ExitCode> {
    let wanted =
        |vector: &Vector| args.only.is_empty() || args.only.iter().any(|name| vector.name.starts_with(name));
    let vectors: Vec<Vector> = all()?.into_iter().filter(wanted).collect();
    anyhow::ensure!(!vectors.is_empty(), "no vector's name begins with {:?}; --list names them", args.only);
    if args.list {
        list(args, &vectors);
        return Ok(ExitCode::SUCCESS);
    }
    let mut player = begin(args).await?;
    let mut failed = 0;
    for vector in &vectors {
        let verdict = player.play(vector).await;
        failed += usize::from(!verdict.differences.is_empty());
        show(args, &verdict);
    }
    let tombstones = player.clear_away().await;
    finish(args, vectors.len(), failed, &tombstones);
    let clean = failed == 0 && tombstones.is_ok();
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn begin(args: &ConformanceArgs) -> anyhow::Result<Player> {
    let (Some(address), Some(device)) = (&args.address, &args.device) else {
        anyhow::bail!("an address and --device are needed");
    };
    let at = if address.contains(':') && !address.contains("://") && !address.starts_with("unix:") {
        format!("http://{address}")
    } else {
        address.clone()
    };
    let (salt, part_power) = placement(args)?;
    let partition = PartitionRef {
        device: device.clone(),
        partition: Partition::new(args.partition),
        policy: PolicyIndex::new(args.policy),
        fragment: None,
    };
    if !args.json {
        println!("Writes to {partition} at {address}: objects of /.ssync-conformance, deleted in the end.");
    }
    let settings = RemoteSettings { connect_timeout: CONNECT_TIMEOUT, ..RemoteSettings::default() };
    let channel = settings.channel(&at.parse::<StoreAddress>()?)?;
    let disk = args.disk.clone().map(|devices| Disk { devices });
    Player::begin(channel, Place { partition, part_power, salt }, disk)
        .await
        .map_err(|error| anyhow::Error::new(NotThere(format!("{error:#}"))))
}

/// The salt of hashes, and the part power.
fn placement(args: &ConformanceArgs) -> anyhow::Result<(HashPathConfig, u32)> {
    let Some(folder) = &args.swift_dir else {
        let part_power = args.part_power.context("--part-power is needed")?;
        return Ok((HashPathConfig::new(args.hash_prefix.as_str(), args.hash_suffix.as_str())?, part_power));
    };
    let ring = match args.policy {
        0 => "object.ring.gz".to_owned(),
        index => format!("object-{index}.ring.gz"),
    };
    let salt = SwiftConf::load(folder)?.hash_path().clone();
    Ok((salt, Ring::load(&folder.join(ring))?.part_power()))
}

fn list(args: &ConformanceArgs, vectors: &[Vector]) {
    if args.json {
        for vector in vectors {
            println!("{}", json!({"name": vector.name, "says": vector.says}));
        }
        return;
    }
    let width = vectors.iter().map(|vector| vector.name.len()).max().unwrap_or_default();
    for Vector { name, says, .. } in vectors {
        println!("{name:width$}  {says}");
    }
}

fn show(args: &ConformanceArgs, verdict: &Verdict) {
    let Verdict { name, says, differences, took } = verdict;
    let passed = differences.is_empty();
    if args.json {
        let seconds = took.as_secs_f64();
        println!(
            "{}",
            json!({"name": name, "says": says, "passed": passed, "differences": differences, "seconds": seconds})
        );
        return;
    }
    println!("{} {name}", if passed { "pass" } else { "FAIL" });
    if !passed {
        println!("     {says}");
    }
    for difference in differences {
        println!("     * {difference}");
    }
}

fn finish(args: &ConformanceArgs, count: usize, failed: usize, tombstones: &anyhow::Result<usize>) {
    let left = tombstones.as_ref().copied().unwrap_or_default();
    if args.json {
        let problem = tombstones.as_ref().err().map(|error| format!("{error:#}"));
        println!("{}", json!({"vectors": count, "failed": failed, "tombstones": left, "problem": problem}));
        return;
    }
    println!("{} of {count} vectors passed.", count - failed);
    match tombstones {
        Ok(left) => println!("{left} tombstones stay until the receiver reclaims them (reclaim_age)."),
        Err(error) => println!("Not cleared away: {error:#}"),
    }
}
