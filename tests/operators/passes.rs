//! What a pass of the replicator tells: its log lines, the recon cache, StatsD packets.
//!
//! `swift-object-replicator --once` and ours meet the same situations, one after the other, from the same files. Ours is told
//! twice, with stock peers and with its own. What may differ stands in [`DIFFERENCES`], each with its reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::UdpSocket,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::{Value, json};
use ssync_tests::{Cluster, Node, Replicator, Server, Serving, Shape, helper};

/// Longest until a packet has come that was sent before its program ended.
const PACKET_WAIT_MAX: Duration = Duration::from_millis(50);

/// In which situation (or any), whose, what it says, and why the other does not: lines (by level), figures of the recon
/// cache and packets.
const DIFFERENCES: &[(&str, Whose, &str, &str)] = &[
    (
        "",
        Whose::Stock,
        "NOTICE ",
        "a program of Python tells that it starts and ends; here the service manager does",
    ),
    ("", Whose::Ours, "INFO drained", "the end of a drain"),
    (
        "",
        Whose::Ours,
        "INFO Last reference of MeterProvider",
        "ours has metrics of its own; at log_level DEBUG they tell",
    ),
    ("", Whose::Ours, "changes nothing", "options of Swift that have no use here are named at the start"),
    (
        "revert",
        Whose::Ours,
        "INFO Removing # objects",
        "objects go one by one as they are confirmed; their number is told",
    ),
    (
        "sync",
        Whose::Stock,
        "object-replicator.suffix.hashes",
        "stock hashes what differs once more before it sends it; what was hashed for this very comparison is not, here",
    ),
    ("stray", Whose::Ours, "WARN \"notes\" is no partition", "stock counts it, and does not say what it is"),
    (
        "stray",
        Whose::Ours,
        "ERROR partition # has no place in the ring",
        "rule S3: stock removes it, without a copy",
    ),
    ("stray", Whose::Stock, "INFO Removing partition: DEVICES/sdb#/objects/#", "rule S3"),
    ("stray", Whose::Stock, "partition.delete.", "rule S3"),
    ("stray", Whose::Stock, "attempted = 4", "rule S3"),
    ("stray", Whose::Ours, "attempted = 3", "rule S3"),
    ("stray", Whose::Stock, "remove = 1", "rule S3"),
    ("stray", Whose::Ours, "remove = 0", "rule S3"),
    (
        "peer unmounted",
        Whose::Stock,
        "suffix_count = 0",
        "where it has run out of handoffs stock does not count suffixes",
    ),
    ("peer unmounted", Whose::Ours, "suffix_count = ", "the same"),
    ("peer unmounted", Whose::Ours, "INFO # suffixes checked", "the same"),
    ("peer unmounted", Whose::Ours, "INFO Partition times", "the same"),
    ("peer down", Whose::Ours, "does not do its part", "what a peer that is down means is told once"),
    (
        "revert, peer down",
        Whose::Stock,
        "EXCEPTION in ssync.Sender",
        "ours says that it is a handoff, and what was wrong",
    ),
    ("revert, peer down", Whose::Ours, "ERROR Error syncing handoff partition: #:#/sdb#", "the same"),
    ("revert, peer down", Whose::Ours, "does not do its part", "what a peer that is down means is told once"),
    ("revert, peer down", Whose::Stock, "rsync = 8", "stock counts pushes that nobody took"),
    ("revert, peer down", Whose::Ours, "rsync = 4", "the same"),
    (
        "unmounted",
        Whose::Stock,
        "WARN DEVICES/sdb# is not a directory",
        "ours says which device, and what to do",
    ),
    ("unmounted", Whose::Ours, "WARN device sdb#: DEVICES/sdb# is not a directory;", "the same"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Stock,
    Ours,
}

/// What one pass told.
#[derive(Debug, Default)]
struct Told {
    lines: Vec<String>,
    /// Keys of the recon cache, or nothing where none was written.
    recon: BTreeMap<String, String>,
    packets: Vec<String>,
}

/// Who replicates, and whom to.
#[derive(Debug, Clone, Copy)]
struct Cast {
    replicator: Replicator,
    peers: Server,
}

const CASTS: [Cast; 3] = [
    Cast { replicator: Replicator::Stock, peers: Server::Stock },
    Cast { replicator: Replicator::Ssync, peers: Server::Stock },
    Cast { replicator: Replicator::Ssync, peers: Server::Ssync(Shape::OneProcess) },
];

/// A cluster whose first node replicates.
struct Stage {
    cluster: Cluster,
    statsd: UdpSocket,
    syslog: UdpSocket,
    /// A copy of the first node's device.
    files: PathBuf,
}

impl Stage {
    fn of(nodes: u8, handoff: bool) -> Result<Self> {
        let (statsd, syslog) = (listen()?, listen()?);
        let builder = Cluster::of(nodes)
            .part_power(2)
            // As stock: several at a time come back to a stock peer that takes one, and hash again.
            .setting("object-replicator", "concurrency", "1")
            // Where levels are told.
            .setting("object-replicator", "log_udp_host", "127.0.0.1")
            .setting("object-replicator", "log_udp_port", &syslog.local_addr()?.port().to_string())
            .setting("object-replicator", "log_statsd_host", "127.0.0.1")
            .setting("object-replicator", "log_statsd_port", &statsd.local_addr()?.port().to_string())
            .setting("ssync", "log_format", "json");
        let cluster = if handoff { builder.handoff(1) } else { builder }.build()?;
        cluster.node(1).write_tree(20)?;
        let files = cluster.folder().join("files");
        copy(&cluster.node(1).device(), &files)?;
        Ok(Self { cluster, statsd, syslog, files })
    }

    fn own(&self) -> &Node {
        self.cluster.node(1)
    }

    /// All as it was at first, and everybody but a stock first node, which needs no server, in service.
    fn begin(&self, cast: Cast) -> Result<BTreeMap<u8, Serving>> {
        for number in 1..=self.cluster.size() {
            let device = self.cluster.node(number).device();
            fs::remove_dir_all(&device)?;
            fs::create_dir(&device)?;
        }
        fs::remove_dir(self.own().device())?;
        copy(&self.files, &self.own().device())?;
        let mut serving = BTreeMap::new();
        for number in 1..=self.cluster.size() {
            match (number, cast.replicator) {
                (1, Replicator::Stock) => {}
                (1, _) => drop(serving.insert(1, self.own().serve(Server::Ssync(Shape::OneProcess))?)),
                _ => drop(serving.insert(number, self.cluster.node(number).serve(cast.peers)?)),
            }
        }
        Ok(serving)
    }

    fn pass(&self, cast: Cast, more: &[&str]) -> Result<Told> {
        let own = self.own();
        self.packets()?;
        received(&self.syslog)?;
        let pass = own.replicate_with(cast.replicator, more)?;
        let recon = match fs::read(own.recon().join("object.recon")) {
            Ok(bytes) => flat("", &serde_json::from_slice(&bytes)?),
            Err(_) => BTreeMap::new(),
        };
        let lines = match cast.replicator {
            Replicator::Stock => stock_lines(&self.syslog)?,
            _ => own_lines(&pass.log),
        };
        let mut lines: Vec<String> = lines
            .iter()
            .map(|line| masked(&line.replace(&own.devices().display().to_string(), "DEVICES")))
            .collect();
        lines.sort();
        Ok(Told { lines, recon, packets: self.packets()? })
    }

    /// The packets that have come, less their times.
    fn packets(&self) -> Result<Vec<String>> {
        let masked = |packet: String| {
            let value =
                packet.split_once(':').and_then(|(_, rest)| rest.split('|').next()).unwrap_or_default();
            match packet.ends_with("|ms") {
                true => packet.replace(value, "TIME"),
                false => packet,
            }
        };
        let mut packets: Vec<String> = received(&self.statsd)?.into_iter().map(masked).collect();
        packets.sort();
        Ok(packets)
    }
}

fn listen() -> Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(PACKET_WAIT_MAX))?;
    Ok(socket)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    ensure!(done.success(), "cp -a: {done}");
    Ok(())
}

/// The lines that stock has sent to its syslog, from INFO up, as `LEVEL text`. Tracebacks stand behind `#012`.
fn stock_lines(syslog: &UdpSocket) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for packet in received(syslog)? {
        let (priority, line) =
            packet.strip_prefix('<').and_then(|rest| rest.split_once('>')).context("no priority")?;
        let level = match priority.parse::<u8>()? & 7 {
            3 => "ERROR",
            4 => "WARN",
            5 => "NOTICE",
            6 => "INFO",
            _ => continue,
        };
        let text = line.strip_prefix("object-replicator: ").unwrap_or(line).trim_end_matches('\0');
        let text = text.split("#012").next().unwrap_or_default().trim_end_matches([' ', ':']);
        lines.push(format!("{level} {text}"));
    }
    Ok(lines)
}

fn received(socket: &UdpSocket) -> Result<Vec<String>> {
    let (mut buffer, mut packets) = (vec![0; 65_536], Vec::new());
    while let Ok(length) = socket.recv(&mut buffer) {
        packets
            .push(String::from_utf8_lossy(buffer.get(..length).context("a packet too long")?).into_owned());
    }
    Ok(packets)
}

fn own_lines(log: &str) -> Vec<String> {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        let (level, text) = (line["level"].as_str()?, line["message"].as_str()?);
        (level != "DEBUG" && level != "TRACE").then(|| format!("{level} {text}"))
    };
    log.lines().filter_map(line).collect()
}

/// A `#` for each number, and no cause: each has its own words for a connection that is refused.
fn masked(line: &str) -> String {
    const WITH_CAUSE: &str = "ERROR Error syncing with node: ";
    let node = line.strip_prefix(WITH_CAUSE).and_then(|rest| rest.split(": ").next());
    let without_cause = node.map(|node| format!("{WITH_CAUSE}{node}"));
    let line = without_cause.as_deref().unwrap_or(line);
    let mut masked = String::new();
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        if !character.is_ascii_digit() {
            masked.push(character);
            continue;
        }
        while characters.next_if(|next| next.is_ascii_digit() || *next == '.').is_some() {}
        masked.push('#');
    }
    masked
}

/// Every value below a key by its path; times are replaced by their kind.
fn flat(path: &str, value: &Value) -> BTreeMap<String, String> {
    match value {
        Value::Object(map) => {
            map.iter().flat_map(|(key, value)| flat(&format!("{path}/{key}"), value)).collect()
        }
        Value::Number(number) if number.is_f64() => BTreeMap::from([(path.to_owned(), "TIME".to_owned())]),
        value => BTreeMap::from([(path.to_owned(), value.to_string())]),
    }
}

/// What stock told in each situation, and what has been found of ours.
#[derive(Default)]
struct Findings {
    stock: BTreeMap<&'static str, Told>,
    problems: Vec<String>,
    /// Differences that were seen, by their places.
    seen: BTreeSet<usize>,
}

impl Findings {
    /// Another situation.
    fn note(&mut self, situation: &'static str, cast: Cast, told: Told) {
        if cast.replicator == Replicator::Stock {
            self.stock.insert(situation, told);
            return;
        }
        let Some(stock) = self.stock.get(situation) else { return };
        let figures =
            |told: &Told| told.recon.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        let kinds: [(_, Vec<String>, Vec<String>); 3] = [
            ("line", stock.lines.clone(), told.lines.clone()),
            ("figure", figures(stock), figures(&told)),
            ("packet", stock.packets.clone(), told.packets.clone()),
        ];
        for (kind, stock, ours) in kinds {
            for (whose, one, other) in [(Whose::Stock, &stock, &ours), (Whose::Ours, &ours, &stock)] {
                for item in lacking(one, other) {
                    match self.difference(situation, whose, &item) {
                        Some(place) => drop(self.seen.insert(place)),
                        None => self.problems.push(format!(
                            "{situation}, {:?} to {:?}: {kind} of {whose:?} alone: {item}",
                            cast.replicator, cast.peers
                        )),
                    }
                }
            }
        }
    }

    fn difference(&self, situation: &str, whose: Whose, item: &str) -> Option<usize> {
        DIFFERENCES.iter().position(|(when, of, text, _)| {
            (when.is_empty() || *when == situation) && *of == whose && item.contains(text)
        })
    }
}

/// What of `one` is not in `other`, each as often.
fn lacking(one: &[String], other: &[String]) -> Vec<String> {
    let mut left = other.to_vec();
    let mut lacking = Vec::new();
    for item in one {
        match left.iter().position(|other| other == item) {
            Some(place) => drop(left.swap_remove(place)),
            None => lacking.push(item.clone()),
        }
    }
    lacking
}

/// This node belongs to all partitions.
fn as_primary() -> Result<Findings> {
    let stage = Stage::of(2, false)?;
    let mut findings = Findings::default();
    for cast in CASTS {
        let mut serving = stage.begin(cast)?;
        findings.note("sync", cast, stage.pass(cast, &[])?);
        findings.note("nothing to do", cast, stage.pass(cast, &[])?);
        let objects = stage.own().device().join("objects");
        fs::create_dir(objects.join("notes"))?;
        fs::create_dir_all(objects.join("77/abc"))?;
        fs::write(objects.join("auditor_status_ALL.json"), "{}")?;
        fs::remove_dir_all(objects.join("3"))?;
        fs::write(objects.join("3"), "")?;
        findings.note("stray", cast, stage.pass(cast, &[])?);
        ensure!(
            !objects.join("3").exists() && objects.join("notes").exists(),
            "a file for a partition stays"
        );
        ensure!(objects.join("77").exists() == (cast.replicator == Replicator::Ssync), "rule S3");
        fs::remove_dir(objects.join("notes"))?;
        let _ = fs::remove_dir_all(objects.join("77"));
        findings.note("one partition", cast, stage.pass(cast, &["--partitions", "1"])?);
        findings.note("no device", cast, stage.pass(cast, &["--devices", "nobody"])?);
        let (own, theirs) = (stage.own().device(), stage.cluster.node(2).device());
        let away = |path: &Path| path.with_extension("away");
        fs::rename(&theirs, away(&theirs))?;
        findings.note("peer unmounted", cast, stage.pass(cast, &[])?);
        serving.remove(&2);
        findings.note("peer down", cast, stage.pass(cast, &[])?);
        fs::rename(&own, away(&own))?;
        findings.note("unmounted", cast, stage.pass(cast, &[])?);
        fs::rename(away(&own), &own)?;
        fs::rename(away(&theirs), &theirs)?;
        let ring = stage.own().swift_dir().join("object.ring.gz");
        helper("next_part_power", &json!({"ring": ring, "next_part_power": 3}))?;
        findings.note("part power", cast, stage.pass(cast, &[])?);
        helper("next_part_power", &json!({"ring": ring, "next_part_power": null}))?;
    }
    Ok(findings)
}

/// This node belongs to none.
fn as_handoff() -> Result<Findings> {
    let stage = Stage::of(3, true)?;
    let mut findings = Findings::default();
    for cast in CASTS {
        let mut serving = stage.begin(cast)?;
        serving.remove(&3);
        findings.note("revert, peer down", cast, stage.pass(cast, &[])?);
        serving.insert(3, stage.cluster.node(3).serve(cast.peers)?);
        findings.note("revert", cast, stage.pass(cast, &[])?);
        findings.note("nothing left", cast, stage.pass(cast, &[])?);
    }
    Ok(findings)
}

/// Rows 130 to 141, 159, 160.
#[test]
fn a_pass_tells_what_stocks_tells() -> Result<()> {
    let primary = thread::spawn(as_primary);
    let handoff = as_handoff()?;
    let primary = primary.join().map_err(|_| anyhow!("the test failed"))??;
    let problems = [primary.problems, handoff.problems].concat();
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    let seen = &primary.seen | &handoff.seen;
    let stale: Vec<_> = DIFFERENCES.iter().enumerate().filter(|(place, _)| !seen.contains(place)).collect();
    ensure!(stale.is_empty(), "no such differences any more: {stale:#?}");
    Ok(())
}

/// Rule S5, as an operator meets it.
#[test]
fn a_device_that_was_away_for_long_is_reported_and_held_back_until_the_operator_says_so() -> Result<()> {
    let ours = Cast { replicator: Replicator::Ssync, peers: Server::Ssync(Shape::OneProcess) };
    let stage = Stage::of(2, false)?;
    let serving = stage.begin(ours)?;
    let own = stage.own();
    own.replicate(ours.replicator)?.assert_success();
    drop(serving);
    let month_ago = SystemTime::now() - Duration::from_secs(30 * 86_400);
    let age = |path: PathBuf| fs::File::options().append(true).open(path)?.set_modified(month_ago);
    age(own.device().join(".ssync-served"))?;
    for partition in 0..4 {
        for name in ["hashes.pkl", "hashes.invalid"] {
            age(own.device().join(format!("objects/{partition}/{name}")))?;
        }
    }
    // Its peer has nothing any more: all of it would come back.
    fs::remove_dir_all(stage.cluster.node(2).device().join("objects"))?;
    let _serving = [own.serve(Server::Ssync(Shape::OneProcess))?, stage.cluster.node(2).serve(ours.peers)?];
    for _ in 0..2 {
        let pass = own.replicate(ours.replicator)?;
        ensure!(
            !pass.success && pass.count("attempted") == 0 && pass.count("failure") > 0,
            "{:?}",
            pass.stats
        );
        ensure!(pass.log.contains("was away for 30 days, longer than reclaim_age"), "{}", pass.log);
        ensure!(!stage.cluster.node(2).device().join("objects/0").exists(), "something was pushed");
    }
    let pass = own.replicate_with(ours.replicator, &["--set", "push_returned_devices=true"])?;
    pass.assert_success();
    stage.own().read_tree()?.assert_same(&stage.cluster.node(2).read_tree()?);
    own.replicate(ours.replicator)?.assert_success();
    Ok(())
}
