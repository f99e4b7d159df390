//! What every daemon does: read its configuration, start telemetry and its parts, serve until told to stop.

use std::{path::Path, process::ExitCode, sync::Arc};

use ssync_runtime::{
    Config, ConfigError, Drained, FlagSetting, Inherited, Layers, Manners, Signals, Telemetry,
    TelemetryOptions, notify,
};

use crate::{
    cli::DaemonArgs,
    exit::{self, Exit, Refused},
    manager,
    node::{End, Node, Parts, Read, Surroundings},
    stdio,
};

/// The configuration: file, then `SSYNC_*` variables, then flags.
pub(crate) fn config(args: &DaemonArgs) -> anyhow::Result<Config> {
    let mut flags = args.overrides.clone();
    if args.verbose {
        flags.push(FlagSetting {
            option: "log_level".to_owned(),
            value: "DEBUG".to_owned(),
            flag: "--verbose".to_owned(),
        });
    }
    Ok(resolve(Layers::from_environment().with_flags(flags), &args.conf)?)
}

/// What a file says, and nothing else.
pub(crate) fn config_of_file(conf: &Path) -> anyhow::Result<Config> {
    Ok(resolve(Layers::default(), conf)?)
}

fn resolve(layers: Layers, conf: &Path) -> Result<Config, ConfigError> {
    Config::resolve(&layers.with_file(conf)?)
}

/// Logging, traces and metrics of a process.
pub(crate) fn telemetry(config: &Config) -> anyhow::Result<Telemetry> {
    let options = TelemetryOptions {
        service_name: "ssync",
        version: env!("CARGO_PKG_VERSION"),
        log_format: config.ssync.log_format,
        log_level: config.node.log_level,
        trace_objects: config.ssync.trace_objects,
    };
    let telemetry = Telemetry::start(&options)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok(telemetry)
}

/// Serves until it is told to go and everything has drained.
pub(crate) async fn run(
    args: &DaemonArgs,
    parts: Parts,
    manners: Manners,
    inherited: Inherited,
) -> anyhow::Result<ExitCode> {
    let config = config(args)?;
    let telemetry = telemetry(&config)?;
    // Before anybody is told that it serves.
    let mut signals = Signals::catch(manners).map_err(|source| Refused { what: "signals", source })?;
    notify::status("starting");
    let surroundings = Surroundings {
        metrics: telemetry.metrics().clone(),
        log_filter: Some(telemetry.log_filter().clone()),
        inherited,
    };
    let Some(node) = Node::start_in(surroundings, config, parts, signals.end()).await? else {
        tracing::info!("told to go before it served");
        telemetry.shutdown().await;
        return Ok(exit::OK.into());
    };
    node.run_replicator();
    let _watchdog = node.watchdog().map_err(|source| Refused { what: "threads", source })?;
    notify::ready(node.state());
    if manners == Manners::SwiftWorker {
        manager::tell_ready()?;
    }
    if args.as_swift && !args.verbose {
        stdio::let_go_of_pipes()?;
    }
    let args = args.clone();
    let read: Read = Arc::new(move || self::config(&args));
    let end = node.until_told(signals, telemetry.log_filter(), read).await;
    telemetry.shutdown().await;
    Ok(code(end).into())
}

fn code(end: End) -> Exit {
    match end {
        End::Told(Drained::Clean) => exit::OK,
        End::Told(_) => exit::UNFINISHED,
        End::Fault => exit::SOFTWARE,
    }
}
