//! The processes of this node that can be told something: one with all parts, or a receiver and a replicator by themselves.

use std::{collections::BTreeSet, time::Duration};

use anyhow::bail;
use ssync_api::admin::{ControlledLimit, ListLimitsRequest, control_service_client::ControlServiceClient};
use ssync_runtime::BindAddress;
use tonic::{Code, transport::Channel};

use crate::{
    cli::RunningArgs,
    commands::{
        daemon,
        running::{NotThere, addresses, endpoint, refused},
    },
};

/// How long a daemon may take to be found.
const FIND_WAIT_MAX: Duration = Duration::from_secs(3);

/// One of them.
pub(crate) struct Daemon {
    pub(crate) client: ControlServiceClient<Channel>,
    pub(crate) address: BindAddress,
    /// What it has: its limits as they were when it was found.
    pub(crate) limits: Vec<ControlledLimit>,
}

impl Daemon {
    async fn at(address: BindAddress) -> anyhow::Result<Self> {
        let channel = endpoint(&address)?.connect().await?;
        let mut client = ControlServiceClient::new(channel);
        let look = tokio::time::timeout(FIND_WAIT_MAX, client.list_limits(ListLimitsRequest {})).await;
        let limits = match look {
            Ok(Ok(answer)) => answer.into_inner().limits,
            Ok(Err(status)) if status.code() == Code::Unimplemented => {
                bail!("the process there has no receiver and no replicator")
            }
            Ok(Err(status)) => return Err(refused(&status)),
            Err(_) => bail!("it does not answer in {FIND_WAIT_MAX:?}"),
        };
        Ok(Self { client, address, limits })
    }

    fn has(&self, part: &str) -> bool {
        self.limits.iter().any(|limit| limit.part == part)
    }

    pub(crate) fn has_receiver(&self) -> bool {
        self.has("receiver")
    }

    pub(crate) fn has_replicator(&self) -> bool {
        self.has("replicator")
    }
}

/// Whom a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Whoever answers.
    Any,
    /// One that receives.
    Receiver,
    /// One that replicates.
    Replicator,
}

impl Need {
    fn is_met(self, daemons: &[Daemon]) -> bool {
        match self {
            Self::Any => !daemons.is_empty(),
            Self::Receiver => daemons.iter().any(Daemon::has_receiver),
            Self::Replicator => daemons.iter().any(Daemon::has_replicator),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Any => "daemon",
            Self::Receiver => "receiver",
            Self::Replicator => "replicator",
        }
    }
}

/// All that answer at the address that was given, or at those of the configuration.
pub(crate) async fn find(args: &RunningArgs, need: Need) -> anyhow::Result<Vec<Daemon>> {
    if let Some(address) = &args.admin {
        let unreachable = |error| NotThere(format!("{address} cannot be told anything: {error:#}"));
        let found = vec![Daemon::at(address.clone()).await.map_err(unreachable)?];
        return match need.is_met(&found) {
            true => Ok(found),
            false => bail!(NotThere(format!("no {} runs in the process at {address}", need.name()))),
        };
    }
    let (mut seen, mut found, mut tried) = (BTreeSet::new(), Vec::new(), Vec::new());
    for address in addresses(&daemon::config(&args.daemon)?) {
        if !seen.insert(address.to_string()) {
            continue;
        }
        tried.push(address.to_string());
        found.extend(Daemon::at(address).await.ok());
    }
    if !need.is_met(&found) {
        let at = tried.join(" or ");
        bail!(NotThere(format!("no {} answers at {at}; start one, or give --admin", need.name())));
    }
    Ok(found)
}
