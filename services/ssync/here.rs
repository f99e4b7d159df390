//! What is known of the cluster on this node: swift.conf, the rings, and the configuration where there is one.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use ssync_ring::{LocalAddresses, Policy, Ring, RingDevice, SwiftConf};
use ssync_runtime::{BindAddress, Config};
use ssync_tls::Tls;

use crate::{
    cli::DaemonArgs,
    commands::{daemon, running::reachable},
    node,
};

/// Swift's default.
const RECLAIM_AGE_DEFAULT: Duration = Duration::from_secs(7 * 86_400);

/// What is known of the cluster here.
pub(crate) struct Here {
    pub(crate) swift_dir: PathBuf,
    pub(crate) swift: SwiftConf,
    pub(crate) reclaim_age: Duration,
    pub(crate) config: Option<Config>,
    /// This node's certificates, where it has any and we may read them.
    pub(crate) tls: Option<Tls>,
}

impl Here {
    /// By the configuration, or by a folder of swift.conf and rings alone.
    pub(crate) fn find(args: &DaemonArgs, swift_dir: Option<&Path>) -> anyhow::Result<Self> {
        let config = match swift_dir {
            Some(_) => None,
            None => Some(daemon::config(args).context("without an object-server.conf, give --swift-dir")?),
        };
        let swift_dir = match (swift_dir, &config) {
            (Some(dir), _) => dir.to_owned(),
            (None, Some(config)) => config.node.swift_dir.clone(),
            (None, None) => bail!("give --conf or --swift-dir"),
        };
        let swift = SwiftConf::load(&swift_dir).context("swift.conf cannot be used")?;
        let reclaim_age = config.as_ref().map_or(RECLAIM_AGE_DEFAULT, |config| config.node.reclaim_age);
        let tls = config.as_ref().map_or(Ok(None), node::tls).unwrap_or_else(|error| {
            eprintln!("ssync: nodes that take nothing but TLS cannot be asked: {error:#}");
            None
        });
        Ok(Self { swift_dir, swift, reclaim_age, config, tls })
    }

    /// The configuration, of which a command says what it needs it for.
    pub(crate) fn config(&self, purpose: &str) -> anyhow::Result<&Config> {
        self.config.as_ref().with_context(|| format!("{purpose}: give --conf"))
    }

    /// Admin addresses of daemons to ask: those that were named, else this node's.
    pub(crate) fn admins(&self, named: &[BindAddress]) -> Vec<BindAddress> {
        match &self.config {
            _ if !named.is_empty() => named.to_vec(),
            Some(config) => reachable(config.ssync.admin_bind.as_ref()).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// The policies to look into: the one that was named, else all that have a ring.
    pub(crate) fn policies(&self, named: Option<&str>) -> anyhow::Result<Vec<(&Policy, Ring)>> {
        let load = |policy: &Policy| {
            Ring::load(&policy.ring_path(&self.swift_dir))
                .with_context(|| format!("the ring of policy {}", policy.name))
        };
        let Some(named) = named else {
            let all = self.swift.policies().iter();
            let found: Vec<_> = all.filter_map(|policy| Some((policy, load(policy).ok()?))).collect();
            return if found.is_empty() {
                bail!("no ring can be read in {}", self.swift_dir.display())
            } else {
                Ok(found)
            };
        };
        let policies = self.swift.policies();
        let policy = policies
            .iter()
            .find(|policy| policy.index.to_string() == named)
            .or_else(|| policies.by_name(named))
            .with_context(|| format!("swift.conf has no policy {named:?}"))?;
        Ok(vec![(policy, load(policy)?)])
    }

    /// Which devices of the rings are this node's.
    pub(crate) fn own(&self) -> Own {
        Own(self.config.as_ref().and_then(|config| node::own_addresses(config).ok()))
    }
}

/// Which devices are this node's; none of them where there is no configuration.
#[derive(Debug, Clone)]
pub(crate) struct Own(Option<LocalAddresses>);

impl Own {
    /// Whether this one is.
    pub(crate) fn has(&self, device: &RingDevice) -> bool {
        self.0.as_ref().is_some_and(|own| own.replicates(device))
    }
}
