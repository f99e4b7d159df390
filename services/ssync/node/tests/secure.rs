//! Nodes that speak to each other by TLS alone: what gets through, and what does not.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
};

use ssync_replicator::Overrides;
use ssync_ring::Ring;
use ssync_runtime::BindAddress;
use ssync_store::{RemoteSettings, RemoteStore, StoreAddress};
use ssync_tls::{PeerRules, testing::Authority};
use ssync_types::{
    DeviceName, InlineBody, Job, Metadata, ObjectHash, ObjectPath, ObjectPut, ObjectRef, Partition,
    PartitionRef, PolicyIndex, ReadOptions, Reason, Refusal, Sender, SessionOpen, SessionProtocol, Timestamp,
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    cli::NodeAddresses,
    object::{Answer, HandoffChoice, Question, ask_all, sites},
};

const NODES: u8 = 3;
/// How often all certificates are replaced under load.
const REPLACED: u32 = 12;
/// Of the addresses of the nodes, whose certificates name them.
const FIRST_HOST: u8 = 21;

/// Three nodes, each with an address and a certificate of its own.
struct Cluster {
    root: TempDir,
    folder: ClusterFolder,
    authority: Authority,
    configs: Vec<Config>,
    nodes: Vec<Node>,
}

fn host(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, FIRST_HOST + u8::try_from(node).unwrap())
}

fn free(ip: Ipv4Addr) -> SocketAddr {
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
}

/// The folder of a cluster that requires TLS, with `more` in each `[ssync]`.
fn secured(
    root: &Path,
    authority: &Authority,
    split: Option<Split>,
    more: &str,
) -> (ClusterFolder, Vec<Config>) {
    let addresses: Vec<NodeAddresses> = (0..usize::from(NODES))
        .map(|node| NodeAddresses {
            data: free(host(node)),
            admin: free(Ipv4Addr::LOCALHOST),
            receiver: free(host(node)),
        })
        .collect();
    let folder = ClusterFolder::make(root, &addresses, split).unwrap();
    let configs = folder.nodes.iter().enumerate().map(|(number, node)| {
        let home = node.conf.parent().unwrap();
        let ip = host(number).to_string();
        let files = authority.issue(&[&ip]).write(home);
        let options = format!(
            "tls_certificate = {}\ntls_key = {}\ntls_ca = {}\nrequire_tls = true\ntls_reload_interval = 0.05\n\
             tls_pushers = *.pushers.example\ntls_readers = spiffe://cluster/readers/*\n{more}",
            files.certificate.display(),
            files.key.display(),
            files.authorities.display()
        );
        let conf = std::fs::read_to_string(&node.conf).unwrap() + &options;
        std::fs::write(&node.conf, conf).unwrap();
        daemon::config_of_file(&node.conf).unwrap()
    });
    let configs = configs.collect();
    (folder, configs)
}

impl Cluster {
    async fn start() -> Self {
        let (root, authority) = (tempfile::tempdir().unwrap(), Authority::new("ca"));
        // All of them are on one host, and are not to count as such.
        let (folder, configs) = secured(root.path(), &authority, None, "trust_loopback = false\n");
        let mut nodes = Vec::new();
        for config in &configs {
            nodes.push(start(config, Parts::Node { with_replicator: true }).await.unwrap());
        }
        Self { root, folder, authority, configs, nodes }
    }

    async fn stop(self) {
        for node in self.nodes {
            node.stop().await;
        }
    }

    fn ring(&self) -> Ring {
        Ring::load(&self.root.path().join("object.ring.gz")).unwrap()
    }

    fn address(&self, node: usize) -> SocketAddr {
        self.folder.nodes[node].address
    }

    /// The node at `node`, as the holder of a certificate with these names calls it.
    fn store(&self, node: usize, names: &[&str]) -> RemoteStore {
        store(&self.authority, self.address(node), names)
    }

    /// The devices of `node` that are primaries of a partition, or that are not.
    fn device(&self, node: usize, partition: Partition, primary: bool) -> String {
        let (ring, ip) = (self.ring(), host(node).to_string());
        let mut devices = ring.devices().filter(|device| device.replication_ip == ip);
        let found = devices.find(|device| ring.is_primary(device.id, partition) == primary);
        found.expect("each node has one of each").device.to_string()
    }

    fn at(&self, node: usize, partition: Partition, primary: bool) -> PartitionRef {
        PartitionRef {
            device: self.device(node, partition, primary).parse().unwrap(),
            partition,
            policy: PolicyIndex::new(0),
            fragment: None,
        }
    }
}

fn store(authority: &Authority, address: SocketAddr, names: &[&str]) -> RemoteStore {
    let folder = tempfile::tempdir().unwrap();
    let tls = authority.issue(names).tls(folder.path(), PeerRules::default(), true);
    let settings = RemoteSettings { tls: Some(tls), ..RemoteSettings::default() };
    RemoteStore::new(StoreAddress::of_node(&address.ip().to_string(), address.port()), settings).unwrap()
}

const PUSHER: &str = "a.pushers.example";
const READER: &str = "spiffe://cluster/readers/a";

fn object() -> ObjectPath {
    ObjectPath::of("a", "c", "o").unwrap()
}

fn hash(config: &Config) -> ObjectHash {
    SwiftConf::load(&config.node.swift_dir).unwrap().hash_path().hash(&object())
}

fn put(at: PartitionRef) -> (ObjectPut, InlineBody) {
    let mut metadata = Metadata::new();
    metadata.set("Content-Type", "text/plain");
    let put = ObjectPut {
        object: ObjectRef { partition: at, path: object() },
        timestamp: Timestamp::from_system_time(std::time::SystemTime::now()),
        content_length: Some(5),
        metadata,
        if_none_match: Vec::new(),
        commit: ssync_types::CommitMode::AtOnce,
        next_part_power: None,
    };
    (put, InlineBody { data: "hello".into(), etag: None })
}

/// The answer to a request without TLS.
fn plainly(address: SocketAddr, sent: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(sent.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_replicate_and_drain_handoffs_by_tls_alone() {
    let cluster = Cluster::start().await;
    let partition = hash(&cluster.configs[0]).partition(cluster.ring().part_power());
    // Where it does not belong.
    let (put, body) = put(cluster.at(0, partition, false));
    cluster.store(0, &[PUSHER]).put_whole_object(put, body).await.unwrap();
    let pusher = cluster.nodes[0].replicator().unwrap();
    let stats = pusher.run_once(&Overrides::default(), cluster.nodes[0].drain().token()).await;
    assert_eq!(stats.failure, 0, "{stats:?}");
    let head = async |node: usize, primary: bool| {
        let object = ObjectRef { partition: cluster.at(node, partition, primary), path: object() };
        cluster.store(node, &[READER]).head_object(object, ReadOptions::default()).await
    };
    for node in 0..usize::from(NODES) {
        assert!(head(node, true).await.is_ok(), "node {node}");
    }
    assert_eq!(head(0, false).await.unwrap_err().reason, Reason::NotFound, "the handoff has let go of it");
    cluster.stop().await;
}

/// The bridge of a node pushes for those who came by HTTP, whose address has no port and whose device nobody told.
async fn bridge_is_believed(own: &RemoteStore, device: &DeviceName) {
    for (protocol, expected) in
        [(SessionProtocol::Ssync, None), (SessionProtocol::Grpc, Some(Reason::NotPermitted))]
    {
        let sender = Sender {
            address: "10.0.0.9".into(),
            device: String::new(),
            job: Job::Sync,
            agent: "test".into(),
        };
        let at = PartitionRef {
            device: device.clone(),
            partition: Partition::new(7),
            policy: PolicyIndex::new(0),
            fragment: None,
        };
        let open = SessionOpen {
            partition: at,
            sender,
            ring_digest: None,
            non_durable: false,
            failures_unlimited: false,
            protocol,
        };
        let refusal = own.updates(open).await.err();
        assert_eq!(refusal.as_ref().map(|refusal| refusal.reason), expected, "{protocol:?}: {refusal:?}");
    }
}

/// Opens a session, and says why it cannot.
async fn session(
    store: &RemoteStore,
    at: PartitionRef,
    address: SocketAddr,
    device: &str,
) -> Option<Refusal> {
    let sender = Sender {
        address: address.to_string(),
        device: device.to_owned(),
        job: Job::Sync,
        agent: "test".into(),
    };
    let open = SessionOpen {
        partition: at,
        sender,
        ring_digest: None,
        non_durable: false,
        failures_unlimited: false,
        protocol: SessionProtocol::Grpc,
    };
    store.updates(open).await.err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_pushes_what_its_node_can_have_and_nothing_else() {
    let cluster = Cluster::start().await;
    let partition = Partition::new(7);
    let (at_primary, at_other) = (cluster.at(0, partition, true), cluster.at(0, partition, false));
    let peer = host(1).to_string();
    let as_peer = cluster.store(0, &[&peer]);
    let (its_primary, its_other) = (cluster.device(1, partition, true), cluster.device(1, partition, false));
    let (own, of_third) = (cluster.address(1), cluster.address(2));
    let third = cluster.device(2, partition, true);
    let cases = [
        ("a primary to a primary", &at_primary, own, &its_primary, None),
        ("a former primary to a primary", &at_primary, own, &its_other, None),
        ("a primary to its substitute", &at_other, own, &its_primary, None),
        ("a non-primary to a non-primary", &at_other, own, &its_other, Some(Reason::NotPermitted)),
        ("another node's device", &at_primary, own, &third, Some(Reason::NotPermitted)),
        ("another node's device and address", &at_primary, of_third, &third, Some(Reason::NotPermitted)),
    ];
    for (what, at, address, device, expected) in cases {
        let refusal = session(&as_peer, at.clone(), address, device).await;
        assert_eq!(refusal.as_ref().map(|refusal| refusal.reason), expected, "{what}: {refusal:?}");
        if let Some(refusal) = refusal {
            assert!(refusal.message.contains("IP:127.0.0.22"), "{what}: {refusal}");
        }
    }
    for (names, expected) in [
        (&["10.9.9.9"][..], Some(Reason::IdentityUnknown)),
        (&[READER][..], Some(Reason::NotPermitted)),
        (&[PUSHER][..], None),
    ] {
        let refusal = session(&cluster.store(0, names), at_primary.clone(), own, &its_primary).await;
        assert_eq!(refusal.as_ref().map(|refusal| refusal.reason), expected, "{names:?}: {refusal:?}");
    }
    let stranger = cluster.store(0, &["10.9.9.9"]);
    assert_eq!(stranger.survey_devices().await.unwrap_err().reason, Reason::IdentityUnknown);
    let home = hash(&cluster.configs[0]);
    let partition = cluster.ring().partition_of(&home);
    let (put, body) = put(cluster.at(0, partition, true));
    let refused = as_peer.put_whole_object(put, body).await.unwrap_err();
    assert_eq!(
        refused.reason,
        Reason::NotPermitted,
        "a node changes nothing elsewhere but in sessions: {refused}"
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_gets_in_without_tls_and_health_is_asked_elsewhere() {
    let cluster = Cluster::start().await;
    let address = cluster.address(0);
    for request in ["PUT /d1/7/a/c/o", "SSYNC /d1/7", "REPLICATE /d1/7", "GET /healthcheck"] {
        let answer = plainly(address, &format!("{request} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 426 ") && answer.contains("require_tls"), "{request}: {answer}");
    }
    let plain = StoreAddress::of_node(&address.ip().to_string(), address.port());
    let plain = RemoteStore::new(plain, RemoteSettings::default()).unwrap();
    assert_eq!(plain.survey_devices().await.unwrap_err().reason, Reason::Unreachable);
    let stranger = store(&Authority::new("other"), address, &[PUSHER]);
    assert_eq!(stranger.survey_devices().await.unwrap_err().reason, Reason::Unreachable);
    let admin = cluster.folder.nodes[0].admin;
    let ready = plainly(admin, "GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
    let config = plainly(admin, "GET /config HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(config.contains("tls_key") && !config.contains("PRIVATE"), "{config}");
    cluster.stop().await;
}

/// `ssync object` asks such nodes by gRPC, for they have no HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_found_by_tls() {
    let cluster = Cluster::start().await;
    let home = cluster.ring().partition_of(&hash(&cluster.configs[0]));
    let (put, body) = put(cluster.at(0, home, true));
    let stored_at = put.timestamp;
    cluster.store(0, &[PUSHER]).put_whole_object(put, body).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let question = Question {
        path: object(),
        policy: PolicyIndex::new(0),
        partition: home,
        limit: PATIENCE,
        tls: Some(cluster.authority.issue(&[READER]).tls(folder.path(), PeerRules::default(), true)),
    };
    let of_ring = sites(&cluster.ring(), home, HandoffChoice::Some(0));
    let (own, others): (Vec<_>, Vec<_>) = ask_all(&question, of_ring)
        .await
        .into_iter()
        .partition(|seen| seen.site.address == cluster.address(0).to_string());
    let data = own.iter().find_map(|seen| match &seen.answer {
        Answer::Data(copy) => Some(copy),
        _ => None,
    });
    let copy = data.unwrap_or_else(|| panic!("{own:?}"));
    assert_eq!(
        (copy.data, copy.etag.as_str(), copy.bytes),
        (stored_at, "5d41402abc4b2a76b9719d911017c592", Some(5))
    );
    assert_eq!(copy.content_type, Some(stored_at));
    assert!(others.iter().all(|seen| seen.answer == Answer::Nothing) && !others.is_empty(), "{others:?}");
}

/// Certificates are replaced all the time while a client stores and the nodes push: no request fails, and all that is written
/// gets where it belongs.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_replaced_under_load() {
    let cluster = Cluster::start().await;
    let home = cluster.ring().partition_of(&hash(&cluster.configs[0]));
    let replacing = async {
        for _ in 0..REPLACED {
            for (number, node) in cluster.folder.nodes.iter().enumerate() {
                let ip = host(number).to_string();
                cluster.authority.issue(&[&ip]).write(node.conf.parent().unwrap());
            }
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    };
    let over = CancellationToken::new();
    let storing = async {
        let mut stored = 0_u32;
        while !over.is_cancelled() {
            // A connection each time, so that each has a handshake.
            let store = cluster.store(0, &[PUSHER]);
            let (put, body) = put(cluster.at(0, home, stored.is_multiple_of(2)));
            store.put_whole_object(put, body).await.unwrap();
            stored += 1;
        }
        stored
    };
    let pushing = async {
        let node = &cluster.nodes[0];
        let mut passes = 0_u32;
        while !over.is_cancelled() {
            let stats =
                node.replicator().unwrap().run_once(&Overrides::default(), node.drain().token()).await;
            // An object that is replaced while it is pushed is not in sync, and that is all that may go wrong.
            for visit in node.replicator().unwrap().failed_visits() {
                assert!(
                    visit.cause.message.starts_with("0 objects failed"),
                    "pass {passes}: {visit:?} {stats:?}"
                );
            }
            passes += 1;
        }
        passes
    };
    let replacing = async {
        replacing.await;
        over.cancel();
    };
    let (stored, passes, ()) = tokio::join!(storing, pushing, replacing);
    assert!(stored >= REPLACED && passes >= 2, "{stored} objects, {passes} passes");
    let node = &cluster.nodes[0];
    let stats = node.replicator().unwrap().run_once(&Overrides::default(), node.drain().token()).await;
    assert_eq!(stats.failure, 0, "now that nobody stores: {stats:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_node_ends_handshakes_in_its_receiver() {
    for split in [Split::Unix, Split::Tcp] {
        let (root, authority) = (tempfile::tempdir().unwrap(), Authority::new("ca"));
        let (folder, configs) = secured(root.path(), &authority, Some(split), "");
        let receiver = start(&configs[0], Parts::Receiver).await.unwrap();
        let sidecar = start(&configs[0], Parts::Sidecar).await.unwrap();
        becomes_ready(&sidecar, true).await;
        let address = folder.nodes[0].address;
        assert!(store(&authority, address, &[READER]).survey_devices().await.is_ok(), "{split:?}");
        let stranger = store(&authority, address, &["10.9.9.9"]).survey_devices().await;
        assert_eq!(stranger.unwrap_err().reason, Reason::IdentityUnknown, "{split:?}");
        assert!(plainly(address, "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 426 "), "{split:?}");
        if let Some(BindAddress::Tcp(own)) = configs[0].ssync.receiver_bind.clone() {
            let ring = Ring::load(&root.path().join("object.ring.gz")).unwrap();
            let device = ring.devices().find(|device| device.replication_ip == "127.0.0.21").unwrap();
            bridge_is_believed(&store(&authority, own, &["127.0.0.21"]), &device.device).await;
        }
        sidecar.stop().await;
        receiver.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_keep_http_where_replication_has_an_address_of_its_own() {
    let (root, authority) = (tempfile::tempdir().unwrap(), Authority::new("ca"));
    let (folder, mut configs) = secured(root.path(), &authority, None, "");
    let replication = free(host(0));
    configs[0].ssync.replication_bind = Some(replication);
    let node = start(&configs[0], WITHOUT_REPLICATOR).await.unwrap();
    let request = "GET /healthcheck HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let for_clients = folder.nodes[0].address;
    assert!(!plainly(for_clients, request).starts_with("HTTP/1.1 426 "), "HTTP is for clients");
    assert!(plainly(for_clients, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").starts_with("HTTP/1.1 426 "));
    assert!(plainly(replication, request).starts_with("HTTP/1.1 426 "));
    for address in [for_clients, replication] {
        assert!(store(&authority, address, &[READER]).survey_devices().await.is_ok());
    }
    node.stop().await;
}

/// Where callers on this host are nobody in particular, only the role lets somebody drain the node.
#[tokio::test(flavor = "multi_thread")]
async fn an_admin_drains_by_tls_and_others_do_not() {
    let (root, authority) = (tempfile::tempdir().unwrap(), Authority::new("ca"));
    let (_folder, mut configs) = secured(root.path(), &authority, None, "tls_admins = ops.example\n");
    let admin = free(host(0));
    configs[0].ssync.admin_bind = Some(admin.into());
    configs[0].ssync.trust_loopback = false;
    let node = start(&configs[0], WITHOUT_REPLICATOR).await.unwrap();
    let drain = async |names: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let tls = authority.issue(names).tls(folder.path(), PeerRules::default(), true);
        let settings = RemoteSettings { tls: Some(tls), ..RemoteSettings::default() };
        let address = StoreAddress::of_node(&admin.ip().to_string(), admin.port());
        let mut client = AdminServiceClient::new(settings.channel(&address).unwrap());
        client.drain(DrainRequest::default()).await
    };
    for names in [&[READER][..], &[PUSHER][..], &["127.0.0.21"][..]] {
        let refused = drain(names).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{names:?}: {refused}");
    }
    assert!(drain(&["ops.example"]).await.is_ok());
    becomes_ready(&node, false).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_half_configured_does_not_start() {
    let (root, authority) = (tempfile::tempdir().unwrap(), Authority::new("ca"));
    let (_folder, configs) = secured(root.path(), &authority, None, "");
    let refused = async |change: fn(&mut Config)| {
        let mut config = configs[0].clone();
        change(&mut config);
        format!("{:#}", start(&config, WITHOUT_REPLICATOR).await.err().expect("it starts"))
    };
    assert!(refused(|config| config.ssync.tls_key = None).await.contains("belong together"));
    let none: fn(&mut Config) = |config| {
        (config.ssync.tls_certificate, config.ssync.tls_key, config.ssync.tls_ca) = (None, None, None);
    };
    assert!(refused(none).await.contains("require_tls"));
    let relative: fn(&mut Config) = |config| {
        config.ssync.tls_key = Some(ssync_runtime::CredentialPath("tls.key".into()));
    };
    assert!(refused(relative).await.contains("LoadCredential="));
    let key: fn(&mut Config) = |config| config.ssync.tls_certificate = config.ssync.tls_key.clone();
    let said = refused(key).await;
    assert!(said.contains("tls.key") && !said.contains("PRIVATE"), "{said}");
}
