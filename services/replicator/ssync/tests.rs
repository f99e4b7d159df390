//! The sender against a peer that says what was recorded from Swift's own, or what it should not.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use ssync_diskfile::{LocalObject, Location, MetaFile};
use ssync_protocol::removal::PeerIndex;
use ssync_types::{
    Metadata, ObjectHash, ObjectPath, Offer, Outcome, Partition, PartitionRef, PolicyIndex, Reason, Refusal,
    Sender, SuffixHash, Timestamp,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Limits, SsyncPeer};
use crate::{
    backlog::Backlog,
    parked::Parked,
    peer::{Errand, Peer as _, PushError, PushMode, Pushed, Target, Verdict, Verdicts},
    source::{LocalDevices, Source},
    testing::{Cluster, policy, ring_device},
};

const POLICY: PolicyIndex = PolicyIndex::new(0);
const PARTITION: Partition = Partition::new(1);
const DELTA_SENT: &[u8] = include_bytes!("recorded/delta.c2s");
const DELTA_ANSWER: &[u8] = include_bytes!("recorded/delta.s2c");
const HEAD: &str =
    "HTTP/1.1 200 OK\r\nX-Backend-Accept-No-Commit: True\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\r\n\r\n";

/// A peer that answers each connection with the next of these texts, and keeps what it was sent. Its word on the updates
/// comes when they have ended.
async fn scripted(answers: Vec<Vec<u8>>) -> (SocketAddr, JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let peer = tokio::spawn(async move {
        let mut received = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (before, after) = answer.split_at(updates_begin(&answer));
            stream.write_all(before).await.unwrap();
            let mut sent = Vec::new();
            while !after.is_empty() && !sent.windows(13).any(|bytes| bytes == b":UPDATES: END") {
                if stream.read_buf(&mut sent).await.is_ok_and(|read| read > 0) {
                    continue;
                }
                break;
            }
            drop(stream.write_all(after).await);
            // A sender that gives up may reset the connection.
            let _ = stream.read_to_end(&mut sent).await;
            received.push(sent);
        }
        received
    });
    (address, peer)
}

/// Where the chunk begins in which the peer speaks of the updates.
fn updates_begin(answer: &[u8]) -> usize {
    let Some(marker) = answer.windows(15).position(|bytes| bytes == b":UPDATES: START") else {
        return answer.len();
    };
    let size = answer[..marker - 2].iter().rposition(|byte| *byte == b'\n').unwrap();
    size + 1
}

/// `HEAD`, and these lines as chunks, and the end.
fn answer(lines: &[&str]) -> Vec<u8> {
    let mut answer = HEAD.to_owned();
    for line in lines {
        answer += &format!("{:x}\r\n{line}\r\n", line.len());
    }
    (answer + "0\r\n\r\n").into_bytes()
}

const NO_WANTS: [&str; 4] =
    [":MISSING_CHECK: START\r\n", "\r\n", ":MISSING_CHECK: END\r\n", ":UPDATES: START\r\n:UPDATES: END\r\n"];

fn seconds(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The five objects of the recorded conversation.
struct Scene {
    cluster: Cluster,
    source: Source,
    offers: Arc<Vec<LocalObject>>,
    parked: Parked,
}

impl Scene {
    async fn new() -> Self {
        let cluster = Cluster::new(policy(2, &[&[0, 0, 0, 0], &[1, 1, 1, 1]]));
        let node = cluster.node(0);
        let place = |name: &str| {
            let path = ObjectPath::of("AUTH_cap", "c", name).unwrap();
            let hash = node.devices.hash_path().hash(&path);
            (Location { policy: POLICY, partition: PARTITION, hash }, path)
        };
        let put = |name: &str, at: &str, body: &[u8]| {
            let mut metadata = Metadata::new();
            metadata.set("Content-Type", "application/octet-stream");
            let (location, path) = place(name);
            node.put_with(&location, &path, seconds(at), body, metadata);
        };
        put("big-2", "1795248861.0", b"x");
        put("zero-2", "1795248882.0", b"no longer zero");
        put("plain-3", "1795248851.0", b"plain");
        put("ctype-1", "1795248854.0", b"not among them");
        let device = node.devices.open(&node.name).unwrap();
        let mut metadata = Metadata::new();
        metadata.set("X-Object-Meta-New", "1");
        let meta = MetaFile {
            timestamp: seconds("1795248880.0"),
            metadata,
            content_type: None,
            next_part_power: None,
        };
        let (location, path) = place("plain-3");
        device.write_meta(&location, &path, &meta).unwrap();
        let (location, path) = place("posted-4");
        device.write_tombstone(&location, &path, seconds("1795248881.0"), None).unwrap();
        put("expiring-6", "1795248857.0", b"y");
        let local = LocalDevices::new(Arc::clone(&node.devices)).get(&node.name);
        let source = Source::new(local, POLICY, PARTITION);
        let suffixes = source.suffixes().await.unwrap();
        let listed = source.list(suffixes, usize::MAX).await.unwrap();
        let mut offers: Vec<_> = listed.into_iter().flat_map(|(_, objects)| objects.unwrap()).collect();
        let recorded = String::from_utf8_lossy(DELTA_SENT).into_owned();
        offers.retain(|object| recorded.contains(&object.offer.hash.to_string()));
        assert_eq!(offers.len(), 5);
        Self { cluster, source, offers: Arc::new(offers), parked: Parked::default() }
    }

    fn offer(&self, hash: ObjectHash) -> Offer {
        self.offers.iter().map(|object| &object.offer).find(|offer| offer.hash == hash).unwrap().clone()
    }

    fn errand(&self) -> Errand {
        let job = ssync_types::Job::Sync;
        let sender = Sender { address: String::new(), device: "d0".into(), job, agent: "test".into() };
        let parked = self.parked.at(&partition(), "peer");
        Errand {
            partition: partition(),
            sender,
            ring_digest: None,
            source: self.source.clone(),
            parked,
            visit: Backlog::visit_of(&partition(), &(&ring_device(1, 1)).into()),
            patient: true,
            stop: CancellationToken::new(),
        }
    }

    async fn push(&self, address: SocketAddr, mode: PushMode) -> (Result<Pushed, Refusal>, Vec<Verdict>) {
        self.push_to(&peer(address), mode).await
    }

    async fn push_to(&self, peer: &SsyncPeer, mode: PushMode) -> (Result<Pushed, Refusal>, Vec<Verdict>) {
        let session = match peer.open(self.errand()).await {
            Ok(session) => session,
            Err(refusal) => return (Err(refusal), Vec::new()),
        };
        let (offers, offered) = mpsc::channel(1);
        offers.send(Arc::clone(&self.offers)).await.unwrap();
        drop(offers);
        let (to, mut judged) = mpsc::channel(16);
        let pushed = session.push(mode, offered, Verdicts { peer: PeerIndex::FIRST, to }).await;
        let pushed = pushed.map_err(|error| match error {
            PushError::Peer(refusal) => refusal,
            here @ PushError::Here(_) => panic!("{here}"),
        });
        let mut verdicts = Vec::new();
        while let Some((_, more)) = judged.recv().await {
            verdicts.extend(more);
        }
        (pushed, verdicts)
    }
}

fn broken() -> Refusal {
    Refusal::new(Reason::ObjectIo, "input/output error")
}

fn partition() -> PartitionRef {
    PartitionRef { device: "sdb1".parse().unwrap(), partition: PARTITION, policy: POLICY, fragment: None }
}

fn peer(address: SocketAddr) -> SsyncPeer {
    peer_within(address, Duration::from_millis(500))
}

/// Each step of a conversation may take so long.
fn peer_within(address: SocketAddr, limit: Duration) -> SsyncPeer {
    let target = Target {
        ip: address.ip().to_string(),
        port: address.port(),
        device: "sdb1".parse().unwrap(),
        region: 1,
        meta: String::new(),
    };
    let limits = Limits { connect: limit, node: limit, http: limit, line_bytes_max: 1000 };
    SsyncPeer::new(target, limits, "test".into(), Arc::new(Semaphore::new(1)))
}

/// The head, without the host, and the chunks of a request in order of their bytes: Swift lists directories in any order.
fn parts(request: &[u8]) -> (String, Vec<Vec<u8>>) {
    let end = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8_lossy(&request[..end]);
    let head = head.lines().filter(|line| !line.starts_with("Host: ")).collect::<Vec<_>>().join("\n");
    let (mut rest, mut chunks) = (&request[end..], Vec::new());
    while !rest.is_empty() {
        let line = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        chunks.push(rest[line + 2..line + 2 + size].to_vec());
        rest = &rest[line + 2 + size + 2..];
    }
    chunks.sort();
    (head, chunks)
}

fn text(request: &[u8]) -> String {
    String::from_utf8_lossy(request).into_owned()
}

#[tokio::test]
async fn says_what_swifts_sender_said() {
    let scene = Scene::new().await;
    let (address, peer) = scripted(vec![DELTA_ANSWER.to_vec()]).await;
    let (pushed, verdicts) = scene.push(address, PushMode::Update).await;
    let pushed = pushed.unwrap();
    assert_eq!((pushed.offered, pushed.wanted, pushed.objects, pushed.bytes), (5, 3, 1, 14));
    assert!(pushed.complete() && verdicts.is_empty());
    let sent = peer.await.unwrap().remove(0);
    assert_eq!(parts(&sent), parts(DELTA_SENT));
    let order = |mark: &str| text(&sent).find(mark).unwrap();
    assert!(order(":MISSING_CHECK: START") < order("51f2603f99f254d89472801b7966bf14"));
    assert!(order("51f2603f99f254d89472801b7966bf14") < order(":MISSING_CHECK: END"));
    assert!(order("PUT /AUTH_cap/c/zero-2") < order("no longer zero"));
    assert!(order(":UPDATES: START") < order("DELETE ") && order("DELETE ") < order(":UPDATES: END"));
}

#[tokio::test]
async fn reads_the_hashes_that_swift_sends() {
    let (address, replicate) = scripted(vec![include_bytes!("recorded/replicate.s2c").to_vec()]).await;
    let hashes = peer(address).suffix_hashes(&partition()).await.unwrap();
    assert!(hashes.len() > 5 && hashes.values().all(|hash| matches!(hash, SuffixHash::Replicated(_))));
    let sent = text(&replicate.await.unwrap()[0]);
    assert!(sent.starts_with("REPLICATE /sdb1/1 HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains("X-Backend-Storage-Policy-Index: 0\r\n") && sent.contains("Content-Length: 0\r\n"));
}

#[tokio::test]
async fn only_a_second_conversation_confirms() {
    let scene = Scene::new().await;
    let still = [
        ":MISSING_CHECK: START\r\n",
        "54a626e8c3a9465ce4e5ca129fe96254 d\r\n",
        ":MISSING_CHECK: END\r\n",
        ":UPDATES: START\r\n:UPDATES: END\r\n",
    ];
    let (address, peer) = scripted(vec![DELTA_ANSWER.to_vec(), answer(&still)]).await;
    let (pushed, verdicts) = scene.push(address, PushMode::UpdateAndConfirm).await;
    assert_eq!(pushed.unwrap().skipped, 1);
    let safe = verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Confirmed).count();
    assert_eq!((verdicts.len(), safe), (5, 4));
    let kept = verdicts.iter().find(|verdict| !verdict.outcome.is_safe()).unwrap();
    assert_eq!(kept.offer.hash.to_string(), "54a626e8c3a9465ce4e5ca129fe96254");
    let asked = text(&peer.await.unwrap()[1]);
    assert!(asked.contains(":MISSING_CHECK: END") && !asked.contains("PUT ") && !asked.contains("DELETE "));
}

#[tokio::test]
async fn nothing_is_confirmed_after_an_error() {
    let scene = Scene::new().await;
    let (wants, failed) = (
        "51f2603f99f254d89472801b7966bf14 m\r\n",
        ":ERROR: 500 'ERROR: With :UPDATES: 1 failures to 0 successes'\n",
    );
    let lines = [":MISSING_CHECK: START\r\n", wants, ":MISSING_CHECK: END\r\n", failed];
    let (address, _peer) = scripted(vec![answer(&lines)]).await;
    let (pushed, verdicts) = scene.push(address, PushMode::UpdateAndConfirm).await;
    assert_eq!(pushed.unwrap_err().reason, Reason::FailureRatio);
    assert!(verdicts.is_empty());
    // The second conversation fails: what the first one did confirms nothing.
    let (address, _peer) = scripted(vec![DELTA_ANSWER.to_vec(), answer(&[":ERROR: 503 b'busy'\n"])]).await;
    let (pushed, verdicts) = scene.push(address, PushMode::UpdateAndConfirm).await;
    assert_eq!(pushed.unwrap_err().reason, Reason::ReceiverBusy);
    assert!(verdicts.is_empty());
}

#[tokio::test]
async fn who_is_only_asked_is_sent_nothing() {
    let scene = Scene::new().await;
    let (address, peer) = scripted(vec![DELTA_ANSWER.to_vec()]).await;
    let (pushed, verdicts) = scene.push(address, PushMode::ConfirmOnly).await;
    assert_eq!(pushed.unwrap().objects, 0);
    assert_eq!(verdicts.iter().filter(|verdict| verdict.outcome.is_safe()).count(), 2);
    assert!(!text(&peer.await.unwrap()[0]).contains("PUT "));
}

#[tokio::test]
async fn refusals_have_their_reasons() {
    let scene = Scene::new().await;
    let locked = ":ERROR: 0 '15 seconds: /srv/node/sdb1/objects/1/.lock-replication'\n";
    let stranger = "00000000000000000000000000000000 d\r\n";
    let long = format!(":MISSING_CHECK: START{}\r\n", " ".repeat(1000));
    let cases: [(Vec<u8>, Reason); 9] = [
        (answer(&[&long, NO_WANTS[2], NO_WANTS[3]]), Reason::ProtocolOrder),
        (answer(&[":ERROR: 503 b'<html>busy</html>'\n"]), Reason::ReceiverBusy),
        (answer(&[locked]), Reason::PartitionLocked),
        (
            b"HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 4\r\n\r\nfull".to_vec(),
            Reason::DeviceUnmounted,
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(), Reason::ProtocolOrder),
        (answer(&[]), Reason::Unreachable),
        (answer(&[":MISSING_CHECK: START\r\n", stranger, ":MISSING_CHECK: END\r\n"]), Reason::ProtocolOrder),
        (answer(&[":MISSING_CHECK: START\r\n", "rubbish\r\n"]), Reason::ProtocolOrder),
        (HEAD.as_bytes().to_vec(), Reason::IdleTimeout),
    ];
    for (script, reason) in cases {
        let shown = text(&script);
        let (address, peer) = scripted(vec![script]).await;
        let (pushed, verdicts) = scene.push(address, PushMode::UpdateAndConfirm).await;
        assert_eq!(pushed.unwrap_err().reason, reason, "{shown}");
        assert!(verdicts.is_empty());
        assert!(!text(&peer.await.unwrap()[0]).contains("PUT "), "{shown}");
    }
}

#[tokio::test]
async fn an_object_that_is_gone_is_skipped_and_not_confirmed() {
    let scene = Scene::new().await;
    let node = scene.cluster.node(0);
    let path = ObjectPath::of("AUTH_cap", "c", "zero-2").unwrap();
    let hash = node.devices.hash_path().hash(&path);
    assert!(scene.offers.iter().any(|object| object.offer.hash == hash));
    let partition =
        node.devices.config().devices.join(node.name.as_str()).join(format!("objects/{PARTITION}"));
    std::fs::remove_dir_all(partition.join(hash.suffix().to_string()).join(hash.to_string())).unwrap();
    let (address, _peer) = scripted(vec![DELTA_ANSWER.to_vec(), answer(&NO_WANTS)]).await;
    let (pushed, verdicts) = scene.push(address, PushMode::UpdateAndConfirm).await;
    let pushed = pushed.unwrap();
    assert_eq!(pushed.objects, 0);
    assert!(!pushed.complete());
    let skipped = verdicts.iter().find(|verdict| verdict.offer.hash == hash).unwrap();
    assert!(!skipped.outcome.is_safe(), "not wanted any more, but never sent in the version offered");
}

/// It is wanted, but not tried, so it is neither sent nor confirmed (rules S2, S4).
#[tokio::test]
async fn a_parked_object_is_left_out_and_not_confirmed() {
    let scene = Scene::new().await;
    let hash =
        scene.cluster.node(0).devices.hash_path().hash(&ObjectPath::of("AUTH_cap", "c", "zero-2").unwrap());
    let offer = scene.offer(hash);
    for _ in 0..3 {
        scene.parked.at(&partition(), "another peer").not_read(&offer, &broken());
    }
    let (address, _peer) = scripted(vec![DELTA_ANSWER.to_vec(), answer(&NO_WANTS)]).await;
    let (pushed, verdicts) = scene.push(address, PushMode::UpdateAndConfirm).await;
    let pushed = pushed.unwrap();
    assert_eq!((pushed.objects, pushed.parked, pushed.complete()), (0, 1, false), "{pushed:?}");
    let parked = verdicts.iter().find(|verdict| verdict.offer.hash == hash).unwrap();
    assert!(!parked.outcome.is_safe());
}

/// The body's time is the same, and still it is not what was listed.
#[tokio::test]
async fn an_object_that_got_new_metadata_is_not_confirmed_as_it_was() {
    let scene = Scene::new().await;
    let node = scene.cluster.node(0);
    let path = ObjectPath::of("AUTH_cap", "c", "zero-2").unwrap();
    let hash = node.devices.hash_path().hash(&path);
    let timestamp = seconds("1795248899.0");
    let meta = MetaFile { timestamp, metadata: Metadata::new(), content_type: None, next_part_power: None };
    let location = Location { policy: POLICY, partition: PARTITION, hash };
    node.devices.open(&node.name).unwrap().write_meta(&location, &path, &meta).unwrap();
    let (address, _peer) = scripted(vec![DELTA_ANSWER.to_vec(), answer(&NO_WANTS)]).await;
    let (pushed, verdicts) = scene.push(address, PushMode::UpdateAndConfirm).await;
    assert_eq!(pushed.unwrap().objects, 1);
    for verdict in verdicts {
        assert_eq!(verdict.outcome.is_safe(), verdict.offer.hash != hash, "{verdict:?}");
    }
}

#[tokio::test]
async fn a_device_has_one_conversation_at_a_time() {
    let scene = Scene::new().await;
    let (address, _peer) = scripted(vec![DELTA_ANSWER.to_vec(), DELTA_ANSWER.to_vec()]).await;
    let peer = peer(address);
    let first = peer.open(scene.errand()).await.unwrap();
    let refused = peer.open(scene.errand()).await.err().unwrap();
    assert_eq!(refused.reason, Reason::DeviceLocked);
    drop(first);
    assert!(peer.open(scene.errand()).await.is_ok());
}

/// What the peer did not take while it spoke gRPC is neither parked nor counted on once a stock server there has it.
#[tokio::test]
async fn what_a_stock_peer_has_or_stores_is_parked_no_more() {
    let scene = Scene::new().await;
    let parked = scene.parked.at(&partition(), "peer");
    for object in scene.offers.iter() {
        (0..2).for_each(|_| parked.not_taken(&object.offer, &broken()));
        (0..2).for_each(|_| parked.not_read(&object.offer, &broken()));
    }
    let (address, _peer) = scripted(vec![DELTA_ANSWER.to_vec()]).await;
    let (pushed, _) = scene.push(address, PushMode::Update).await;
    assert_eq!(pushed.unwrap().objects, 1);
    let failed_once = |offer: &Offer| {
        parked.not_taken(offer, &broken());
        scene.parked.list().iter().all(|object| object.object != offer.hash)
    };
    for object in scene.offers.iter() {
        assert!(failed_once(&object.offer), "{}", object.offer.hash);
    }
    // The three that were wanted have been read.
    for object in scene.offers.iter() {
        parked.not_read(&object.offer, &broken());
    }
    assert_eq!(scene.parked.list().len(), 2);
}

/// It says `before` at once, and `after` a byte at a time and over and over.
async fn trickling(before: Vec<u8>, after: &'static [u8], pause: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&before).await.unwrap();
        for byte in after.iter().cycle() {
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(pause).await;
        }
        drop(stream.read_to_end(&mut Vec::new()).await);
    });
    address
}

/// Each read succeeds, and nothing is ever said.
#[tokio::test]
async fn who_says_a_byte_at_a_time_has_no_more_time_than_another() {
    let scene = Scene::new().await;
    let pause = Duration::from_millis(50);
    let wants = [":MISSING_CHECK: START\r\n"];
    let ends = [":MISSING_CHECK: START\r\n", ":MISSING_CHECK: END\r\n"];
    let open = |lines: &[&str]| {
        let mut whole = answer(lines);
        whole.truncate(whole.len() - "0\r\n\r\n".len());
        whole
    };
    const BLANK: &[u8] = b"2\r\n\r\n\r\n";
    let cases: [(Vec<u8>, &[u8]); 4] = [
        (b"HTTP/1.1 200 OK\r\nX-Long: ".to_vec(), b"x"),
        (open(&[]), BLANK),
        (open(&wants), BLANK),
        (open(&ends), BLANK),
    ];
    for (before, after) in cases {
        let shown = text(&before);
        let begin = Instant::now();
        let address = trickling(before, after, pause).await;
        let pushed =
            tokio::time::timeout(Duration::from_secs(20), scene.push(address, PushMode::Update)).await;
        let (pushed, _) = pushed.unwrap_or_else(|_| panic!("it is waited for: {shown}"));
        assert_eq!(pushed.unwrap_err().reason, Reason::IdleTimeout, "{shown}");
        assert!(begin.elapsed() >= Duration::from_millis(500), "{shown}");
    }
    for head in ["HTTP/1.1 200 OK\r\nX-Long: ", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"] {
        let address = trickling(head.into(), b"x", pause).await;
        let (peer, partition) = (peer(address), partition());
        let hashes = tokio::time::timeout(Duration::from_secs(20), peer.suffix_hashes(&partition)).await;
        assert_eq!(hashes.expect(head).unwrap_err().reason, Reason::IdleTimeout, "{head}");
    }
    let refused = "HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 1000\r\n\r\n";
    let address = trickling(refused.into(), b"x", pause).await;
    let pushed = tokio::time::timeout(Duration::from_secs(20), scene.push(address, PushMode::Update)).await;
    assert_eq!(pushed.expect("what has come is quoted").0.unwrap_err().reason, Reason::DeviceUnmounted);
}

/// A slow peer is no reason to doubt the disk here, as long as it gets on.
#[tokio::test]
async fn what_a_peer_says_is_a_sign_of_life() {
    let scene = Scene::new().await;
    let step = Duration::from_millis(250);
    let wants = scene.offers.iter().map(|object| format!("{} m\r\n", object.offer.hash));
    let lines = [":MISSING_CHECK: START\r\n".to_owned()]
        .into_iter()
        .chain(wants)
        .chain([":MISSING_CHECK: END\r\n", ":UPDATES: START\r\n", ":UPDATES: END\r\n"].map(str::to_owned));
    let chunks: Vec<String> = lines.map(|line| format!("{:x}\r\n{line}\r\n", line.len())).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let slow = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut sent = Vec::new();
        for piece in [HEAD.to_owned()].into_iter().chain(chunks) {
            sleep(step).await;
            while piece.contains("UPDATES") && !sent.windows(13).any(|bytes| bytes == b":UPDATES: END") {
                stream.read_buf(&mut sent).await.unwrap();
            }
            stream.write_all(piece.as_bytes()).await.unwrap();
        }
        drop(stream.read_to_end(&mut sent).await);
    });
    let watch = async {
        let (begin, mut longest) = (Instant::now(), Duration::ZERO);
        while !slow.is_finished() {
            longest = longest.max(scene.source.pulse().silence());
            sleep(Duration::from_millis(10)).await;
        }
        (longest, begin.elapsed())
    };
    scene.source.beat();
    let peer = peer_within(address, Duration::from_secs(20));
    let ((pushed, _), (longest, whole)) = tokio::join!(scene.push_to(&peer, PushMode::Update), watch);
    pushed.unwrap();
    assert!(longest < whole / 2, "{longest:?} of {whole:?}");
}

/// It cannot know yet what it is going to be sent.
#[tokio::test]
async fn an_end_that_is_said_too_early_answers_for_nothing() {
    let scene = Scene::new().await;
    for wants in ["", "51f2603f99f254d89472801b7966bf14 m\r\n"] {
        let early = format!(
            ":MISSING_CHECK: START\r\n{wants}:MISSING_CHECK: END\r\n:UPDATES: START\r\n:UPDATES: END\r\n"
        );
        let whole = format!("{HEAD}{:x}\r\n{early}\r\n0\r\n\r\n", early.len());
        let address = trickling(whole.into_bytes(), b"", Duration::ZERO).await;
        let (pushed, verdicts) = scene.push(address, PushMode::UpdateAndConfirm).await;
        let refusal = pushed.unwrap_err();
        assert_eq!(refusal.reason, Reason::ProtocolOrder, "{refusal}");
        assert!(verdicts.is_empty());
    }
}
