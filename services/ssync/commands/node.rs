//! `ssync node`: a whole node in one process.

use std::process::ExitCode;

use ssync_runtime::{Inherited, Manners};

use crate::{cli::NodeArgs, commands::daemon, node::Parts};

/// Serves until it is told to go.
pub(crate) async fn run(args: &NodeArgs, inherited: Inherited) -> anyhow::Result<ExitCode> {
    let manners = if args.worker.is_some() { Manners::SwiftWorker } else { Manners::Service };
    daemon::run(&args.daemon, args.parts(), manners, inherited).await
}

impl NodeArgs {
    /// What of a node was asked for.
    pub(crate) fn parts(&self) -> Parts {
        Parts::Node { with_replicator: !self.no_replicator }
    }
}
