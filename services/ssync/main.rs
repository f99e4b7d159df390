//! The binary: reads the command line, starts a runtime, runs one command.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod demo;
mod embedded;
mod node;
mod object;
mod on_demand;
mod signals;
mod stdio;
mod swift_names;
mod user;

use std::{process::ExitCode, time::Duration};

use clap::Parser as _;
use tokio::runtime::Runtime;

use cli::{Cli, Command};

/// The exit code of a configuration that cannot be used (sysexits.h: EX_CONFIG).
const EXIT_CONFIG: u8 = 78;
/// How long threads have, after the command, to end what they are doing.
const THREADS_WAIT_MAX: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    // As Swift's daemons have it, so that files have the same modes whoever wrote them (Swift: common/utils
    // clean_up_daemon_hygiene).
    rustix::process::umask(rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);
    let cli = Cli::parse_from(swift_names::translate(std::env::args_os().collect()));
    if let Err(error) = become_daemon(&cli.command) {
        return fail(&error);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("cannot start threads")),
    };
    run_to_its_end(runtime, run(cli.command)).unwrap_or_else(|error| fail(&error))
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

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Receiver(args) => commands::receiver::run(&args).await,
        Command::Sidecar(args) => commands::sidecar::run(&args).await,
        Command::Replicator(args) => commands::replicator::run(&args).await,
        Command::Node(args) => commands::node::run(&args).await,
        Command::Dev(args) => commands::dev::run(&args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Push(args) => commands::push::run(&args).await,
        Command::Plan(args) => commands::plan::run(&args).await,
        Command::Status(args) => commands::status::run(&args).await,
        Command::Object(args) => Ok(commands::object::run(&args).await),
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

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

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
