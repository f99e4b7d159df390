//! Pushes a folder of objects to an ssync receiver; examples/README.md says how it is called and what it prints.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use ssync_client::{
    Client, Event, Put, Refusal, UpdateResult, Updates, Verdicts, come_back_after,
    types::{
        DeviceName, HashPathConfig, HeaderName, Metadata, ObjectHash, ObjectKind, ObjectPath, Offer, Outcome,
        Partition, PartitionRef, PolicyIndex, Timestamp,
    },
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

const CHUNK_BYTES: usize = 64 * 1024;

/// Pushes FOLDER/account/container/object... to a device of a receiver.
#[derive(Debug, Parser)]
#[command(name = "push")]
struct Options {
    /// HOST:PORT of the receiver
    address: String,
    /// A device there, by its name in the ring
    device: DeviceName,
    folder: PathBuf,
    /// Of the policy's ring
    #[arg(long)]
    part_power: u32,
    /// swift_hash_path_prefix of swift.conf
    #[arg(long, default_value = "")]
    hash_prefix: String,
    /// swift_hash_path_suffix of swift.conf
    #[arg(long, default_value = "")]
    hash_suffix: String,
    /// Its index in swift.conf
    #[arg(long, default_value_t = 0)]
    policy: u32,
    /// Only the objects of this one
    #[arg(long)]
    partition: Option<u32>,
    /// A file as md5sum prints it, with names below FOLDER
    #[arg(long)]
    checksums: Option<PathBuf>,
    /// How often a refused partition is tried
    #[arg(long, default_value_t = 5)]
    tries: u32,
}

/// A file that stands for an object.
#[derive(Debug, Clone)]
struct Object {
    path: ObjectPath,
    file: PathBuf,
    size: u64,
    time: Timestamp,
    /// If --checksums names one; else that of the bytes.
    etag: Option<String>,
}

/// Objects that have no verdict yet.
type Left = HashMap<ObjectHash, Object>;

/// Finds FOLDER/account/container/object..., each with its place in the ring.
fn find(options: &Options) -> Result<BTreeMap<Partition, Left>> {
    let etags = options.checksums.as_deref().map(read_checksums).transpose()?.unwrap_or_default();
    let salt = HashPathConfig::new(options.hash_prefix.as_str(), options.hash_suffix.as_str())?;
    let mut found: BTreeMap<Partition, Left> = BTreeMap::new();
    let mut folders = vec![options.folder.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let file = entry?.path();
            let below = file.strip_prefix(&options.folder)?.as_os_str().as_bytes().to_vec();
            let about = fs::metadata(&file)?;
            if about.is_dir() {
                folders.push(file);
                continue;
            }
            // No object: it has no account or no container.
            let Ok(path) = ObjectPath::parse([b"/", below.as_slice()].concat()) else { continue };
            let hash = salt.hash(&path);
            let partition = hash.partition(options.part_power);
            if options.partition.is_none_or(|only| only == partition.get()) {
                let ticks = about.mtime() * 100_000 + about.mtime_nsec() / 10_000;
                let time = Timestamp::new(u64::try_from(ticks)?, 0)?;
                let etag = etags.get(&below).cloned();
                found
                    .entry(partition)
                    .or_default()
                    .insert(hash, Object { path, file, size: about.len(), time, etag });
            }
        }
    }
    Ok(found)
}

/// As md5sum prints them: the digest, two characters, the name.
fn read_checksums(file: &Path) -> Result<HashMap<Vec<u8>, String>> {
    let text = fs::read(file).with_context(|| file.display().to_string())?;
    let line = |line: &[u8]| {
        let (digest, name) = line.split_at_checked(34)?;
        let name = name.strip_prefix(b"./").unwrap_or(name);
        Some((name.to_vec(), String::from_utf8_lossy(digest.get(..32)?).into_owned()))
    };
    Ok(text.split(|&byte| byte == b'\n').filter_map(line).collect())
}

#[derive(Debug, Default)]
struct Totals {
    objects: usize,
    pushed: usize,
    equal: usize,
    failed: usize,
    refused: usize,
}

/// A partition that waits for its turn.
struct Turn {
    partition: Partition,
    left: Left,
    attempt: u32,
    not_before: Instant,
}

struct Pusher {
    client: Client,
    options: Options,
    total: Mutex<Totals>,
}

impl Pusher {
    /// Partition by partition; one that is refused is tried again after the others.
    async fn push(&self, objects: BTreeMap<Partition, Left>) -> Result<bool> {
        self.count(|total| total.objects = objects.values().map(HashMap::len).sum());
        let turn = |(partition, left)| Turn { partition, left, attempt: 1, not_before: Instant::now() };
        let mut turns: VecDeque<Turn> = objects.into_iter().map(turn).collect();
        while let Some(mut turn) = turns.pop_front() {
            sleep_until(turn.not_before).await;
            let before = turn.left.len();
            let left = Mutex::new(std::mem::take(&mut turn.left));
            let ended = self.session(turn.partition, &left).await;
            turn.left = left.into_inner().unwrap_or_else(PoisonError::into_inner);
            match ended {
                Ok(()) if turn.left.is_empty() => {}
                // The receiver ended the session in order: open the next.
                Ok(()) => {
                    turn.attempt += u32::from(turn.left.len() == before);
                    turns.push_front(turn);
                }
                Err(refusal) => match self.refused(&turn, &refusal) {
                    Some(delay) => {
                        turn.attempt += 1;
                        turn.not_before = Instant::now() + delay;
                        turns.push_back(turn);
                    }
                    None => self.count(|total| total.refused += turn.left.len()),
                },
            }
        }
        let total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        let Totals { objects, pushed, equal, failed, refused } = *total;
        tell(
            "done",
            json!({"objects": objects, "pushed": pushed, "equal": equal, "failed": failed, "refused": refused}),
        );
        Ok(failed + refused == 0)
    }

    /// Tells of a refusal; says when to come back, if that is of any use.
    fn refused(&self, turn: &Turn, refusal: &Refusal) -> Option<Duration> {
        let delay = come_back_after(refusal);
        let again = delay.filter(|_| turn.attempt < self.options.tries);
        tell(
            "refused",
            json!({
                "partition": turn.partition.get(), "reason": refusal.reason.name(), "message": refusal.message,
                "retry_seconds": delay.map(|delay| delay.as_secs_f64()), "attempt": turn.attempt, "again": again.is_some(),
            }),
        );
        again
    }

    /// One session. An object with a verdict is taken out of `left`; what stays has to be offered again.
    async fn session(&self, partition: Partition, left: &Mutex<Left>) -> Result<(), Refusal> {
        let Options { device, policy, .. } = &self.options;
        let place = PartitionRef {
            device: device.clone(),
            partition,
            policy: PolicyIndex::new(*policy),
            fragment: None,
        };
        let (updates, verdicts) = self.client.open(place.clone()).await?;
        let objects: Vec<(ObjectHash, Object)> =
            lock(left).iter().map(|(hash, one)| (*hash, one.clone())).collect();
        tell("accepted", json!({"partition": partition.get(), "offers": objects.len()}));
        let (want, wanted) = mpsc::channel(1000);
        let draining = Mutex::new(false);
        // What goes wrong with a session is for its verdicts to say.
        let sending = async {
            let _cause_is_with_the_verdicts = self.send(updates, wanted, left, &draining).await;
            Ok(())
        };
        tokio::try_join!(
            self.check(place, objects, left, want),
            sending,
            self.take(partition, verdicts, left, &draining),
        )?;
        Ok(())
    }

    /// Offers up, wants down: each is handed on as soon as it is known.
    async fn check(
        &self,
        place: PartitionRef,
        objects: Vec<(ObjectHash, Object)>,
        left: &Mutex<Left>,
        want: mpsc::Sender<(ObjectHash, Object)>,
    ) -> Result<(), Refusal> {
        let (ask, asked) = mpsc::channel(1);
        let offers = objects
            .iter()
            .map(|(hash, one)| Offer::of_one_time(*hash, one.time, Some(ObjectKind::Data)))
            .collect::<Vec<_>>();
        let asking = async {
            for batch in offers.chunks(Offer::BATCH_MAX) {
                if ask.send(batch.to_vec()).await.is_err() {
                    break;
                }
            }
            drop(ask);
            Ok::<(), Refusal>(())
        };
        let hearing = async {
            let mut answers = self.client.check(place, asked).await?;
            let mut waiting = objects.iter();
            let mut answered = 0;
            while let Some(answer) = answers.recv().await.transpose()? {
                let lacking: Vec<_> =
                    answer.wants.iter().filter(|want| want.data).map(|want| want.hash).collect();
                let news = usize::try_from(answer.answered_offers - answered).unwrap_or(usize::MAX);
                answered = answer.answered_offers;
                for (hash, one) in waiting.by_ref().take(news) {
                    if !lacking.contains(hash) {
                        lock(left).remove(hash);
                        self.count(|total| total.equal += 1);
                    } else if want.send((*hash, one.clone())).await.is_err() {
                        return Ok(());
                    }
                }
            }
            Ok(())
        };
        tokio::try_join!(asking, hearing)?;
        Ok(())
    }

    /// Feeds wants into the session until there are no more, or the receiver asks to finish.
    async fn send(
        &self,
        mut updates: Updates,
        mut wanted: mpsc::Receiver<(ObjectHash, Object)>,
        left: &Mutex<Left>,
        draining: &Mutex<bool>,
    ) -> Result<(), Refusal> {
        while let Some((hash, one)) = wanted.recv().await {
            if *lock(draining) || updates.is_full() {
                break;
            }
            match File::open(&one.file) {
                Ok(file) => self.put(&mut updates, hash, &one, file, left).await?,
                Err(error) => self.fail(left, hash, "UNREADABLE", &error.to_string()),
            }
        }
        updates.finish();
        Ok(())
    }

    /// A small body in one message, a larger one in pieces.
    async fn put(
        &self,
        updates: &mut Updates,
        hash: ObjectHash,
        one: &Object,
        mut file: File,
        left: &Mutex<Left>,
    ) -> Result<(), Refusal> {
        let mut metadata = Metadata::new();
        metadata.insert(HeaderName::from_static("Content-Type"), "application/octet-stream");
        let put = Put { path: one.path.clone(), timestamp: one.time, content_length: one.size, metadata };
        let etag = |digest: Md5| {
            one.etag
                .clone()
                .unwrap_or_else(|| format!("{:032x}", u128::from_be_bytes(digest.finalize().into())))
        };
        if one.size <= u64::from(updates.terms().inline_bytes_max).min(CHUNK_BYTES as u64) {
            let mut data = Vec::new();
            match file.read_to_end(&mut data) {
                Ok(read) if read as u64 == one.size => {
                    let etag = etag(Md5::new_with_prefix(&data));
                    updates.put(put, data.into(), &etag).await?;
                }
                Ok(_) => self.fail(left, hash, "UNREADABLE", "the file has not the bytes of before"),
                Err(error) => self.fail(left, hash, "UNREADABLE", &error.to_string()),
            }
            return Ok(());
        }
        let mut body = updates.begin(put).await?;
        let (mut digest, mut length) = (Md5::new(), 0);
        let trouble = loop {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            match (&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut chunk) {
                Ok(0) => break (length != one.size).then(|| format!("{length} bytes, not {}", one.size)),
                Ok(read) => length += read as u64,
                Err(error) => break Some(error.to_string()),
            }
            digest.update(&chunk);
            body.chunk(chunk.into()).await?;
        };
        // What cannot be read to its end is broken off: it costs this object, not the session.
        match trouble {
            Some(trouble) => body.abort(&trouble).await?,
            None => body.complete(&etag(digest)).await?,
        };
        Ok(())
    }

    async fn take(
        &self,
        partition: Partition,
        mut verdicts: Verdicts,
        left: &Mutex<Left>,
        draining: &Mutex<bool>,
    ) -> Result<(), Refusal> {
        while let Some(event) = verdicts.next().await? {
            match event {
                Event::Results(results) => results.into_iter().for_each(|result| self.settle(left, result)),
                Event::Draining(message) => {
                    tell("draining", json!({"partition": partition.get(), "message": message}));
                    *lock(draining) = true;
                }
                Event::Summary(sum) => tell(
                    "summary",
                    json!({
                        "partition": partition.get(), "applied": sum.applied, "confirmed": sum.confirmed,
                        "superseded": sum.superseded, "failed": sum.failed,
                    }),
                ),
            }
        }
        Ok(())
    }

    fn settle(&self, left: &Mutex<Left>, result: UpdateResult) {
        let outcome = match result.outcome {
            Outcome::Applied => "APPLIED",
            Outcome::AppliedUnflushed => "APPLIED_UNFLUSHED",
            Outcome::Confirmed => "CONFIRMED",
            Outcome::Superseded(_) => "SUPERSEDED",
            Outcome::NotFound => return self.fail(left, result.hash, "NOT_FOUND", ""),
            Outcome::NotPrimary => return self.fail(left, result.hash, "NOT_PRIMARY", ""),
            Outcome::Failed(refusal) => {
                return self.fail(left, result.hash, refusal.reason.name(), &refusal.message);
            }
        };
        if let Some(one) = lock(left).remove(&result.hash) {
            self.count(|total| total.pushed += 1);
            tell(
                "object",
                json!({"path": one.path.to_string(), "hash": result.hash.to_string(), "outcome": outcome}),
            );
        }
    }

    fn fail(&self, left: &Mutex<Left>, hash: ObjectHash, reason: &str, message: &str) {
        let Some(one) = lock(left).remove(&hash) else { return };
        self.count(|total| total.failed += 1);
        tell(
            "object",
            json!({
                "path": one.path.to_string(), "hash": hash.to_string(), "outcome": "FAILED", "reason": reason, "message": message,
            }),
        );
    }

    fn count(&self, count: impl FnOnce(&mut Totals)) {
        count(&mut lock(&self.total));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tell(event: &str, mut what: Value) {
    what["event"] = event.into();
    if let Value::Object(fields) = &mut what {
        fields.retain(|_, value| !value.is_null());
    }
    // Who does not read on does not want to know.
    let _ = writeln!(io::stdout(), "{what}");
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let options = Options::parse();
    ensure!((1..=32).contains(&options.part_power), "--part-power has to be 1 to 32");
    let client = Client::to(&format!("http://{}", options.address), "ssync-example-rust/1")?;
    let objects = find(&options)?;
    let good = Pusher { client, options, total: Mutex::default() }.push(objects).await?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
