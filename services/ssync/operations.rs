//! `docs/operations.md`, made of the tables in the code: metrics, log events, options, exit codes, alerts.
//!
//! `UPDATE_OPERATIONS=1 cargo test -p ssync operations` writes it anew.

use std::{collections::BTreeSet, fs, path::PathBuf};

use ssync_instruments::{Instrument, Kind};
use ssync_receiver::{Authority, Receiver};
use ssync_replicator::Replicator;
use ssync_runtime::{DURATION_BUCKETS, Metrics, Scope, TABLES};
use ssync_tls::Tls;

use crate::exit;

const HEAD: &str = "\
# What there is to operate

Made of the tables in the code by `UPDATE_OPERATIONS=1 cargo test -p ssync operations`; a test compares. What each thing is
for stands in [operators.md](operators.md) and [deploy/README.md](../deploy/README.md).
";

/// A line of the log that somebody should be told of. What is not in this list is told by a metric as well, or is one object's
/// or one pass's.
struct Event {
    level: &'static str,
    /// What the line holds, as the source has it.
    text: &'static str,
    /// What to do.
    remedy: &'static str,
}

const fn event(level: &'static str, text: &'static str, remedy: &'static str) -> Event {
    Event { level, text, remedy }
}

const EVENTS: [Event; 29] = [
    event(
        "ERROR",
        "the daemon cannot go on and drains",
        "It ends; the service manager starts it again. The line has the cause.",
    ),
    event(
        "ERROR",
        "a disk operation panicked",
        "A fault of this program, or of memory. Report the lines around it.",
    ),
    event(
        "ERROR",
        "broke off: a fault of this program",
        "The same, in the replicator. The partition is not in sync.",
    ),
    event(
        "ERROR",
        "no thread for a disk",
        "The limit of threads or of memory is too low for the number of devices.",
    ),
    event(
        "WARN",
        "a device hangs",
        "Look at the disk: it is refused as if it were not mounted until an operation ends.",
    ),
    event("ERROR", "responded as unmounted", "A peer's device is away; copies go to handoffs meanwhile."),
    event(
        "WARN",
        "quarantined",
        "A damaged object was moved away; another replica brings it back. Several on one device: replace it.",
    ),
    event("ERROR", "the copy here was damaged and is in quarantine", "The same, found while it was sent."),
    event(
        "ERROR",
        "could not be put back",
        "A file that must stay lies beside its place: link it back as the line says.",
    ),
    event(
        "ERROR",
        "the device {absent}",
        "Away for longer than reclaim_age (rule S5): wipe it, or set push_returned_devices for one pass.",
    ),
    event(
        "ERROR",
        "Can't find itself in policy",
        "bind_ip, bind_port or ring_ip do not match the ring: nothing is replicated.",
    ),
    event("WARN", "ring not loaded", "The ring file is bad or away; the old ring counts. Copy it again."),
    event(
        "ERROR",
        "has no place in the ring",
        "A partition beyond the ring is kept (rule S3). Compare the rings of the nodes.",
    ),
    event("ERROR", "does not do its part", "A peer fails; its partitions wait. Look at that node."),
    event(
        "ERROR",
        "objects were let go of, and the log of removals",
        "The log of removals cannot be written: `ssync object` will not know of them.",
    ),
    event(
        "ERROR",
        "new certificate, key or authorities cannot be used",
        "The files were replaced by what does not fit; the old ones count until they end. Put the right ones there.",
    ),
    event(
        "ERROR",
        "the certificate has expired",
        "No other node takes it. Replace the file; no restart is needed.",
    ),
    event(
        "WARN",
        "a connection by TLS was closed",
        "Whoever calls has no certificate of these authorities, or is too slow. The line has the cause.",
    ),
    event(
        "WARN",
        "a caller without TLS was refused",
        "require_tls, or http_allow: whoever calls has to come by TLS or to be listed.",
    ),
    event(
        "WARN",
        "a caller was refused",
        "Its certificate names no device of the rings, not that one, or no role (tls_readers, tls_pushers, tls_admins).",
    ),
    event(
        "WARN",
        "listens without TLS",
        "Whoever reaches the address has all objects: keep it to the storage network, or set require_tls.",
    ),
    event(
        "WARN",
        "not ready; missing:",
        "A ring or the receiver is not there; the daemon takes it up when it comes.",
    ),
    event("ERROR", "not a block is free", "A full device cannot drain. Free a block there."),
    event(
        "WARN",
        "cannot accept connections",
        "Descriptors or memory have run out: raise LimitNOFILE, or lower max_clients.",
    ),
    event(
        "WARN",
        "an object is stored and not in its listing",
        "The container server and the disk of async_pending both failed: the object is not listed until it is written again.",
    ),
    event(
        "WARN",
        "work was still under way at the deadline",
        "drain_timeout, or stale_worker_timeout, was too short; what was broken off is sent again.",
    ),
    event(
        "ERROR",
        "the configuration cannot be used, and stays as it was",
        "A reload changed nothing. `ssync config check` says why.",
    ),
    event(
        "WARN",
        "Replication is paused by an operator since",
        "At each pass, until `ssync resume` or a restart: nothing is pushed from what it names.",
    ),
    event(
        "WARN",
        "drained by an operator: it admits no replication",
        "Until `ssync resume DEVICE` or a restart. Peers come back, and keep what they have for the device.",
    ),
];

/// What signals do, by the name that a daemon was started by.
const SIGNALS: &str = "\
| signal | `ssync ...` | `swift-object-server` | `swift-object-replicator` |
|---|---|---|---|
| TERM, INT | drains within `drain_timeout`; a second one breaks off | the same | the same |
| HUP | reads configuration, rings and certificates again | a graceful end: listens no more, finishes what was begun within `stale_worker_timeout`, and is gone for swift-init at once | as TERM |
| USR1 | nothing | starts anew without refusing a connection (`reload-seamless`) | nothing |
";

fn document() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("\n## Signals\n\n");
    text.push_str(SIGNALS);
    text.push_str("\n## Exit codes\n\n| code | name | when |\n|---|---|---|\n");
    for exit in exit::CODES {
        text.push_str(&format!("| {} | {} | {} |\n", exit.code, exit.name, exit.meaning));
    }
    text.push_str(&metrics());
    text.push_str(&events());
    text.push_str(&alerts());
    text.push_str(&options());
    text
}

fn metrics() -> String {
    let buckets: Vec<String> = DURATION_BUCKETS.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "\n## Metrics\n\nOn `/metrics` of the admin address. Durations are histograms in seconds with the bounds {}. \
         `target_info` has the resource of OpenTelemetry.\n",
        buckets.join(", ")
    );
    let parts = [
        ("Every daemon", Metrics::instruments()),
        ("Where a receiver runs", Receiver::instruments()),
        ("Where a replicator runs", Replicator::instruments()),
        ("With certificates (`tls_certificate`)", with_certificates()),
    ];
    for (part, instruments) in parts {
        text.push_str(&format!(
            "\n### {part}\n\n| metric | kind | labels | what it says |\n|---|---|---|---|\n"
        ));
        instruments.iter().for_each(|instrument| text.push_str(&metric(instrument)));
    }
    text
}

fn with_certificates() -> Vec<Instrument> {
    [Tls::instruments(), Authority::instruments()].concat()
}

fn metric(instrument: &Instrument) -> String {
    let kind = match instrument.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Durations => "histogram",
    };
    let labels: Vec<String> = instrument.labels.iter().map(|label| format!("`{label}`")).collect();
    let doc = instrument.doc.trim_end_matches('.');
    format!("| `{}` | {kind} | {} | {doc} |\n", instrument.prometheus_name(), labels.join(", "))
}

fn events() -> String {
    let mut text = "\n## Log events\n\nLines that somebody should be told of, by what they hold. Those that are not here are of one object, one pass or one \
                    caller, or a metric tells the same (`ssync_log_lines_total` counts them all).\n\n| level | text | what to do |\n|---|---|---|\n".to_owned();
    for Event { level, text: holds, remedy } in EVENTS {
        text.push_str(&format!("| {level} | `{holds}` | {remedy} |\n"));
    }
    text
}

/// Those of the rules that are deployed, by name.
fn alerts() -> String {
    let rules =
        fs::read_to_string(repository().join("deploy/prometheus/ssync.rules.yaml")).unwrap_or_default();
    let mut rows = String::new();
    for line in rules.lines().map(str::trim) {
        let value = |key: &str| line.strip_prefix(key).map(|value| value.trim().trim_matches('"'));
        if let Some(name) = value("- alert:") {
            rows.push_str(&format!("| `{name}` | "));
        } else if let Some(description) = value("description:") {
            rows.push_str(&format!("{description} |\n"));
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "\n## Alerts\n\n`deploy/prometheus/ssync.rules.yaml` has them.\n\n| alert | what it means |\n|---|---|\n{rows}"
    )
}

fn options() -> String {
    let mut text = "\n## Options\n\nEach can be set by its section, by a variable or by `--set` \
                    ([the sample](../deploy/swift/object-server.conf-sample)). What has no word under *reload* needs a restart; \
                    what is accepted and changes nothing is not in this list.\n"
        .to_owned();
    for scope in Scope::ALL {
        text.push_str(&format!(
            "\n### [{}]\n\n| option | default | reload | what it does |\n|---|---|---|---|\n",
            scope.section()
        ));
        let specs = TABLES.iter().flat_map(|table| table.iter()).filter(|spec| spec.scope == scope);
        for spec in specs.filter(|spec| spec.unused.is_none()) {
            let default = if spec.default.is_empty() { String::new() } else { format!("`{}`", spec.default) };
            let row = [spec.name, &default, spec.live.unwrap_or_default(), spec.doc.trim()]
                .map(|cell| cell.replace('|', "\\|"));
            text.push_str(&format!("| `{}` | {} | {} | {} |\n", row[0], row[1], row[2], row[3]));
        }
    }
    text
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_document_is_the_one_that_the_tables_make() {
    let path = repository().join("docs/operations.md");
    if std::env::var_os("UPDATE_OPERATIONS").is_some() {
        fs::write(&path, document()).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == document(),
        "docs/operations.md is not what the tables make: run with UPDATE_OPERATIONS=1"
    );
}

/// All that is told by `tracing` at a level, as the sources have it: from a macro's name to the end of its call.
fn told(level: &str) -> String {
    let mut told = String::new();
    let mut folders = vec![repository().join("services")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs")
                && !entry.ends_with("operations.rs")
            {
                let source = fs::read_to_string(entry).unwrap();
                for call in source.split(&format!("tracing::{level}!")).skip(1) {
                    told.push_str(call.split(");").next().unwrap_or_default());
                }
            }
        }
    }
    told
}

#[test]
fn every_event_is_told_at_its_level() {
    for (level, name) in [("ERROR", "error"), ("WARN", "warn")] {
        // A text may go on in the next line of the source.
        let told = told(name).replace("\\\n", "");
        let told: String = told.split_whitespace().collect::<Vec<_>>().join(" ");
        for event in EVENTS.iter().filter(|event| event.level == level) {
            assert!(told.contains(event.text), "nothing tells {:?} as {level}", event.text);
        }
    }
    assert!(EVENTS.iter().all(|event| ["ERROR", "WARN"].contains(&event.level)));
}

#[test]
fn no_metric_is_there_twice() {
    let parts =
        [Metrics::instruments(), Receiver::instruments(), Replicator::instruments(), with_certificates()];
    let all = parts.concat();
    let names: BTreeSet<String> = all.iter().map(Instrument::prometheus_name).collect();
    assert_eq!(names.len(), all.len());
}
