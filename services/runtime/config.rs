//! Typed configuration from Swift's own `object-server.conf`, an `[ssync]` section, `SSYNC_*` variables and flags.

mod change;
mod mistake;
mod options;
mod pipeline;
mod resolve;
mod sample;
#[cfg(test)]
mod tests;
mod value;

use std::{collections::BTreeSet, path::Path};

pub use change::Change;
pub use mistake::{ConfigError, Mistake};
pub use options::{
    BackendRatelimitOptions, HealthcheckOptions, NodeOptions, OptionSpec, ReconOptions, ReplicatorOptions,
    Scope, ServerOptions, SsyncOptions, TABLES,
};
pub use pipeline::Filter;
pub use resolve::{FlagSetting, Layers, Origin, Row};
pub use sample::sample;
pub use ssync_conf::Reserve;
pub use value::{
    CredentialPath, DurabilityOption, ExpirerDivisor, FileMode, LogFormat, LogLevel, OptionValue,
    StatsdLabelMode, SyncMethod,
};

use ssync_conf::Conf;

use pipeline::Pipeline;
use resolve::{ENVIRONMENT_PREFIX, ENVIRONMENT_RESERVED, Reader, View};

/// What the names of labels begin with that the operator adds to metrics (Swift: common/statsd_client.py).
const USER_LABEL_PREFIX: &str = "statsd_user_label_";

/// Everything that the daemons of a node are told.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What every daemon reads, as the object server sees it.
    pub node: NodeOptions,
    /// The object server's own.
    pub server: ServerOptions,
    /// What stands before the object server, in the order that a request meets it.
    pub pipeline: Vec<Filter>,
    /// The object server's health check.
    pub healthcheck: HealthcheckOptions,
    /// What swift-recon asks.
    pub recon: ReconOptions,
    /// The limit on requests into a device.
    pub backend_ratelimit: BackendRatelimitOptions,
    /// Labels of every metric of the object server that has labels (`statsd_user_label_NAME`).
    pub statsd_user_labels: Vec<(String, String)>,
    /// What every daemon reads, as the replicator sees it.
    pub replicator_node: NodeOptions,
    /// The replicator's own.
    pub replicator: ReplicatorOptions,
    /// What this program adds.
    pub ssync: SsyncOptions,
    /// Each option with its value and where that comes from, in the order of the table. An option of every daemon comes
    /// once as `DEFAULT`, or once for each daemon when they see different values.
    pub rows: Vec<Row>,
    /// What was accepted but looks wrong.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads every option from its strongest layer. Fails with all mistakes at once.
    pub fn resolve(layers: &Layers) -> Result<Self, ConfigError> {
        let pipeline = Pipeline::of(layers.conf.as_ref())?;
        let views = Views::of(&pipeline, layers.conf.as_ref())?;
        let mut server_reader = Reader::new(layers, &views.server);
        let mut healthcheck_reader = Reader::new(layers, &views.healthcheck);
        let mut recon_reader = Reader::new(layers, &views.recon);
        let mut ratelimit_reader = Reader::new(layers, &views.backend_ratelimit);
        let mut replicator_reader = Reader::new(layers, &views.replicator);
        let mut ssync_reader = Reader::new(layers, &views.ssync);

        let node = NodeOptions::read(&mut server_reader);
        let server_node_rows = std::mem::take(&mut server_reader.rows);
        let replicator_node = NodeOptions::read(&mut replicator_reader);
        let replicator_node_rows = std::mem::take(&mut replicator_reader.rows);
        let server = ServerOptions::read(&mut server_reader);
        let healthcheck = HealthcheckOptions::read(&mut healthcheck_reader);
        let recon = ReconOptions::read(&mut recon_reader);
        let backend_ratelimit = BackendRatelimitOptions::read(&mut ratelimit_reader);
        let replicator = ReplicatorOptions::read(&mut replicator_reader);
        let ssync = SsyncOptions::read(&mut ssync_reader);

        let mut rows = join(server_node_rows, replicator_node_rows);
        let mut mistakes = strangers(&layers.flags);
        let mut warnings = unknown(layers, &views.ssync);
        warnings.extend(pipeline.warnings);
        for reader in [
            server_reader,
            healthcheck_reader,
            recon_reader,
            ratelimit_reader,
            replicator_reader,
            ssync_reader,
        ] {
            rows.extend(reader.rows);
            add_new(&mut mistakes, reader.mistakes, |a, b| a.origin == b.origin && a.name == b.name);
            add_new(&mut warnings, reader.warnings, PartialEq::eq);
        }
        let (
            Some(node),
            Some(server),
            Some(healthcheck),
            Some(recon),
            Some(backend_ratelimit),
            Some(replicator_node),
            Some(replicator),
            Some(ssync),
            true,
        ) = (
            node,
            server,
            healthcheck,
            recon,
            backend_ratelimit,
            replicator_node,
            replicator,
            ssync,
            mistakes.is_empty(),
        )
        else {
            return Err(ConfigError::Mistakes(mistakes));
        };
        warnings.extend(replicator.warnings(&rows));
        Ok(Self {
            node,
            server: server.with_old_names(&mut rows),
            pipeline: pipeline.filters,
            healthcheck,
            recon,
            backend_ratelimit,
            statsd_user_labels: user_labels(&views.server),
            replicator_node,
            replicator: replicator.with_old_names(&mut rows),
            ssync,
            rows,
            warnings,
        })
    }

    /// The row of one option, by the section that reads it and its name.
    #[must_use]
    pub fn row(&self, section: &str, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.section == section && row.name == name)
    }
}

impl Layers {
    /// Only the variables of this process.
    #[must_use]
    pub fn from_environment() -> Self {
        let ours = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX))
            .collect();
        Self { environment: ours, ..Self::default() }
    }

    /// With a configuration file, or the `*.conf` files of a directory.
    pub fn with_file(mut self, path: &Path) -> Result<Self, ConfigError> {
        self.conf = Some(Conf::load(path)?);
        Ok(self)
    }

    /// With settings from the command line.
    #[must_use]
    pub fn with_flags(mut self, flags: impl IntoIterator<Item = FlagSetting>) -> Self {
        self.flags.extend(flags);
        self
    }
}

/// The file as each reader sees it.
struct Views {
    server: View,
    healthcheck: View,
    recon: View,
    backend_ratelimit: View,
    replicator: View,
    ssync: View,
}

impl Views {
    fn of(pipeline: &Pipeline, conf: Option<&Conf>) -> Result<Self, ConfigError> {
        let view = |scope| View::of(scope, pipeline.section(scope), conf);
        Ok(Self {
            server: view(Scope::Server)?,
            healthcheck: view(Scope::Healthcheck)?,
            recon: view(Scope::Recon)?,
            backend_ratelimit: view(Scope::BackendRatelimit)?,
            replicator: view(Scope::Replicator)?,
            ssync: view(Scope::Ssync)?,
        })
    }
}

fn user_labels(server: &View) -> Vec<(String, String)> {
    let label = |(name, entry): (&str, &ssync_conf::Entry)| {
        let name = name.strip_prefix(USER_LABEL_PREFIX)?;
        Some((name.to_owned(), entry.value().to_owned()))
    };
    server.names().filter_map(label).collect()
}

/// Names that Swift once had, and still reads where the new name is not set.
impl ServerOptions {
    fn with_old_names(self, rows: &mut [Row]) -> Self {
        let names = ["replication_one_per_device", "replication_concurrency_per_device"];
        match self.replication_one_per_device.map(u32::from) {
            Some(count) if takes_over(rows, Scope::Server, names, |_| count.to_string()) => {
                Self { replication_concurrency_per_device: count, ..self }
            }
            _ => self,
        }
    }
}

impl ReplicatorOptions {
    /// What Swift's replicator would do otherwise, or warns of itself.
    fn warnings(&self, rows: &[Row]) -> Vec<String> {
        let set = |name: &str| {
            let is = |row: &&Row| row.section == Scope::Replicator.section() && row.name == name;
            rows.iter().find(is).map(|row| &row.origin).filter(|origin| **origin != Origin::Default)
        };
        let mut warnings = Vec::new();
        if let (SyncMethod::Rsync, Some(origin)) = (self.sync_method, set("sync_method")) {
            warnings.push(format!(
                "{origin}: [object-replicator] sync_method = rsync: this replicator never pushes by rsync; it pushes by gRPC, \
                 and by SSYNC to nodes that are stock Swift"
            ));
        }
        match (set("run_pause"), set("interval")) {
            (Some(origin), Some(_)) => warnings.push(format!(
                "{origin}: [object-replicator] run_pause changes nothing: interval is set, which takes its place"
            )),
            (Some(origin), None) => warnings
                .push(format!("{origin}: [object-replicator] run_pause is deprecated; name it interval")),
            (None, _) => {}
        }
        warnings
    }

    fn with_old_names(self, rows: &mut [Row]) -> Self {
        match self.run_pause {
            Some(interval)
                if takes_over(rows, Scope::Replicator, ["run_pause", "interval"], str::to_owned) =>
            {
                Self { interval, ..self }
            }
            _ => self,
        }
    }
}

/// Lets the old one of two names speak for the new one, if nobody has set that; its row says so.
fn takes_over(rows: &mut [Row], scope: Scope, [old, new]: [&str; 2], value: impl Fn(&str) -> String) -> bool {
    let is = |row: &Row, name: &str| row.section == scope.section() && row.name == name;
    let Some(old) = rows.iter().find(|row| is(row, old)).cloned() else { return false };
    let Some(new) = rows.iter_mut().find(|row| is(row, new) && row.origin == Origin::Default) else {
        return false;
    };
    new.value = value(&old.value);
    new.origin = old.origin;
    true
}

/// Rows that both daemons agree on become one.
fn join(server: Vec<Row>, replicator: Vec<Row>) -> Vec<Row> {
    let mut rows = Vec::with_capacity(server.len());
    for (seen_by_server, seen_by_replicator) in server.into_iter().zip(replicator) {
        if seen_by_server.value == seen_by_replicator.value
            && seen_by_server.origin == seen_by_replicator.origin
        {
            rows.push(Row { section: Scope::Node.section(), ..seen_by_server });
        } else {
            rows.extend([seen_by_server, seen_by_replicator]);
        }
    }
    rows
}

fn add_new<T>(list: &mut Vec<T>, more: Vec<T>, same: impl Fn(&T, &T) -> bool) {
    for item in more {
        if !list.iter().any(|known| same(known, &item)) {
            list.push(item);
        }
    }
}

/// Every address that an option can be set by from outside of the file.
fn known_addresses() -> BTreeSet<String> {
    let views = [Scope::Server, Scope::Replicator];
    TABLES
        .iter()
        .flat_map(|table| table.iter())
        .flat_map(|spec| match spec.scope {
            Scope::Node => views.iter().flat_map(|view| resolve::addresses(spec, *view)).collect::<Vec<_>>(),
            scope => resolve::addresses(spec, scope),
        })
        .collect()
}

/// Flags that set nothing: nobody types those on purpose.
fn strangers(flags: &[FlagSetting]) -> Vec<Mistake> {
    let known = known_addresses();
    let stranger = |setting: &&FlagSetting| !known.contains(&setting.option);
    flags
        .iter()
        .filter(stranger)
        .map(|setting| Mistake {
            origin: Origin::Flag(setting.flag.clone()),
            section: "command line".to_owned(),
            name: setting.option.clone(),
            problem: "no such option; `ssync config show` lists them all".to_owned(),
        })
        .collect()
}

/// Names that are ours by section or prefix and that no option has. Swift's own sections hold options of many programs, so
/// nothing is unknown there.
fn unknown(layers: &Layers, ssync: &View) -> Vec<String> {
    let options: BTreeSet<&str> = SsyncOptions::TABLE.iter().map(|spec| spec.name).collect();
    let lines = ssync
        .names()
        .filter(|(name, _)| !options.contains(name))
        .map(|(name, entry)| format!("{}: [ssync] has no option {name:?}", entry.origin()));
    let variables: BTreeSet<String> =
        known_addresses().iter().map(|address| resolve::variable(address)).collect();
    let strange = layers
        .environment
        .keys()
        .filter(|name| name.starts_with(ENVIRONMENT_PREFIX))
        .filter(|name| !variables.contains(*name) && !ENVIRONMENT_RESERVED.contains(&name.as_str()))
        .map(|name| format!("${name} sets no option"));
    lines.chain(strange).collect()
}
