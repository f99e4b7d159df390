//! The binary: reads the command line, starts a runtime, runs one command.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod conformance;
mod control;
mod demo;
mod embedded;
mod examples;
mod exit;
mod figures;
mod here;
mod log_level;
mod manager;
mod moves;
mod node;
mod object;
mod on_demand;
#[cfg(test)]
mod operations;
mod partition;
mod signals;
mod status_page;
mod stdio;
mod swift_names;
mod table;
mod user;
mod verify;

use std::{process::ExitCode, time::Duration};

use clap::FromArgMatches as _;
use ssync_runtime::Inherited;
use tokio::runtime::Runtime;

use cli::{Cli, Command};
use exit::Refused;

/// How long threads have, after the command, to end what they are doing.
const THREADS_WAIT_MAX: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    // As Swift's daemons have it, so that files have the same modes whoever wrote them (Swift: common/utils
    // clean_up_daemon_hygiene).
    rustix::process::umask(rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);
    let args: Vec<_> = std::env::args_os().collect();
    swift_names::call_by_path(&args);
    let cli = examples::command().get_matches_from(swift_names::translate(args));
    let cli = Cli::from_arg_matches(&cli).unwrap_or_else(|error| error.exit());
    begin(cli.command).unwrap_or_else(|error| fail(&error))
}

fn begin(command: Command) -> anyhow::Result<ExitCode> {
    become_daemon(&command)?;
    let inherited = match command.daemon() {
        // While there is one thread.
        Some(_) => Inherited::from_environment()?,
        None => Inherited::default(),
    };
    if let Command::Node(args) = &command
        && args.daemon.as_swift
    {
        match args.worker {
            None => return manager::run(args, inherited),
            Some(id) => manager::follow_manager(id)?,
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| Refused { what: "threads", source })?;
    run_to_its_end(runtime, run(command, inherited))
}

/// Runs a command. A thread that hangs in a disk does not keep the process once the command has ended; what a kill may
/// break off, this may (rule S8).
fn run_to_its_end<T>(runtime: Runtime, command: impl Future<Output = T>) -> T {
    let end = runtime.block_on(command);
    runtime.shutdown_timeout(THREADS_WAIT_MAX);
    end
}

/// Daemons serve with the configured niceness, as the configured user. The configuration is read again by the one who
/// serves.
fn become_daemon(command: &Command) -> anyhow::Result<()> {
    let Some((args, is_replicator)) = command.daemon() else { return Ok(()) };
    let config = commands::daemon::config(args)?;
    // Root may take what others may only give away, so this comes first.
    user::set_niceness(&config, is_replicator);
    match rustix::process::geteuid().is_root() {
        true => user::give_up_root(&config, is_replicator),
        false => Ok(()),
    }
}

async fn run(command: Command, inherited: Inherited) -> anyhow::Result<ExitCode> {
    match command {
        Command::Receiver(args) => commands::receiver::run(&args, inherited).await,
        Command::Sidecar(args) => commands::sidecar::run(&args, inherited).await,
        Command::Replicator(args) => commands::replicator::run(&args, inherited).await,
        Command::Node(args) => commands::node::run(&args, inherited).await,
        Command::Dev(args) => commands::dev::run(&args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Push(args) => commands::push::run(&args).await,
        Command::Plan(args) => commands::plan::run(&args).await,
        Command::Status(args) => commands::status::run(&args).await,
        Command::Top(args) => commands::top::run(&args).await,
        Command::WhySlow(args) => commands::why_slow::run(&args).await,
        Command::Pause(args) => commands::pause::pause(&args).await,
        Command::Resume(args) => commands::pause::resume(&args).await,
        Command::Drain(args) => commands::drain::run(&args).await,
        Command::Limits(args) => commands::limits::run(&args).await,
        Command::Errors(args) => commands::errors::run(&args).await,
        Command::Object(args) => Ok(commands::object::run(&args).await),
        Command::Verify(args) => Ok(commands::verify::run(&args).await),
        Command::Partition(args) => Ok(commands::partition::run(&args).await),
        Command::Conformance(args) => commands::conformance::run(&args).await,
        Command::Config(args) => commands::config::run(&args.command),
        Command::Man(args) => commands::man::run(&args),
        Command::Completions(args) => {
            commands::completions::print(args.shell)?;
            Ok(exit::OK.into())
        }
        Command::LogLevel(args) => commands::log_level::run(&args).await,
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("ssync: {}", told(error));
    exit::of(error).into()
}

/// An error and its causes; what a cause says that was said already is not said again.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.contains(&cause) {
        true => told,
        false if told.is_empty() => cause,
        false => format!("{told}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow::anyhow!("no such file")
            .context("it cannot be read: no such file")
            .context("the configuration");
        assert_eq!(told(&error), "the configuration: it cannot be read: no such file");
    }

    #[test]
    fn a_thread_that_hangs_does_not_keep_the_process() {
        let (ended, end) = mpsc::channel();
        let (_never, hang) = mpsc::channel::<()>();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
            let end = run_to_its_end(runtime, async {
                tokio::task::spawn_blocking(move || hang.recv());
                7
            });
            ended.send(end)
        });
        assert_eq!(end.recv_timeout(3 * THREADS_WAIT_MAX), Ok(7));
    }
}
