//! `ssync partition`: a partition's state on every replica, in words.

use std::{process::ExitCode, time::Duration};

use ssync_replicator::Target;
use ssync_ring::{Policy, PolicyKind, Ring};
use ssync_store::PeerBook;
use ssync_types::Partition;

use crate::{
    cli::{HandoffCount, PartitionArgs},
    commands::running::reachable,
    exit,
    here::Here,
    node,
    object::Role,
    partition::{Local, Question, Replica, Shown, State, ask_all, busy, diagnose, locks, print, to_json},
    table::Page,
};

/// Asks, prints, and exits 0 when nothing is wrong, 1 when something is, 2 when there was nothing to ask.
pub(crate) async fn run(args: &PartitionArgs) -> ExitCode {
    match look(args).await {
        Ok(shown) => {
            report(&shown, args.json);
            if shown.iter().all(|shown| shown.diagnosis.is_healthy()) { exit::OK } else { exit::UNFINISHED }
                .into()
        }
        Err(error) => {
            eprintln!("ssync: {error:#}");
            exit::USAGE.into()
        }
    }
}

async fn look(args: &PartitionArgs) -> anyhow::Result<Vec<Shown>> {
    let here = Here::find(&args.daemon, args.swift_dir.as_deref())?;
    let policies = here.policies(args.policy.as_deref())?;
    let partition = Partition::new(args.partition);
    let known = policies.iter().filter(|(_, ring)| ring.has_partition(partition));
    let mut all = Vec::new();
    for (policy, ring) in known {
        all.push(look_in(args, &here, policy, ring, partition).await?);
    }
    let most = policies.iter().map(|(_, ring)| ring.partition_count()).max().unwrap_or_default();
    anyhow::ensure!(
        !all.is_empty(),
        "no ring has partition {partition}: the last is {}. What stands on a device by that number is kept and pushed nowhere; \
         ssync verify names it",
        most.saturating_sub(1)
    );
    // Those that have something, else the one that clients would use.
    if args.policy.is_none() {
        if all.iter().any(|shown| shown.diagnosis.found) {
            all.retain(|shown| shown.diagnosis.found);
        } else {
            let default = here.swift.policies().default_policy().map(|policy| policy.index);
            let place = all.iter().position(|shown| Some(shown.policy) == default).unwrap_or(0);
            all = all.into_iter().skip(place).take(1).collect();
        }
    }
    Ok(all)
}

async fn look_in(
    args: &PartitionArgs,
    here: &Here,
    policy: &Policy,
    ring: &Ring,
    partition: Partition,
) -> anyhow::Result<Shown> {
    let limit = Duration::from_secs(args.timeout);
    let question = Question {
        policy: policy.index,
        partition,
        limit,
        nodes: node::other_nodes(here.config.as_ref(), here.tls.as_ref())?,
        book: PeerBook::default().with_tls(here.tls.clone()),
    };
    let replicas = replicas(args, here, ring, partition);
    let own: Vec<_> = replicas
        .iter()
        .filter(|replica| replica.is_own)
        .map(|replica| replica.target.device.clone())
        .collect();
    let (local, held) = match &here.config {
        Some(config) => {
            let devices = node::local_devices(config, &here.swift);
            let places =
                own.iter().map(|name| devices.objects_path(name, policy.index).join(partition.to_string()));
            let held: Vec<String> = places.flat_map(|place| locks(&place)).collect();
            let index = policy.index;
            let list = move || {
                own.iter()
                    .filter_map(|name| Local::list(&devices, name, index, partition).ok())
                    .max_by_key(|local| local.held().objects)
            };
            (tokio::task::spawn_blocking(list).await?, held)
        }
        None => (None, Vec::new()),
    };
    let local = local.filter(|_| matches!(policy.kind, PolicyKind::Replication));
    let replicas = ask_all(&question, replicas, local.as_ref()).await;
    let mut busy = busy(&admins(args, here), policy.index, partition, limit).await;
    busy.lines.extend(held);
    let diagnosis = diagnose(policy.index, partition, &replicas, &busy);
    Ok(Shown { partition, policy: policy.index, policy_name: policy.name.clone(), replicas, busy, diagnosis })
}

/// This node's daemons: the receiver's address, and the replicator's where that is another process.
fn admins(args: &PartitionArgs, here: &Here) -> Vec<ssync_runtime::BindAddress> {
    let mut admins = here.admins(&args.admin);
    if let Some(config) = here.config.as_ref().filter(|_| args.admin.is_empty()) {
        admins.extend(reachable(config.ssync.replicator_admin_bind.as_ref()));
    }
    admins
}

fn replicas(args: &PartitionArgs, here: &Here, ring: &Ring, partition: Partition) -> Vec<Replica> {
    let own = here.own();
    let replica = |role, device| Replica {
        role,
        target: Target::from(device),
        is_own: own.has(device),
        state: State::Failed("was not asked".to_owned()),
    };
    let primaries = ring.primaries(partition);
    let count = match args.handoffs {
        None => primaries.len(),
        Some(HandoffCount::Some(count)) => count,
        Some(HandoffCount::All) => usize::MAX,
    };
    let mut all: Vec<Replica> =
        primaries.iter().map(|primary| replica(Role::Primary(primary.index), primary.device)).collect();
    // A device of this node that has it is looked at however far behind it stands.
    for (number, device) in ring.handoffs(partition).enumerate() {
        if number < count || (own.has(device) && has_it(here, device.device.as_str(), partition)) {
            all.push(replica(Role::Handoff(number), device));
        }
    }
    all
}

fn has_it(here: &Here, device: &str, partition: Partition) -> bool {
    here.config.as_ref().is_some_and(|config| {
        let device = config.node.devices.join(device);
        here.swift.policies().iter().any(|policy| {
            let objects = match policy.index.get() {
                0 => "objects".to_owned(),
                index => format!("objects-{index}"),
            };
            device.join(objects).join(partition.to_string()).exists()
        })
    })
}

fn report(all: &[Shown], as_json: bool) {
    if as_json {
        println!("{}", serde_json::Value::Array(all.iter().map(to_json).collect()));
        return;
    }
    for (number, shown) in all.iter().enumerate() {
        if number > 0 {
            println!();
        }
        print(shown, Page::stdout());
    }
}
