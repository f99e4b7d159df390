//! `ssync sidecar`: the sidecar alone.

use std::process::ExitCode;

use ssync_runtime::{Inherited, Manners};

use crate::{cli::DaemonArgs, commands::daemon, node::Parts};

/// Serves until it is told to go.
pub(crate) async fn run(args: &DaemonArgs, inherited: Inherited) -> anyhow::Result<ExitCode> {
    daemon::run(args, Parts::Sidecar, Manners::Service, inherited).await
}
