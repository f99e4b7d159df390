//! `ssync replicator`: the push alone, as a daemon or once.

use std::process::ExitCode;

use serde_json::json;
use ssync_replicator::{Overrides, PassStats};
use ssync_runtime::{Config, Inherited, Manners};
use ssync_types::{Partition, PolicyIndex};

use crate::{
    cli::ReplicatorArgs,
    commands::daemon,
    node::{Node, Parts},
    signals::Interruption,
};

/// Runs one pass, or passes until a signal comes.
pub(crate) async fn run(args: &ReplicatorArgs, inherited: Inherited) -> anyhow::Result<ExitCode> {
    let config = daemon::config(&args.daemon)?;
    if args.once || !config.replicator.daemonize {
        return once(args, config).await;
    }
    if overrides(args)?.any() {
        // Swift's own passes over them without a word.
        anyhow::ensure!(args.daemon.as_swift, "--devices, --partitions and --policies need --once");
        eprintln!("ssync: --devices, --partitions and --policies change nothing without --once");
    }
    let manners = if args.daemon.as_swift { Manners::SwiftDaemon } else { Manners::Service };
    daemon::run(&args.daemon, Parts::Replicator, manners, inherited).await
}

async fn once(args: &ReplicatorArgs, mut config: Config) -> anyhow::Result<ExitCode> {
    // A pass by hand may run beside the daemon, which has the address.
    config.ssync.replicator_admin_bind = None;
    let telemetry = daemon::telemetry(&config)?;
    let node = Node::start(config, Parts::Replicator, telemetry.metrics()).await?;
    // A policy without a ring has no jobs, but nobody may take that for success.
    let whole = node.is_ready();
    let stats = pass(&node, &overrides(args)?).await?;
    node.stop().await;
    telemetry.shutdown().await;
    report(&stats, args.json);
    Ok(if whole && stats.complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One pass, which a signal ends at the next object.
async fn pass(node: &Node, overrides: &Overrides) -> anyhow::Result<PassStats> {
    let replicator = node.replicator().ok_or_else(|| anyhow::anyhow!("this process has no replicator"))?;
    let pass = replicator.run_once(overrides, node.drain().token());
    tokio::pin!(pass);
    let mut interruption = Interruption::catch()?;
    tokio::select! {
        stats = &mut pass => return Ok(stats),
        () = interruption.came() => node.drain().begin(),
    }
    Ok(pass.await)
}

fn overrides(args: &ReplicatorArgs) -> anyhow::Result<Overrides> {
    Ok(Overrides {
        devices: args.devices.iter().map(|name| name.parse()).collect::<Result<_, _>>()?,
        partitions: args.partitions.iter().copied().map(Partition::new).collect(),
        policies: args.policies.iter().copied().map(PolicyIndex::new).collect(),
    })
}

fn report(stats: &PassStats, as_json: bool) {
    let figures = json!({
        "partitions": stats.partitions,
        "objects": stats.objects,
        "bytes": stats.bytes,
        "released": stats.released,
        "failures": stats.failure + stats.devices_failed,
        "handoffs_remaining": stats.handoffs_remaining,
        "partitions_outside": stats.partitions_outside,
        "devices_away": stats.devices_away,
        "seconds": stats.elapsed.as_secs_f64(),
    });
    if as_json {
        println!("{figures}");
    }
}
