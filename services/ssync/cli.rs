//! The command line.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand, ValueEnum};
use ssync_runtime::{BindAddress, FlagSetting};

use crate::{commands::conformance::ConformanceArgs, exit};

fn setting(text: &str) -> Result<FlagSetting, &'static str> {
    FlagSetting::parse("--set", text).ok_or("there is no =")
}

fn interval(text: &str) -> Result<f64, &'static str> {
    let seconds: f64 = text.parse().map_err(|_| "that is no number")?;
    (0.1..=3600.0).contains(&seconds).then_some(seconds).ok_or("it has to be from 0.1 to 3600 seconds")
}

/// OpenStack Swift's object replication as a gRPC service.
#[derive(Debug, Parser)]
#[command(name = "ssync", version, about, after_help = exit::help(), max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve this node's disks by gRPC
    Receiver(DaemonArgs),
    /// Serve Swift's HTTP object API, REPLICATE and SSYNC, translated to a receiver
    Sidecar(DaemonArgs),
    /// Push what peers lack
    Replicator(ReplicatorArgs),
    /// Receiver, sidecar and replicator in one process
    Node(NodeArgs),
    /// Push one partition now, and watch
    Push(PushArgs),
    /// What a pass would push and remove, or what another ring would move: changes nothing
    Plan(PlanArgs),
    /// Whether this node is in sync; what is pending, until when, and what holds it up
    Status(StatusArgs),
    /// The same again and again, until interrupted
    Top(TopArgs),
    /// Where the workers' time goes: why replication is not faster, and what to do
    WhySlow(WhySlowArgs),
    /// Push nothing for a while, from the node or from some devices; what is pending stays known
    Pause(PauseArgs),
    /// Push again, and admit again into devices that were drained
    Resume(ResumeArgs),
    /// Take devices out of replication in order, and wait for the end; without one: the node, until a restart
    Drain(DrainArgs),
    /// How many at a time, and for how long; set: another value for a while
    Limits(LimitsArgs),
    /// What could not be brought where it belongs, why, and what to do; --retry: try again now
    Errors(ErrorsArgs),
    /// Where an object is, and what is wrong with it; exit 0 when nothing is, 1 when something is
    Object(ObjectArgs),
    /// A partition's state on every replica, and what is wrong with it; exit 0 when nothing is, 1 when something is
    Partition(PartitionArgs),
    /// Whether the safety rules S1 to S6 hold on this node, by looking alone; exit 0 when nothing is wrong, 1 when something is
    Verify(VerifyArgs),
    /// Start three nodes on loopback, with a ring and devices of their own, until interrupted
    Dev(DevArgs),
    /// Store, damage, replicate and compare on three nodes of its own; exit 0 when all is equal
    Demo(DemoArgs),
    /// Does a receiver keep the contract? Writes to a device of it; exit 0 when it does, 1 when not
    Conformance(ConformanceArgs),
    /// Look at the configuration
    Config(ConfigArgs),
    /// What a running daemon logs; with a level: log that from now on
    LogLevel(LogLevelArgs),
    /// Print what a shell needs to complete this command line
    Completions(CompletionsArgs),
    /// The manual: a page for each command, into a folder
    Man(ManArgs),
}

/// What every daemon takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct DaemonArgs {
    /// Swift's object-server.conf, a file or a conf.d directory
    #[arg(long, value_name = "FILE", env = "SSYNC_CONF", default_value = "/etc/swift/object-server.conf")]
    pub conf: PathBuf,
    /// Set an option over the file and the environment, for example --set replication_concurrency=8
    #[arg(long = "set", value_name = "OPTION=VALUE", value_parser = setting)]
    pub overrides: Vec<FlagSetting>,
    /// Log what is done, not only what goes wrong
    #[arg(long, short)]
    pub verbose: bool,
    /// Called by Swift's name: pipes of swift-init are let go once it serves
    #[arg(long, hide = true)]
    pub as_swift: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct NodeArgs {
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// Serve only; a replicator of its own runs elsewhere
    #[arg(long)]
    pub no_replicator: bool,
    /// Serves for the manager of this process id, which was called by Swift's name and has started this
    #[arg(long, hide = true)]
    pub worker: Option<i32>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ReplicatorArgs {
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// One pass, then end; exits 1 when something could not be brought in sync
    #[arg(long, short)]
    pub once: bool,
    /// With --once: print what was done as one JSON object
    #[arg(long, requires = "once")]
    pub json: bool,
    /// With --once: only these devices
    #[arg(long, short, value_delimiter = ',')]
    pub devices: Vec<String>,
    /// With --once: only these partitions
    #[arg(long, short, value_delimiter = ',')]
    pub partitions: Vec<u32>,
    /// With --once: only these policies
    #[arg(long, short = 'i', value_delimiter = ',')]
    pub policies: Vec<u32>,
}

/// How a running replicator is found.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunningArgs {
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// Admin address of the replicator to ask, IP:PORT or unix:/PATH; else those of the configuration are tried
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<BindAddress>,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct PushArgs {
    #[command(flatten)]
    pub running: RunningArgs,
    /// A device of this node, by its name in the ring
    #[arg(long, short)]
    pub device: String,
    /// A partition on it
    #[arg(long, short)]
    pub partition: u32,
    /// Its storage policy, by its index in swift.conf
    #[arg(long, short = 'i', default_value_t = 0)]
    pub policy: u32,
    /// To this node alone: IP:PORT/DEVICE, IP:PORT or DEVICE of a primary or handoff of the partition; a handoff then
    /// lets go of nothing
    #[arg(long, value_name = "NODE")]
    pub to: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub running: RunningArgs,
    /// Only these devices
    #[arg(long, short, value_delimiter = ',')]
    pub devices: Vec<String>,
    /// Only these partitions
    #[arg(long, short, value_delimiter = ',')]
    pub partitions: Vec<u32>,
    /// Only these policies
    #[arg(long, short = 'i', value_delimiter = ',')]
    pub policies: Vec<u32>,
    /// What this ring would move in place of the present one: a .ring.gz file, or a folder of them
    #[arg(long, value_name = "NEW", conflicts_with = "partitions")]
    pub ring: Option<PathBuf>,
    /// With --ring: bytes a second that this node pushes, as 50MiB; else what a running replicator has pushed lately
    #[arg(long, requires = "ring", value_parser = crate::commands::plan_ring::parse_rate)]
    pub rate: Option<f64>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub running: RunningArgs,
    /// Seconds between two looks
    #[arg(long, short, default_value_t = 2.0, value_parser = interval)]
    pub interval: f64,
    /// So many looks, and no more
    #[arg(long, short = 'n')]
    pub count: Option<u64>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct WhySlowArgs {
    #[command(flatten)]
    pub running: RunningArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub running: RunningArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    pub running: RunningArgs,
    /// Devices of this node, by their names in the ring; none for the node
    #[arg(value_name = "DEVICE")]
    pub devices: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    pub running: RunningArgs,
    /// Devices of this node, by their names in the ring; none for the node and all that was paused or drained by name
    #[arg(value_name = "DEVICE")]
    pub devices: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    pub running: RunningArgs,
    /// Devices of this node, by their names in the ring; none for the node, which only a restart undoes
    #[arg(value_name = "DEVICE")]
    pub devices: Vec<String>,
    /// Seconds to wait until nothing is under way; it goes on draining after that
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub timeout: u64,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LimitsArgs {
    #[command(flatten)]
    pub running: RunningArgs,
    /// Show them, or set some until a restart or a reload
    #[arg(value_name = "ACTION")]
    pub action: Option<LimitsAction>,
    /// Those to show; or NAME=VALUE of those to set
    #[arg(value_name = "NAME[=VALUE]")]
    pub names: Vec<String>,
}

/// What is done with limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LimitsAction {
    /// Show them
    Get,
    /// Set some
    Set,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ErrorsArgs {
    #[command(flatten)]
    pub running: RunningArgs,
    /// Try again now: everything, or only an object by its hash, what is on a device of this node, or what is for a peer
    #[arg(long, value_name = "HASH|DEVICE|PEER", num_args = 0..)]
    pub retry: Option<Vec<String>>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LogLevelArgs {
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// DEBUG, INFO, NOTICE, WARNING, ERROR or CRITICAL, or a filter as RUST_LOG has it; until a restart or a reload
    pub level: Option<String>,
    /// Admin address of the daemon, IP:PORT or unix:/PATH; else all of the configuration that answer
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<BindAddress>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ObjectArgs {
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// /account/container/object, or the hash of one that a device of this node holds
    #[arg(value_name = "PATH")]
    pub object: OsString,
    /// Its storage policy, by name or index; else all are looked into
    #[arg(long, short = 'i')]
    pub policy: Option<String>,
    /// How many handoffs to ask: a number, or "all"; as many as there are primaries otherwise
    #[arg(long, value_name = "COUNT")]
    pub handoffs: Option<HandoffCount>,
    /// The folder of swift.conf and the rings, where there is no object-server.conf
    #[arg(long, value_name = "DIR")]
    pub swift_dir: Option<PathBuf>,
    /// Admin addresses of nodes that are asked what they have let go of; else this node's
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub admin: Vec<BindAddress>,
    /// Seconds that each device has to answer
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// One JSON array
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct PartitionArgs {
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// Its number
    pub partition: u32,
    /// Its storage policy, by name or index; else all are looked into
    #[arg(long, short = 'i')]
    pub policy: Option<String>,
    /// How many handoffs to ask: a number, or "all"; as many as there are primaries otherwise
    #[arg(long, value_name = "COUNT")]
    pub handoffs: Option<HandoffCount>,
    /// The folder of swift.conf and the rings, where there is no object-server.conf
    #[arg(long, value_name = "DIR")]
    pub swift_dir: Option<PathBuf>,
    /// Admin addresses of daemons that are asked who is at work on it; else this node's
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub admin: Vec<BindAddress>,
    /// Seconds that each device has to answer
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// One JSON array
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// Devices to look at; else all of this node's
    pub devices: Vec<String>,
    /// How many objects to look at on each device, in partitions taken at random
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub sample: u64,
    /// Look at everything; it takes as long as reading every inode does
    #[arg(long, conflicts_with = "sample")]
    pub all: bool,
    /// Take the sample of an earlier look again
    #[arg(long, conflicts_with = "all")]
    pub seed: Option<u64>,
    /// Do not ask primaries for what was let go of here
    #[arg(long)]
    pub no_peers: bool,
    /// Seconds that each primary has to answer
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct CompletionsArgs {
    /// For which shell
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ManArgs {
    /// Where the pages go; else the first of them is printed
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// How many handoffs are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandoffCount {
    /// So many.
    Some(usize),
    /// Every device of the ring.
    All,
}

impl FromStr for HandoffCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            _ => {
                text.parse().map(Self::Some).map_err(|_| format!("{text:?} is neither a number nor \"all\""))
            }
        }
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DevArgs {
    /// Where rings, confs and devices go; kept between runs
    #[arg(long, value_name = "DIR", default_value = "ssync-dev")]
    pub dir: PathBuf,
    /// Node N listens at this port + 10 (N - 1), its admin service one above
    #[arg(long, default_value_t = 6210)]
    pub base_port: u16,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DemoArgs {
    /// How many objects to store
    #[arg(long, default_value_t = 3000)]
    pub objects: usize,
    /// Where rings, confs and devices go; a temporary folder otherwise
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Leave the folder behind
    #[arg(long)]
    pub keep: bool,
    /// Run receiver, sidecar and replicator of each node as processes of their own, joined in this way
    #[arg(long, value_name = "HOW")]
    pub split: Option<Split>,
}

impl Command {
    /// What a command was told that is a daemon, and whether that is the replicator.
    pub(crate) fn daemon(&self) -> Option<(&DaemonArgs, bool)> {
        match self {
            Self::Receiver(args) | Self::Sidecar(args) => Some((args, false)),
            Self::Node(args) => Some((&args.daemon, false)),
            Self::Replicator(args) => Some((&args.daemon, true)),
            Self::Dev(_)
            | Self::Demo(_)
            | Self::Config(_)
            | Self::Conformance(_)
            | Self::Push(_)
            | Self::Plan(_)
            | Self::Status(_)
            | Self::Top(_)
            | Self::WhySlow(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::Drain(_)
            | Self::Limits(_)
            | Self::Errors(_)
            | Self::LogLevel(_)
            | Self::Object(_)
            | Self::Partition(_)
            | Self::Verify(_)
            | Self::Completions(_)
            | Self::Man(_) => None,
        }
    }
}

/// How the processes of one node talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Split {
    /// gRPC over loopback TCP
    Tcp,
    /// gRPC over a Unix socket
    Unix,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every option with its value and where it comes from
    Show(ShowArgs),
    /// Print a commented sample of every option
    Sample,
    /// Exit 0 when a daemon could use the configuration, 78 when not
    Check(DaemonArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// One JSON array, as the admin address has it at /config
    #[arg(long)]
    pub json: bool,
}

/// Addresses that a node listens at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeAddresses {
    /// gRPC and HTTP.
    pub data: SocketAddr,
    /// Metrics, health, admin service.
    pub admin: SocketAddr,
    /// gRPC of the receiver alone, where it is a process of its own.
    pub receiver: SocketAddr,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
