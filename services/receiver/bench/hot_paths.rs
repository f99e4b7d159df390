//! Three paths that replication goes through most, each once and by itself, so that its instructions can be counted.
//!
//! ```sh
//! hot_paths prepare FOLDER 10000                                  a device with so many objects in one partition
//! valgrind --tool=callgrind hot_paths missing-check FOLDER 10000  so many offers, of which half are there
//! valgrind --tool=callgrind hot_paths receive FOLDER 1000         so many new objects of 4 KiB
//! valgrind --tool=callgrind hot_paths suffix-hash FOLDER 10000    the hashes of the partition, none of which is known
//! ```
//!
//! One thread asks, one works on the disk; names, times and bodies are the same each time. `tests/bench/run instructions`
//! calls it.

use std::{collections::BTreeMap, env, error::Error, fs, path::PathBuf, sync::Arc};

use bytes::Bytes;
use md5::{Digest as _, Md5};
use ssync_diskfile::{Devices, DiskConfig, PolicyKind, Reserve};
use ssync_receiver::{Placement, Receiver, ReceiverConfig};
use ssync_store::{Session, Store as _};
use ssync_types::{
    DeviceName, HashPathConfig, HeaderName, InlineBody, Job, Metadata, ObjectHash, ObjectKind, ObjectPath,
    Offer, Outcome, Partition, PartitionRef, PolicyIndex, PutUpdate, Rehash, Sender, SessionEvent,
    SessionOpen, SessionProtocol, Timestamp, Update, UpdateMessage, UpdateOp,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const DEVICE: &str = "sdb1";
const BODY_BYTES: usize = 4096;
const OFFERS_AT_ONCE: usize = 500;
/// The second of the epoch in which all objects were written.
const WRITTEN: u64 = 1_700_000_000;
/// Numbers from here on are those of objects that were not prepared.
const NEW: usize = 1_000_000;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [path, folder, count] = &arguments[..] else {
        return Err("usage: hot_paths prepare|missing-check|receive|suffix-hash FOLDER COUNT".into());
    };
    let count = count.parse()?;
    let node = Node::over(PathBuf::from(folder))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build()?;
    runtime.block_on(async {
        match path.as_str() {
            "prepare" => node.receive(0, count).await,
            "missing-check" => node.missing_check(count).await,
            "receive" => node.receive(NEW, count).await,
            "suffix-hash" => node.suffix_hash(count).await,
            _ => Err(format!("{path}: no such path").into()),
        }
    })
}

/// A ring of one partition, whose only primary is this node.
#[derive(Debug)]
struct OnePartition;

impl Placement for OnePartition {
    fn part_power(&self, _policy: PolicyIndex) -> Option<u32> {
        Some(0)
    }

    fn is_primary(&self, _policy: PolicyIndex, _partition: Partition, _device: &DeviceName) -> Option<bool> {
        Some(true)
    }

    fn ring_digest(&self, _policy: PolicyIndex) -> Option<Vec<u8>> {
        None
    }
}

struct Node {
    receiver: Arc<Receiver>,
    hash: HashPathConfig,
    partition: PartitionRef,
}

impl Node {
    fn over(devices: PathBuf) -> Result<Self, Failure> {
        fs::create_dir_all(devices.join(DEVICE))?;
        let disk = DiskConfig {
            devices,
            mount_check: false,
            fallocate_reserve: Reserve::Bytes(0),
            ..DiskConfig::default()
        };
        let config = ReceiverConfig { threads_per_device: 1, ..ReceiverConfig::default() };
        let hash = HashPathConfig::new("changeme", "changeme")?;
        let policy = PolicyIndex::new(0);
        let policies = BTreeMap::from([(policy, PolicyKind::Replication)]);
        let devices = Arc::new(Devices::new(disk, hash.clone(), policies));
        let receiver = Receiver::new(config, devices, Arc::new(OnePartition), CancellationToken::new());
        let partition =
            PartitionRef { device: DEVICE.parse()?, partition: Partition::new(0), policy, fragment: None };
        Ok(Self { receiver, hash, partition })
    }

    /// What a sender asks first.
    async fn missing_check(&self, count: usize) -> Result<(), Failure> {
        let (offers, asked) = mpsc::channel(1);
        let mut answers = self.receiver.missing_check(self.partition.clone(), asked).await?;
        // The prepared ones and as many others, in the order in which a sender has them.
        let mut hashes: Vec<ObjectHash> = (0..count / 2)
            .flat_map(|number| [number, NEW + number])
            .map(|number| Ok(self.hash.hash(&name(number)?)))
            .collect::<Result<_, Failure>>()?;
        hashes.sort_unstable();
        let sending = async move {
            for batch in hashes.chunks(OFFERS_AT_ONCE) {
                let batch = batch.iter().map(|hash| {
                    Offer::of_one_time(*hash, Timestamp::from_seconds(WRITTEN), Some(ObjectKind::Data))
                });
                offers.send(batch.collect()).await?;
            }
            Ok::<(), Failure>(())
        };
        let reading = async {
            let mut wanted = 0;
            while let Some(answer) = answers.recv().await {
                wanted += answer?.wants.len();
            }
            Ok::<usize, Failure>(wanted)
        };
        let ((), wanted) = tokio::try_join!(sending, reading)?;
        expect("objects that are lacked", wanted, count / 2)
    }

    /// Objects come in, in one session, and all of them are on the disk.
    async fn receive(&self, first: usize, count: usize) -> Result<(), Failure> {
        let Session { messages, mut events } = self.receiver.updates(self.open()).await?;
        let body = Bytes::from(vec![b'x'; BODY_BYTES]);
        let etag: String = Md5::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        let content_type = (HeaderName::new(b"Content-Type")?, Bytes::from_static(b"text/plain"));
        let metadata: Metadata = [content_type].into_iter().collect();
        let sending = async move {
            for number in first..first + count {
                let put = PutUpdate {
                    path: name(number)?,
                    timestamp: Timestamp::from_seconds(WRITTEN),
                    content_length: BODY_BYTES as u64,
                    metadata: metadata.clone(),
                    durable: true,
                    inline_body: Some(InlineBody { data: body.clone(), etag: Some(etag.clone()) }),
                };
                let update = Update { id: (number - first + 1) as u64, op: UpdateOp::Put(put) };
                messages.send(UpdateMessage::Update(update)).await?;
            }
            Ok::<(), Failure>(())
        };
        let reading = async {
            let mut applied = 0;
            while let Some(event) = events.recv().await {
                if let SessionEvent::Results(results) = event? {
                    applied += results.iter().filter(|result| result.outcome == Outcome::Applied).count();
                }
            }
            Ok::<usize, Failure>(applied)
        };
        let ((), applied) = tokio::try_join!(sending, reading)?;
        expect("objects that were stored", applied, count)
    }

    /// What a peer is asked before anything is offered to it.
    async fn suffix_hash(&self, count: usize) -> Result<(), Failure> {
        let rehash = Rehash { suffixes: Vec::new(), list: true };
        let hashes = self.receiver.suffix_hashes(self.partition.clone(), rehash).await?;
        let mut suffixes: Vec<_> = (0..count)
            .map(|number| Ok(self.hash.hash(&name(number)?).suffix().to_string()))
            .collect::<Result<_, Failure>>()?;
        suffixes.sort_unstable();
        suffixes.dedup();
        expect("suffixes", hashes.iter().count(), suffixes.len())
    }

    fn open(&self) -> SessionOpen {
        let sender = Sender {
            address: "127.0.0.1:6200".to_owned(),
            device: DEVICE.to_owned(),
            job: Job::Sync,
            agent: "hot_paths".to_owned(),
        };
        SessionOpen {
            partition: self.partition.clone(),
            sender,
            ring_digest: None,
            non_durable: false,
            failures_unlimited: false,
            protocol: SessionProtocol::Grpc,
        }
    }
}

fn name(number: usize) -> Result<ObjectPath, Failure> {
    Ok(ObjectPath::of("AUTH_test", "c", &format!("object-{number:07}"))?)
}

fn expect(what: &str, found: usize, expected: usize) -> Result<(), Failure> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found}, not {expected}").into()) }
}
