//! A disk that hangs stalls its own work and nobody else's; a disk that is taken away gets nothing written in its place.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use ssync_api::admin::{Device, ListDevicesRequest, admin_service_client::AdminServiceClient};
use ssync_tests::{Cluster, Connection, DEVICE, Node, Server, Shape, exchange};

use crate::{
    ledger::{Kind, Ledger},
    mounted::Mounted,
    peer::{BODY, Opening, Peer},
    writers::{Object, ask, now, request},
};

const HANGING: &str = "sdf1";
const HEALTHY: &str = "sdh1";
/// What the node is told of how long an operation may take.
const DEVICE_TIMEOUT: &str = "8";
/// Disk operations of one device at a time.
const THREADS: usize = 32;
/// Slots of `replication_concurrency`.
const SLOTS: usize = 4;
/// Clients of the disk that hangs: more than it has threads.
const CLIENTS: usize = 120;
/// Clients that come when it is known to hang.
const LATECOMERS: usize = 200;
/// Requests of each kind to the other disk meanwhile.
const HEALTHY_REQUESTS: usize = 40;
/// Longest wait for what must happen some time.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the node's memory may grow by: requests that wait cost something, but not much.
const GROWTH_KIB_MAX: u64 = 64 * 1024;

/// Two disks below one node's devices.
fn two_disks(cluster: &Cluster) -> Result<Option<(Mounted, Mounted)>> {
    let devices = cluster.node(1).devices();
    let Some(hanging) = Mounted::at(devices.join(HANGING))? else { return Ok(None) };
    Ok(Mounted::at(devices.join(HEALTHY))?.map(|healthy| (hanging, healthy)))
}

fn ours(cluster: &Cluster) -> Result<ssync_tests::Serving> {
    cluster.node(1).serve(Server::Ssync(Shape::OneProcess))
}

fn put(node: &Node, device: &str, object: &Object, ledger: &mut Ledger) -> Result<u16> {
    let timestamp = now();
    let headers = format!("X-Object-Meta-Written: {timestamp}\r\n");
    let status = ask(node.address(), "PUT", (device, object), &timestamp, &headers, BODY)?;
    ledger.note(&object.path, &timestamp, Kind::Data(BODY.len()), status == 201);
    Ok(status)
}

/// One request of a client that does not mind how long it takes.
struct Client {
    thread: JoinHandle<Result<u16>>,
    path: String,
    timestamp: String,
    kind: Option<Kind>,
}

/// Requests that change the disk, of every kind. Each has its own object, which is there for a POST and a DELETE.
fn clients(
    address: SocketAddr,
    device: &'static str,
    objects: &[Object],
    answered: &Arc<AtomicUsize>,
) -> Vec<Client> {
    let client = |(number, object): (usize, &Object)| {
        let (timestamp, object, answered) = (now(), object.clone(), Arc::clone(answered));
        let (method, kind, header) = match number % 4 {
            0 => ("PUT", Some(Kind::Data(BODY.len())), "Written"),
            1 => ("POST", Some(Kind::Post), "Posted"),
            2 => ("DELETE", Some(Kind::Tombstone), "Deleted"),
            _ => ("REPLICATE", None, "Asked"),
        };
        let (path, when) = (object.path.clone(), timestamp.clone());
        let thread = thread::spawn(move || {
            let headers = format!("X-Object-Meta-{header}: {when}\r\n");
            let body = if method == "PUT" { BODY } else { b"" };
            let status = if method == "REPLICATE" {
                let request = format!(
                    "REPLICATE /{device}/{}/{} HTTP/1.1\r\nHost: node\r\n\r\n",
                    object.partition, object.suffix
                );
                patient(address, request.as_bytes())
            } else {
                let request = request(method, (device, &object), &when, &headers, body);
                patient(address, &request)
            };
            answered.fetch_add(1, Ordering::SeqCst);
            status
        });
        Client { thread, path, timestamp, kind }
    };
    objects.iter().enumerate().map(client).collect()
}

/// As `exchange`, for an answer that takes longer than a test would wait otherwise.
fn patient(address: SocketAddr, request: &[u8]) -> Result<u16> {
    let mut connection = Connection::open(address)?;
    connection.wait_at_most(PATIENCE * 3)?;
    connection.send(request);
    Ok(connection.answer()?.status)
}

fn end(clients: Vec<Client>, ledger: &mut Ledger) -> Result<BTreeMap<u16, usize>> {
    let mut statuses = BTreeMap::new();
    for client in clients {
        let Ok(status) = client.thread.join() else { bail!("a client panicked") };
        let status = status?;
        *statuses.entry(status).or_default() += 1;
        if let Some(kind) = client.kind {
            ledger.note(&client.path, &client.timestamp, kind, (200..300).contains(&status));
        }
    }
    Ok(statuses)
}

async fn devices(node: &Node) -> Result<BTreeMap<String, Device>> {
    let mut admin = AdminServiceClient::connect(format!("http://{}", node.admin_address())).await?;
    let asked = tokio::time::timeout(PATIENCE, admin.list_devices(ListDevicesRequest {})).await;
    let devices = asked.context("the admin service hangs")??.into_inner().devices;
    Ok(devices.into_iter().map(|device| (device.name.clone(), device)).collect())
}

/// Kibibytes of memory that a process has.
fn memory(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// A stock sender's session; what it has said so far is enough to take a slot.
fn ssync(node: &Node, device: &str, partition: u32) -> Result<Connection> {
    let mut connection = Connection::open(node.address())?;
    let head = format!(
        "SSYNC /{device}/{partition} HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\n\
         X-Backend-Storage-Policy-Index: 0\r\n\r\n"
    );
    connection.send(head.as_bytes());
    for line in [":MISSING_CHECK: START\r\n", ":MISSING_CHECK: END\r\n"] {
        connection.send(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes());
    }
    Ok(connection)
}

/// Waits for something that is true some time.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !is_so().await? {
        ensure!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_stalls_its_own_work_alone() -> Result<()> {
    let cluster = Cluster::of(1).setting("ssync", "device_timeout", DEVICE_TIMEOUT).build()?;
    let Some((hanging, _healthy)) = two_disks(&cluster)? else { return Ok(()) };
    let node = cluster.node(1);
    let serving = ours(&cluster)?;
    let process = serving.daemons[0].id();
    let mut ledger = Ledger::default();
    let objects = Object::located(node, 3, CLIENTS, "hanging-")?;
    for object in &objects {
        ensure!(put(node, HANGING, object, &mut ledger)? == 201, "before it hangs");
    }
    let peer = Peer::connect(node.address()).await?;
    let Opening::Accepted(mut begun) = peer.open(HANGING, 2).await? else {
        bail!("no session before it hangs")
    };
    let in_session = Object::located(node, 2, 2, "session-")?;
    let when = now();
    let first = begun.put(&in_session[0], &when).await?;
    ledger.note(&in_session[0].path, &when, Kind::Data(BODY.len()), true);
    ensure!(begun.result().await? == Ok((first, None)), "no write before it hangs");
    let before = memory(process)?;

    let frozen = hanging.freeze()?;
    // Sessions until one is refused: before it is clear that the disk hangs, they take all slots.
    let when = now();
    begun.put(&in_session[1], &when).await?;
    let (mut waiting, mut refused) = (Vec::new(), "");
    for partition in 3..8 {
        match peer.open(HANGING, partition).await? {
            Opening::Waits(session) => waiting.push(session),
            Opening::Refused(reason) => refused = reason,
            Opening::Accepted(_) => bail!("a session was accepted by a disk that hangs"),
        }
        if !refused.is_empty() {
            break;
        }
    }
    let stock: Vec<Connection> =
        (0..SLOTS as u32).map(|partition| ssync(node, HANGING, partition)).collect::<Result<_>>()?;
    eprintln!(
        "{} gRPC sessions wait, the next was refused: {refused}; {} by SSYNC",
        1 + waiting.len(),
        stock.len()
    );
    ensure!(!waiting.is_empty() && !refused.is_empty(), "no session took a slot");

    let answered = Arc::new(AtomicUsize::new(0));
    let many = clients(node.address(), HANGING, &objects, &answered);

    // All of the same work for the other disk, at once.
    let others = Object::located(node, 3, HEALTHY_REQUESTS * 4, "healthy-")?;
    let mut healthy_ledger = Ledger::default();
    for object in &others {
        ensure!(put(node, HEALTHY, object, &mut healthy_ledger)? == 201, "PUT to the healthy disk");
    }
    let done = Arc::new(AtomicUsize::new(0));
    let healthy = end(clients(node.address(), HEALTHY, &others, &done), &mut healthy_ledger)?;
    ensure!(healthy.keys().all(|status| (200..300).contains(status)), "of the healthy disk: {healthy:?}");
    for _ in 0..HEALTHY_REQUESTS {
        let object = &others[0];
        let request =
            format!("GET /{HEALTHY}/{}{} HTTP/1.1\r\nHost: node\r\n\r\n", object.partition, object.path);
        ensure!(exchange(node.address(), request.as_bytes())?.status == 200, "GET of the healthy disk");
    }
    eprintln!("healthy: {} of {} written and {healthy:?}", others.len(), others.len());

    // Sessions into the other disk, of both kinds, though those into the one that hangs had taken the slots.
    let mut busy = 0;
    let mut accepted = None;
    until("a session into the healthy disk", async || {
        match peer.open(HEALTHY, 5).await? {
            Opening::Accepted(session) => accepted = Some(session),
            Opening::Refused("RECEIVER_BUSY") => busy += 1,
            Opening::Refused(other) => bail!("refused: {other}"),
            Opening::Waits(_) => bail!("a session into the healthy disk waits"),
        }
        Ok(accepted.is_some())
    })
    .await?;
    let mut session = accepted.context("no session")?;
    for object in &Object::located(node, 5, HEALTHY_REQUESTS, "pushed-")? {
        let id = session.put(object, &now()).await?;
        ensure!(session.result().await? == Ok((id, None)), "a write in a session into the healthy disk");
    }
    ssync(node, HEALTHY, 6)?.wait_for(":MISSING_CHECK: END")?;
    eprintln!(
        "healthy: accepted after {busy} refusals, {HEALTHY_REQUESTS} of {HEALTHY_REQUESTS} written in a session"
    );

    // By now all but those that had begun were told.
    until("refusals of what only waits", async || Ok(answered.load(Ordering::SeqCst) >= CLIENTS - THREADS))
        .await?;
    let outstanding = CLIENTS - answered.load(Ordering::SeqCst);
    let known = devices(node).await?;
    let (bad, good) = (&known[HANGING], &known[HEALTHY]);
    ensure!(!bad.mounted && bad.problem.contains("sdf1 hangs"), "{bad:?}");
    ensure!(good.mounted && good.problem.is_empty(), "{good:?}");
    let health = exchange(node.address(), b"GET /healthcheck HTTP/1.1\r\nHost: node\r\n\r\n")?;
    ensure!(health.status == 200, "{health:?}");
    let late: Vec<Object> = objects.iter().cycle().take(LATECOMERS).cloned().collect();
    let refused_at_once = end(clients(node.address(), HANGING, &late, &answered), &mut ledger)?;
    ensure!(refused_at_once == BTreeMap::from([(507, LATECOMERS)]), "latecomers: {refused_at_once:?}");
    ensure!(
        matches!(peer.open(HANGING, 1).await?, Opening::Refused("DEVICE_UNMOUNTED")),
        "a session was not refused"
    );
    let after = memory(process)?;
    eprintln!(
        "hanging: {outstanding} outstanding, {LATECOMERS} latecomers refused, {before} KiB then {after} KiB"
    );
    ensure!(outstanding > 0 && outstanding <= THREADS, "{outstanding} are outstanding");
    ensure!(after < before + GROWTH_KIB_MAX, "memory grew from {before} KiB to {after} KiB");

    drop(frozen);
    let statuses = end(many, &mut ledger)?;
    eprintln!("thawed: {statuses:?}");
    let good: usize =
        statuses.iter().filter(|(status, _)| (200..300).contains(*status)).map(|(_, count)| count).sum();
    let refused = statuses.get(&507).copied().unwrap_or_default();
    // What had not begun may have been refused in the meantime.
    ensure!(good > 0 && good <= outstanding && good + refused == CLIENTS, "{statuses:?}");
    ensure!(
        begun.result().await?.is_ok_and(|(_, failed)| failed.is_none()),
        "the write that hung in a session"
    );
    ledger.note(&in_session[1].path, &when, Kind::Data(BODY.len()), true);
    // A word is a word: the power goes now.
    let copies = tempfile::tempdir_in(cluster.folder())?;
    let copy = hanging.as_after_power_cut(copies.path().join(DEVICE))?;
    drop((begun, waiting, stock, session));
    let tree = node.read_tree_in(copies.path(), 0)?;
    tree.assert_sound();
    let faults = ledger.faults(&tree);
    ensure!(faults.is_empty(), "after a power cut:\n{}", faults.join("\n"));
    drop(copy);
    let mut again = Ledger::default();
    until("the disk works again", async || Ok(put(node, HANGING, &objects[0], &mut again)? == 201)).await?;
    until("sessions again", async || Ok(matches!(peer.open(HANGING, 1).await?, Opening::Accepted(_)))).await
}

/// Everything that lies below a folder, seen from where nothing is mounted on it.
fn below(mount: &Path) -> Result<Vec<PathBuf>> {
    Ok(fs::read_dir(mount)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_taken_away_gets_nothing_written_in_its_place() -> Result<()> {
    let cluster = Cluster::of(1).setting("DEFAULT", "mount_check", "true").build()?;
    let Some((leaving, _healthy)) = two_disks(&cluster)? else { return Ok(()) };
    let node = cluster.node(1);
    let mut serving = ours(&cluster)?;
    let peer = Peer::connect(node.address()).await?;
    let (mut ledger, mut acknowledged) = (Ledger::default(), 0);
    let Opening::Accepted(mut session) = peer.open(HANGING, 3).await? else { bail!("no session") };
    let Opening::Accepted(mut other) = peer.open(HEALTHY, 3).await? else { bail!("no other session") };
    let objects = Object::located(node, 3, CLIENTS, "leaving-")?;
    let ended = 'session: {
        for (number, object) in objects.iter().enumerate() {
            if number == CLIENTS / 4 {
                leaving.take_away()?;
            }
            let timestamp = now();
            let id = session.put(object, &timestamp).await?;
            match session.result().await? {
                Err(reason) => break 'session reason,
                Ok((of, failed)) => {
                    ensure!(of == id, "a result of {of} for {id}");
                    acknowledged += usize::from(failed.is_none());
                    ledger.note(&object.path, &timestamp, Kind::Data(BODY.len()), failed.is_none());
                }
            }
        }
        bail!("the session went on without its disk, {acknowledged} writes were acknowledged")
    };
    ensure!(ended == "DEVICE_UNMOUNTED", "the session ended by {ended}");
    ensure!(acknowledged == CLIENTS / 4, "{acknowledged} writes were acknowledged");
    let mut refused = Ledger::default();
    ensure!(put(node, HANGING, &objects[0], &mut refused)? == 507, "PUT to a disk that is not there");
    ensure!(
        matches!(peer.open(HANGING, 4).await?, Opening::Refused("DEVICE_UNMOUNTED")),
        "a session without a disk"
    );
    let left = below(leaving.path())?;
    ensure!(left.is_empty(), "written where no disk is: {left:?}");
    for object in &objects {
        let id = other.put(object, &now()).await?;
        ensure!(other.result().await? == Ok((id, None)), "a write to the other disk");
    }
    eprintln!("{acknowledged} written, then {ended}; {CLIENTS} of {CLIENTS} to the other disk");

    drop(session);
    leaving.bring_back()?;
    let tree_of = tempfile::tempdir_in(cluster.folder())?;
    let copy = leaving.as_after_power_cut(tree_of.path().join(DEVICE))?;
    let tree = node.read_tree_in(tree_of.path(), 0)?;
    tree.assert_sound();
    let faults = ledger.faults(&tree);
    ensure!(
        faults.is_empty() && tree.objects.len() == acknowledged,
        "{} objects: {faults:?}",
        tree.objects.len()
    );
    drop(copy);
    let mut again = Ledger::default();
    until("the disk works again", async || Ok(put(node, HANGING, &objects[0], &mut again)? == 201)).await?;
    until("sessions again", async || Ok(matches!(peer.open(HANGING, 3).await?, Opening::Accepted(_))))
        .await?;
    serving.assert_running();
    Ok(())
}
