//! The limits of this process as one table: what each is, how far it is used, and what it may be set to.

use std::time::Duration;

use ssync_api::admin::{ControlledLimit, LimitSetting};
use ssync_receiver::{Receiver, SessionLimits};
use ssync_replicator::Replicator;
use ssync_types::{Invalid, Refusal};

const RECEIVER: &str = "receiver";
const REPLICATOR: &str = "replicator";
/// Sessions, of the node or of a device, that may be set.
const SESSIONS_MOST: u64 = 1_024;
/// Partitions at a time that may be set: each has files open and bodies in memory.
const PARTITIONS_MOST: u64 = 256;
const DAY: u64 = 24 * 3600;
const NO_LIMIT: &str = "no limit";

/// A limit of sessions, and where it stands.
struct Session {
    name: &'static str,
    unit: &'static str,
    most: u64,
    get: fn(&SessionLimits) -> u64,
    set: fn(&mut SessionLimits, u64),
}

const SESSIONS: [Session; 5] = [
    Session {
        name: "replication_concurrency",
        unit: "sessions",
        most: SESSIONS_MOST,
        get: |limits| limits.replication_concurrency.into(),
        set: |limits, value| limits.replication_concurrency = small(value),
    },
    Session {
        name: "replication_concurrency_per_device",
        unit: "SSYNC sessions a device",
        most: SESSIONS_MOST,
        get: |limits| limits.replication_concurrency_per_device.into(),
        set: |limits, value| limits.replication_concurrency_per_device = small(value),
    },
    Session {
        name: "grpc_sessions_per_device",
        unit: "gRPC sessions a device",
        most: SESSIONS_MOST,
        get: |limits| limits.grpc_sessions_per_device.into(),
        set: |limits, value| limits.grpc_sessions_per_device = small(value),
    },
    Session {
        name: "session_updates_max",
        unit: "updates a gRPC session",
        most: 1_000_000_000,
        get: |limits| limits.session_updates_max,
        set: |limits, value| limits.session_updates_max = value,
    },
    Session {
        name: "session_time_max",
        unit: "seconds a gRPC session",
        most: DAY,
        get: |limits| limits.session_time_max.as_secs(),
        set: |limits, value| limits.session_time_max = Duration::from_secs(value),
    },
];

fn small(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// All limits of these parts.
pub(super) fn list(receiver: Option<&Receiver>, replicator: Option<&Replicator>) -> Vec<ControlledLimit> {
    let of_receiver = receiver.map(of_receiver).unwrap_or_default();
    let of_replicator = replicator.map(of_replicator).unwrap_or_default();
    of_receiver.into_iter().chain(of_replicator).collect()
}

fn of_receiver(receiver: &Receiver) -> Vec<ControlledLimit> {
    let (now, configured) = receiver.session_limits();
    let used = |name: &str| receiver.limits().iter().find(|limit| limit.name == name).map(|limit| limit.used);
    let session = |session: &Session| ControlledLimit {
        name: session.name.to_owned(),
        part: RECEIVER.to_owned(),
        value: (session.get)(&now),
        configured: (session.get)(&configured),
        used: used(session.name),
        unit: session.unit.to_owned(),
        settable: true,
        least: 0,
        most: session.most,
        zero: NO_LIMIT.to_owned(),
        note: note(session.name, &now, used("replication_concurrency")),
    };
    let mut limits: Vec<ControlledLimit> = SESSIONS.iter().map(session).collect();
    limits.extend(receiver.limits().into_iter().filter(|limit| used_only(limit.name)).map(|limit| {
        ControlledLimit {
            name: limit.name.to_owned(),
            part: RECEIVER.to_owned(),
            value: limit.maximum,
            configured: limit.maximum,
            used: Some(limit.used),
            unit: "bytes that wait for a disk".to_owned(),
            ..ControlledLimit::default()
        }
    }));
    limits
}

fn used_only(name: &str) -> bool {
    SESSIONS.iter().all(|session| session.name != name)
}

/// Where a limit does less than it says.
fn note(name: &str, now: &SessionLimits, slots_used: Option<u64>) -> String {
    let slots = u64::from(now.replication_concurrency);
    match name {
        "replication_concurrency" if slots > 0 && slots_used > Some(slots) => {
            "more are under way, and none of them is broken off".to_owned()
        }
        "replication_concurrency_per_device" => {
            "for senders that speak SSYNC; it has no effect on gRPC, unless grpc_device_lock is set"
                .to_owned()
        }
        "grpc_sessions_per_device" => {
            let (asked, admitted) = (now.grpc_sessions_per_device, now.device_sessions_max());
            match asked == admitted {
                true => String::new(),
                false => format!(
                    "{admitted} are admitted: one of the {slots} of replication_concurrency is left to other devices"
                ),
            }
        }
        _ => String::new(),
    }
}

fn of_replicator(replicator: &Replicator) -> Vec<ControlledLimit> {
    let (value, configured) = replicator.concurrency();
    let (visits_max, visits) = replicator.visits();
    let paused = replicator.paused();
    let note = match (paused.node, value != configured) {
        (true, _) => "has no effect on pushes while the node is paused: nothing is pushed",
        (false, true) => "until a restart or a reload",
        (false, false) => "",
    };
    let concurrency = ControlledLimit {
        name: "concurrency".to_owned(),
        part: REPLICATOR.to_owned(),
        value: value as u64,
        configured: configured as u64,
        used: Some(replicator.jobs_under_way().len() as u64),
        unit: "partitions at a time".to_owned(),
        settable: true,
        least: 1,
        most: PARTITIONS_MOST,
        note: note.to_owned(),
        ..ControlledLimit::default()
    };
    let visits = ControlledLimit {
        name: "visits to one peer".to_owned(),
        part: REPLICATOR.to_owned(),
        value: visits_max as u64,
        configured: visits_max as u64,
        used: Some(visits as u64),
        unit: "partitions at a time".to_owned(),
        note: "follows from concurrency: no peer has all of it while there are others".to_owned(),
        ..ControlledLimit::default()
    };
    vec![concurrency, visits]
}

/// Sets what these parts have; all of it, or none when one cannot be. Answers with the names that they do not have.
pub(super) fn set(
    settings: &[LimitSetting],
    receiver: Option<&Receiver>,
    replicator: Option<&Replicator>,
) -> Result<Vec<String>, Refusal> {
    let known = list(receiver, replicator);
    let mut unknown = Vec::new();
    for (place, setting) in settings.iter().enumerate() {
        if settings[..place].iter().any(|before| before.name == setting.name) {
            return Err(Invalid::new("settings.name", format!("{} is there twice", setting.name)).into());
        }
        match known.iter().find(|limit| limit.name == setting.name) {
            Some(limit) => check(limit, setting.value)?,
            None => unknown.push(setting.name.clone()),
        }
    }
    if let Some(receiver) = receiver {
        let mut limits = receiver.session_limits().0;
        for setting in settings {
            if let Some(session) = SESSIONS.iter().find(|session| session.name == setting.name) {
                (session.set)(&mut limits, setting.value);
            }
        }
        receiver.set_session_limits(limits);
    }
    if let Some(replicator) = replicator {
        let workers = settings.iter().find(|setting| setting.name == "concurrency");
        if let Some(workers) = workers {
            replicator.work_on(usize::try_from(workers.value).unwrap_or(1));
        }
    }
    Ok(unknown)
}

fn check(limit: &ControlledLimit, value: u64) -> Result<(), Invalid> {
    let ControlledLimit { name, least, most, .. } = limit;
    if !limit.settable {
        let problem = format!("{name} cannot be set while the daemon runs");
        return Err(Invalid::new("settings.name", problem));
    }
    if value < *least || value > *most {
        let zero = if limit.zero.is_empty() { String::new() } else { format!(" (0: {})", limit.zero) };
        let problem = format!("{name} = {value}: it has to be from {least} to {most}{zero}");
        return Err(Invalid::new("settings.value", problem));
    }
    Ok(())
}
