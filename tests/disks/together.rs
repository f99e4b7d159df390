//! Swift's processes and ours on the same partitions of one device at the same time: no acknowledged write is lost, and
//! everybody tells the same suffix hashes.
//!
//! Swift's server notes that a suffix is stale before it gives a file its name, and never again (diskfile.py _finalize_put).
//! Whoever calculates hashes in between takes the note and sees no file: that hash stays stale. So hashes are judged after
//! rounds in which Swift calculates, asks and pushes, and all that is written is written by ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use ssync_tests::{Chance, Cluster, DEVICE, Helper, Node, Replicator, Server, Shape, exchange, helper};

use crate::{
    ledger::{Kind, Ledger},
    writers::{Object, Statuses, ask, now, write},
};

/// Two partitions, so that everybody meets everybody.
const PART_POWER: u8 = 1;
const PARTITIONS: u32 = 2;
/// Seconds of writing, unless SSYNC_TOGETHER_SECONDS says otherwise.
const SECONDS: u64 = 9;
const SECONDS_LONG: u64 = 60;
/// After so long everybody stops, and what is there is judged.
const ROUND: Duration = Duration::from_secs(3);
/// Objects of a partition that are written all the time, and such that are written once or twice in a round: a hash that went
/// wrong is not mended by the next write.
const HOT: usize = 4;
const COLD: usize = 150;
const WRITERS: u64 = 4;
/// How long nothing may be written before it is judged, and how often that is looked at.
const QUIET: Duration = Duration::from_millis(700);
const QUIET_LOOKS_MAX: usize = 30;
/// A process that gets no time is quiet too, and writes later; a stale hash or a lost file stays what it is.
const JUDGED_MAX: usize = 3;
/// Objects that our replicator carries in a pass.
const PUSHED_AT_ONCE: usize = 10;
/// Seldom enough that most writes meet no pass.
const PASS_PAUSE: Duration = Duration::from_millis(100);

/// The node whose device all share; nodes that push to it.
const SHARED: u8 = 1;
const STOCK_SENDER: u8 = 2;
const OUR_SENDER: u8 = 3;

type Hashes = BTreeMap<String, BTreeMap<String, String>>;

#[test]
fn on_the_same_partitions() -> Result<()> {
    run(SECONDS)
}

#[test]
#[ignore = "long: run tests/run --full"]
fn on_the_same_partitions_for_a_minute() -> Result<()> {
    run(SECONDS_LONG)
}

fn number_of(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

fn run(seconds: u64) -> Result<()> {
    let seconds = number_of("SSYNC_TOGETHER_SECONDS").unwrap_or(seconds);
    let chosen = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos();
    let seed = number_of("SSYNC_TOGETHER_SEED").unwrap_or(u64::from(chosen));
    eprintln!("seed {seed}: SSYNC_TOGETHER_SEED={seed} writes in the same order again");
    let cluster = Cluster::of(3).handoff(STOCK_SENDER).part_power(PART_POWER).build()?;
    let shared = cluster.node(SHARED);
    let beside = shared.beside()?;
    let mut ours = shared.serve(Server::Ssync(Shape::OneProcess))?;
    let mut stock = beside.serve(Server::Stock)?;
    let mut sender = cluster.node(OUR_SENDER).serve(Server::Ssync(Shape::OneProcess))?;

    let rounds = usize::try_from(seconds.div_ceil(ROUND.as_secs()))?;
    let mut together = Together {
        cluster: &cluster,
        beside: &beside,
        objects: objects(shared, rounds)?,
        rounds,
        ledger: Ledger::default(),
        seen: Seen::default(),
    };
    let mut chance = Chance::new(seed);
    let outcome = (0..rounds).try_for_each(|round| {
        together.round(round, chance.below(usize::MAX) as u64).with_context(|| format!("round {round}"))?;
        for serving in [&mut ours, &mut stock, &mut sender] {
            serving.assert_running();
        }
        together
            .judge_at_rest(stock_writes(round))
            .with_context(|| format!("after round {round}, seed {seed}"))
    });
    let (tried, acknowledged) = together.ledger.counts();
    eprintln!("{rounds} rounds, {tried} writes, {acknowledged} acknowledged, {:?}", together.seen);
    let surprised: Vec<String> = [(&ours, "ours"), (&stock, "stock"), (&sender, "our sender")]
        .into_iter()
        .flat_map(|(serving, who)| {
            surprises(&serving.log()).into_iter().map(move |line| format!("{who}: {line}"))
        })
        .collect();
    outcome.with_context(|| surprised.join("\n"))?;
    ensure!(surprised.is_empty(), "surprised {} times:\n{}", surprised.len(), surprised.join("\n"));
    together.seen.assert_all_took_part();
    Ok(())
}

/// Whether Swift's server stores as well in a round.
fn stock_writes(round: usize) -> bool {
    round.is_multiple_of(2)
}

/// Hot objects, and for each round cold ones of its own; half of each are never deleted.
fn objects(node: &Node, rounds: usize) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    for partition in 0..PARTITIONS {
        for (group, count) in [("hot", HOT), ("cold", COLD * rounds)] {
            for kind in ["kept", "any"] {
                objects.extend(Object::located(node, partition, count / 2, &format!("{group}-{kind}-"))?);
            }
        }
    }
    Ok(objects)
}

/// What happened, to be sure that it did.
#[derive(Debug, Default)]
struct Seen {
    statuses: Statuses,
    asked: usize,
    hash_calls: u64,
    hashed: u64,
    /// Sessions of the stock sender, into ours and into stock.
    ssync: [u64; 2],
    ssync_failed: u64,
    grpc: usize,
    grpc_failed: usize,
}

impl Seen {
    fn assert_all_took_part(&self) {
        for (what, count) in [
            ("PUT", self.statuses.get(&("PUT", 201)).copied().unwrap_or_default()),
            ("POST", self.statuses.get(&("POST", 202)).copied().unwrap_or_default()),
            ("DELETE", self.statuses.get(&("DELETE", 204)).copied().unwrap_or_default()),
            ("REPLICATE", self.asked),
            ("Swift's get_hashes", usize::try_from(self.hashed).unwrap_or_default()),
            ("SSYNC into ours", usize::try_from(self.ssync[0]).unwrap_or_default()),
            ("SSYNC into stock", usize::try_from(self.ssync[1]).unwrap_or_default()),
            ("passes by gRPC", self.grpc),
        ] {
            assert!(count > 0, "no {what} has succeeded: {self:?}");
        }
    }
}

struct Together<'a> {
    cluster: &'a Cluster,
    beside: &'a Node,
    objects: Vec<Object>,
    rounds: usize,
    ledger: Ledger,
    seen: Seen,
}

impl Together<'_> {
    fn shared(&self) -> &Node {
        self.cluster.node(SHARED)
    }

    fn servers(&self) -> [SocketAddr; 2] {
        [self.shared().address(), self.beside.address()]
    }

    fn disk(&self, node: &Node) -> Value {
        json!({"swift_dir": node.swift_dir(), "devices": node.devices(), "device": DEVICE, "policy": 0,
               "partitions": (0..PARTITIONS).collect::<Vec<_>>()})
    }

    /// Everybody at once, for a while.
    fn round(&mut self, round: usize, seed: u64) -> Result<()> {
        let of_round =
            self.objects.iter().filter(|object| object.is_hot() || object.number % self.rounds == round);
        let objects: Vec<Object> = of_round.cloned().collect();
        let by_path: BTreeMap<&str, u32> = objects.iter().map(|o| (o.path.as_str(), o.partition)).collect();
        let hashing = Helper::start("hash_loop", &self.disk(self.shared()))?;
        let mut pushing = self.disk(self.cluster.node(STOCK_SENDER));
        let target =
            |address: SocketAddr| json!({"ip": address.ip(), "port": address.port(), "device": DEVICE});
        let [ours, stock] = self.servers();
        let storing = if stock_writes(round) { [ours, stock] } else { [ours, ours] };
        let targets = if stock_writes(round) { &storing[..] } else { &storing[..1] };
        pushing["targets"] = targets.iter().copied().map(target).collect::<Vec<_>>().into();
        pushing["objects"] = json!(by_path);
        pushing["seed"] = seed.into();
        pushing["tick"] = 7.into();
        let pushing = Helper::start("ssync_loop", &pushing)?;
        let stop = AtomicBool::new(false);
        let (servers, mut noted) = (self.servers(), Ledger::default());
        let (stop_ref, objects_ref, cluster) = (&stop, &objects, self.cluster);
        let outcome = thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|number| {
                    scope.spawn(move || write(storing, DEVICE, objects_ref, seed ^ number, stop_ref))
                })
                .collect();
            let asking = scope.spawn(move || ask_for_hashes(servers, objects_ref, stop_ref));
            let passing = scope.spawn(move || push(cluster.node(OUR_SENDER), objects_ref, seed, stop_ref));
            thread::sleep(ROUND);
            stop.store(true, Ordering::Relaxed);
            let lost = |_| anyhow::anyhow!("a thread of the test panicked");
            let mut statuses = Vec::new();
            for writer in writers {
                let (ledger, counted) = writer.join().map_err(lost)??;
                noted.merge(ledger);
                statuses.push(counted);
            }
            anyhow::Ok((statuses, asking.join().map_err(lost)??, passing.join().map_err(lost)??))
        });
        let (hashed, pushed) = (hashing.stop()?, pushing.stop()?);
        let (statuses, asked, passed) = outcome?;
        for (key, count) in statuses.into_iter().flatten() {
            *self.seen.statuses.entry(key).or_default() += count;
        }
        self.seen.asked += asked;
        self.seen.grpc += passed.good;
        self.seen.grpc_failed += passed.failed;
        ensure!(hashed["errors"] == json!([]), "Swift's get_hashes: {}", hashed["errors"]);
        let count = |value: &Value| value.as_u64().unwrap_or_default();
        self.seen.hash_calls += count(&hashed["calls"]);
        self.seen.hashed += count(&hashed["changed"]);
        self.seen.ssync_failed += count(&pushed["failed"]);
        for (target, sessions) in self.seen.ssync.iter_mut().enumerate() {
            *sessions += count(&pushed["sessions"][target]);
        }
        self.ledger.merge(noted);
        self.ledger.merge(passed.ledger);
        self.ledger.note_all(&pushed["tried"], false)?;
        self.ledger.note_all(&pushed["pushed"], true)
    }

    /// As [`judge`](Self::judge); what was found wrong is looked at again. Hashes that Swift's server may have left stale are
    /// not judged, and forgotten.
    fn judge_at_rest(&self, may_be_stale: bool) -> Result<()> {
        for judged in 1.. {
            match self.judge(may_be_stale) {
                Err(error) if judged < JUDGED_MAX => eprintln!("judged again, after: {error:#}"),
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        if may_be_stale { forget_hashes(&self.shared().device()) } else { Ok(()) }
    }

    /// Everybody rests: is it all there, and do all tell the same?
    fn judge(&self, may_be_stale: bool) -> Result<()> {
        let shared = self.shared();
        wait_for_quiet(&shared.device())?;
        let copies = tempfile::tempdir_in(self.cluster.folder())?;
        let (as_it_is, from_scratch) = (copies.path().join("as-it-is"), copies.path().join("from-scratch"));
        for copy in [&as_it_is, &from_scratch] {
            copy_of(&shared.device(), copy)?;
        }
        forget_hashes(&from_scratch.join(DEVICE))?;

        // Ours first: what it writes to hashes.pkl is what stock goes on from.
        let told = hashes_of(self.servers())?;
        let python = shared.read_tree_in(&as_it_is, 0)?;
        let scratch = shared.read_tree_in(&from_scratch, 0)?;

        scratch.assert_sound();
        let faults = self.ledger.faults(&scratch);
        ensure!(
            faults.is_empty(),
            "{} objects are not as they were acknowledged:\n{}",
            faults.len(),
            faults.join("\n")
        );
        ensure!(
            scratch.hashes.len() == PARTITIONS as usize,
            "{} partitions have hashes",
            scratch.hashes.len()
        );
        let all = [
            ("Swift's get_hashes", &python.hashes),
            ("REPLICATE of ours", &told[0]),
            ("REPLICATE of stock", &told[1]),
        ];
        for (who, hashes) in all.into_iter().filter(|_| !may_be_stale) {
            let wrong = different(hashes, &scratch.hashes);
            ensure!(
                wrong.is_empty(),
                "{who}: {} suffixes are not what the files tell: {wrong:?}",
                wrong.len()
            );
        }
        let left = leftovers(&shared.device())?;
        ensure!(left.is_empty(), "left behind: {left:?}");
        Ok(())
    }
}

/// Waits until nothing is written any more: a session whose sender is gone ends what it has begun, and the copies that are
/// compared are made one after the other.
fn wait_for_quiet(device: &Path) -> Result<()> {
    let mut before = BTreeMap::new();
    for _ in 0..QUIET_LOOKS_MAX {
        let mut now = BTreeMap::new();
        look(device, &mut now)?;
        if now == before {
            return Ok(());
        }
        before = now;
        thread::sleep(QUIET);
    }
    bail!("{} is still being written to, though nobody asks for anything", device.display())
}

/// The files below a folder, with their lengths. What goes away meanwhile is not there.
fn look(folder: &Path, found: &mut BTreeMap<PathBuf, u64>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => look(&entry.path(), found)?,
            Ok(metadata) => drop(found.insert(entry.path(), metadata.len())),
            Err(_) => {}
        }
    }
    Ok(())
}

/// The suffixes of which two tell differently.
fn different(one: &Hashes, other: &Hashes) -> Vec<String> {
    let of = |hashes: &Hashes, partition: &str, suffix: &str| {
        hashes.get(partition).and_then(|all| all.get(suffix)).cloned()
    };
    let names = |hashes: &Hashes| -> Vec<(String, String)> {
        let all =
            hashes.iter().flat_map(|(p, all)| all.keys().map(move |suffix| (p.clone(), suffix.clone())));
        all.collect()
    };
    let all: BTreeSet<_> = names(one).into_iter().chain(names(other)).collect();
    let differ = all.into_iter().filter(|(p, suffix)| of(one, p, suffix) != of(other, p, suffix));
    differ
        .map(|(p, suffix)| {
            format!("{p}/{suffix}: {:?} for {:?}", of(one, &p, &suffix), of(other, &p, &suffix))
        })
        .collect()
}

fn replicate(server: SocketAddr, path: &str) -> Result<Vec<u8>> {
    let request = format!(
        "REPLICATE /{DEVICE}/{path} HTTP/1.1\r\nHost: node\r\nX-Backend-Storage-Policy-Index: 0\r\n\r\n"
    );
    let answer = exchange(server, request.as_bytes())?;
    ensure!(answer.status == 200, "REPLICATE {path} at {server}: {} {}", answer.status, answer.text());
    Ok(answer.body)
}

/// What each server tells, brought up to date as for any replicator.
fn hashes_of(servers: [SocketAddr; 2]) -> Result<Vec<Hashes>> {
    let mut pickles = Vec::new();
    for server in servers {
        for partition in 0..PARTITIONS {
            let body = replicate(server, &partition.to_string())?;
            pickles.push(body.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        }
    }
    let told: Vec<BTreeMap<String, String>> =
        serde_json::from_value(helper("unpickle", &json!({"hex": pickles}))?)?;
    let by_server = told.chunks(PARTITIONS as usize);
    Ok(by_server
        .map(|hashes| (0..PARTITIONS).map(|p| p.to_string()).zip(hashes.iter().cloned()).collect())
        .collect())
}

/// Asks both servers for hashes, at times anew for the suffixes of hot objects.
fn ask_for_hashes(servers: [SocketAddr; 2], objects: &[Object], stop: &AtomicBool) -> Result<usize> {
    let mut asked = 0;
    let hot: Vec<&Object> = objects.iter().filter(|object| object.is_hot()).collect();
    while !stop.load(Ordering::Relaxed) {
        for server in servers {
            for partition in 0..PARTITIONS {
                replicate(server, &partition.to_string())?;
                asked += 1;
            }
            if let Some(object) = hot.get(asked % hot.len().max(1)) {
                replicate(server, &format!("{}/{}", object.partition, object.suffix))?;
            }
        }
    }
    Ok(asked)
}

/// What our replicator carried.
#[derive(Debug, Default)]
struct Passed {
    ledger: Ledger,
    good: usize,
    failed: usize,
}

/// Writes to a node of ours and has its replicator push that, by gRPC.
fn push(node: &Node, objects: &[Object], seed: u64, stop: &AtomicBool) -> Result<Passed> {
    let (mut chance, mut passed) = (Chance::new(!seed), Passed::default());
    while !stop.load(Ordering::Relaxed) {
        let mut written = Vec::new();
        for _ in 0..PUSHED_AT_ONCE {
            let (object, timestamp) = (chance.of(objects), now());
            let headers = format!("X-Object-Meta-Written: {timestamp}\r\n");
            let status =
                ask(node.address(), "PUT", (DEVICE, object), &timestamp, &headers, timestamp.as_bytes())?;
            ensure!(status == 201, "PUT {} at the node that pushes: {status}", object.path);
            written.push((&object.path, timestamp));
        }
        let pass = node.replicate(Replicator::Ssync)?;
        // A partition that somebody else holds is a failure; the next pass carries it.
        let good = pass.success && pass.count("failure") == 0;
        *if good { &mut passed.good } else { &mut passed.failed } += 1;
        for (path, timestamp) in written {
            passed.ledger.note(path, &timestamp, Kind::Data(timestamp.len()), good);
        }
        thread::sleep(PASS_PAUSE);
    }
    Ok(passed)
}

/// A device as it is now, extended attributes and all, in another folder of devices.
fn copy_of(device: &Path, devices: &Path) -> Result<()> {
    fs::create_dir_all(devices)?;
    let status = Command::new("cp").args(["-a", "--"]).args([device, devices]).status()?;
    ensure!(status.success(), "cp: {status}");
    Ok(())
}

/// What lies in the folders of partitions.
fn in_partitions(device: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for partition in fs::read_dir(device.join("objects"))? {
        for entry in fs::read_dir(partition?.path())? {
            found.push(entry?.path());
        }
    }
    Ok(found)
}

fn forget_hashes(device: &Path) -> Result<()> {
    let mut known = in_partitions(device)?
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name == "hashes.pkl" || name == "hashes.invalid"));
    Ok(known.try_for_each(fs::remove_file)?)
}

/// What nobody needs once everybody rests: locks that are held, temporary files, quarantine.
fn leftovers(device: &Path) -> Result<Vec<String>> {
    let mut left = Vec::new();
    let mut locks: Vec<PathBuf> = in_partitions(device)?;
    for entry in fs::read_dir(device)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match name.as_str() {
            "objects" => {}
            "tmp" => {
                for place in [path.join("held"), path] {
                    let Ok(inside) = fs::read_dir(&place) else { continue };
                    let inside =
                        inside.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
                    let files = inside.iter().filter(|path| !path.ends_with("held"));
                    left.extend(files.map(|path| path.display().to_string()));
                }
            }
            name if name.starts_with(".lock") => locks.push(path),
            _ => left.push(path.display().to_string()),
        }
    }
    for path in locks {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(".lock") {
            let lock = File::open(&path)?;
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                left.push(format!("{} is held", path.display()));
            }
        } else if name != "hashes.pkl" && name != "hashes.invalid" && name.len() != 3 {
            left.push(path.display().to_string());
        }
    }
    Ok(left)
}

/// What a server did not expect.
fn surprises(log: &str) -> Vec<String> {
    let words = ["Traceback", "ERROR", "EXCEPTION", "panicked", "uarantine"];
    let found = log.lines().filter(|line| words.iter().any(|word| line.contains(word)));
    found.filter(|line| !is_known(line)).map(str::to_owned).collect()
}

/// What stock Swift does in such company also when it is alone.
fn is_known(line: &str) -> bool {
    // Somebody else was faster with an object that a session carried, which counts as a failure of it.
    let superseded = line.contains("ERROR: With :UPDATES:");
    // Hashing removes an empty suffix; stock does not make it again for an upload that had just made it.
    let making = ["makedirs_count", "_get_tempfile"].iter().any(|step| line.contains(step));
    let suffix_removed = making && line.contains("FileNotFoundError");
    superseded || suffix_removed
}
