//! `ssync demo`: the main job on three nodes of its own.
//!
//! Stores objects by HTTP at every primary, as a proxy would; wipes one device and moves another's partitions where they
//! do not belong; replicates; reads every replica back and compares bytes, metadata and suffix hashes.

mod client;
mod damage;
mod dataset;
mod placement;
mod report;
mod verify;

use std::{
    fs,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use ssync_types::Timestamp;

use crate::{
    cli::DemoArgs,
    embedded::{Cluster, ClusterFolder, PassTotals, free_addresses},
    signals::Interruption,
    table::Page,
};
use client::Client;
use dataset::DemoObject;
use placement::Placement;
use report::Report;

const NODES: usize = 3;
/// Passes after which everything must be in its place: one brings it home, one more lets busy peers be asked again.
const PASSES_MAX: usize = 6;

/// Runs the demo. Success is that everything was equal.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let folder = DemoFolder::make(&args)?;
    let cluster_folder = ClusterFolder::make(&folder.path, &free_addresses(NODES)?, args.split)?;
    let placement = Placement::of(&cluster_folder)?;
    let mut interruption = Interruption::catch()?;
    let cluster = Cluster::start(&cluster_folder, args.split).await?;
    let outcome = tokio::select! {
        outcome = phases(&args, &placement, &cluster) => outcome,
        () = interruption.came() => Err(anyhow::anyhow!("interrupted")),
    };
    cluster.stop().await;
    let report = outcome?;
    println!("{}", report.table(Page::stdout()));
    for line in report.differences() {
        println!("not equal: {line}");
    }
    if args.keep {
        println!("Everything is still there: {}", folder.path.display());
    }
    Ok(if report.differences().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn phases(args: &DemoArgs, placement: &Placement, cluster: &Cluster) -> anyhow::Result<Report> {
    let now = Timestamp::from_system_time(SystemTime::now());
    let objects = dataset::objects(args.objects, now)?;
    let mut report = Report::new(objects.len());

    let started = Instant::now();
    let (replicas, bytes) = store(placement, &objects).await?;
    report.phase("store by HTTP", replicas, bytes, started.elapsed());

    let started = Instant::now();
    let damage = damage::damage(placement)?;
    report.phase("wipe and misplace", 0, 0, started.elapsed());
    report.note(format!(
        "Wiped {}; moved {} partitions of {} to {}, where they do not belong.",
        damage.wiped, damage.misplaced_partitions, damage.emptied, damage.misplaced_to
    ));

    let started = Instant::now();
    let totals = replicate(cluster, placement).await?;
    report.phase("replicate", totals.objects, totals.bytes, started.elapsed());

    let started = Instant::now();
    let bar = bar("compare", (objects.len() * 3) as u64);
    let comparison = verify::verify(placement, &objects, &bar).await?;
    bar.finish_and_clear();
    report.phase("read back and compare", comparison.replicas, comparison.bytes, started.elapsed());
    report.compared(&comparison);
    Ok(report)
}

/// Stores each object at each of its primaries, all nodes at once.
async fn store(placement: &Placement, objects: &[DemoObject]) -> anyhow::Result<(u64, u64)> {
    let bar = bar("store", (objects.len() * 3) as u64);
    let stores = placement.devices.iter().map(|device| {
        let bar = bar.clone();
        async move {
            let mut client = Client::connect(device.address).await?;
            let (mut stored, mut bytes) = (0, 0);
            for object in objects {
                let (_, partition) = placement.locate(&object.path);
                if placement.is_primary(device, partition) {
                    client.put(&device.name, partition.get(), object).await?;
                    stored += 1;
                    bytes += object.size as u64;
                    bar.inc(1);
                }
            }
            anyhow::Ok((stored, bytes))
        }
    });
    let done = futures_util::future::try_join_all(stores).await?;
    bar.finish_and_clear();
    Ok(done.iter().fold((0, 0), |(count, size), (stored, bytes)| (count + stored, size + bytes)))
}

/// Runs passes on all nodes until nothing is misplaced and a pass has found nothing to do.
async fn replicate(cluster: &Cluster, placement: &Placement) -> anyhow::Result<PassTotals> {
    let bar = bar("replicate", 0);
    let mut totals = PassTotals::default();
    for _ in 0..PASSES_MAX {
        let pass = cluster.replicate_once(&bar).await?;
        totals.add(&pass);
        if pass.failures == 0 && pass.objects == 0 && damage::misplaced_partitions(placement)?.is_empty() {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(totals)
}

fn bar(what: &'static str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:10} [{bar:40}] {pos}/{len} {per_sec} {eta}");
    let bar = ProgressBar::new(length).with_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The demo's folder, gone with this unless it is to be kept.
struct DemoFolder {
    path: PathBuf,
    keep: bool,
}

impl DemoFolder {
    fn make(args: &DemoArgs) -> anyhow::Result<Self> {
        let path = match &args.dir {
            None => tempfile::Builder::new()
                .prefix("ssync-demo-")
                .tempdir()
                .context("cannot make a temporary folder; name one with --dir")?
                .keep(),
            Some(path) => {
                let path = std::path::absolute(path)?;
                fs::create_dir(&path).with_context(|| {
                    format!("cannot make {}; name a folder that is not there yet", path.display())
                })?;
                path
            }
        };
        Ok(Self { path, keep: args.keep })
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}
