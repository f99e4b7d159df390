//! The binary: reads the command line, starts a runtime, runs one command.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod demo;
mod embedded;
mod node;
mod swift_names;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};

/// The exit code of a configuration that cannot be used (sysexits.h: EX_CONFIG).
const EXIT_CONFIG: u8 = 78;

fn main() -> ExitCode {
    // As Swift's daemons have it, so that files have the same modes whoever wrote them (Swift: common/utils
    // clean_up_daemon_hygiene).
    rustix::process::umask(rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);
    let cli = Cli::parse_from(swift_names::translate(std::env::args_os().collect()));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("cannot start threads")),
    };
    runtime.block_on(run(cli.command)).unwrap_or_else(|error| fail(&error))
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Receiver(args) => commands::receiver::run(&args).await,
        Command::Sidecar(args) => commands::sidecar::run(&args).await,
        Command::Replicator(args) => commands::replicator::run(&args).await,
        Command::Node(args) => commands::node::run(&args).await,
        Command::Dev(args) => commands::dev::run(&args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Config(args) => commands::config::run(&args.command),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("ssync: {error:#}");
    match error.downcast_ref::<ssync_runtime::ConfigError>() {
        Some(_) => ExitCode::from(EXIT_CONFIG),
        None => ExitCode::FAILURE,
    }
}
