//! `ssync node`: a whole node in one process.

use std::process::ExitCode;

use crate::{cli::NodeArgs, commands::daemon, node::Parts};

/// Serves until a signal comes.
pub(crate) async fn run(args: &NodeArgs) -> anyhow::Result<ExitCode> {
    daemon::run(&args.daemon, Parts::Node { with_replicator: !args.no_replicator }).await
}
