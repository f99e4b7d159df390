//! `ssync receiver`: the receiver alone.

use std::process::ExitCode;

use crate::{cli::DaemonArgs, commands::daemon, node::Parts};

/// Serves until a signal comes.
pub(crate) async fn run(args: &DaemonArgs) -> anyhow::Result<ExitCode> {
    daemon::run(args, Parts::Receiver).await
}
