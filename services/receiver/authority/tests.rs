//! Each kind of caller, each kind of call.

use ssync_types::{
    DeviceName, Job, Partition, PartitionRef, PolicyIndex, Sender, SessionProtocol, SubjectName,
};

use super::*;

/// A ring of which a test says everything.
#[derive(Debug)]
struct Known {
    claim: SenderClaim,
    is_node: bool,
    here_is_primary: Option<bool>,
}

impl Placement for Known {
    fn part_power(&self, _: PolicyIndex) -> Option<u32> {
        Some(4)
    }

    fn is_primary(&self, _: PolicyIndex, _: Partition, _: &DeviceName) -> Option<bool> {
        self.here_is_primary
    }

    fn ring_digest(&self, _: PolicyIndex) -> Option<Vec<u8>> {
        None
    }

    fn has_node(&self, _: &Identity) -> bool {
        self.is_node
    }

    fn claim(&self, _: &PartitionRef, _: &Identity, _: &Sender) -> SenderClaim {
        self.claim
    }
}

fn authority(claim: SenderClaim, is_node: bool, here_is_primary: Option<bool>) -> Authority {
    Authority::new(|_| None, Arc::new(Known { claim, is_node, here_is_primary }))
}

fn identity(standing: Standing) -> Identity {
    Identity { names: vec![SubjectName::Dns("who.example".into())], standing }
}

fn open() -> SessionOpen {
    let sender = Sender {
        address: "10.0.0.7:6200".into(),
        device: "sdb1".into(),
        job: Job::Sync,
        agent: "test".into(),
    };
    let partition = PartitionRef {
        device: "sdc1".parse().unwrap(),
        partition: Partition::new(7),
        policy: PolicyIndex::new(0),
        fragment: None,
    };
    SessionOpen {
        partition,
        sender,
        ring_digest: None,
        non_durable: false,
        failures_unlimited: false,
        protocol: SessionProtocol::Grpc,
    }
}

fn reason(judged: Result<(), Refusal>) -> Option<Reason> {
    judged.err().map(|refusal| {
        assert!(refusal.message.contains("who.example"), "{refusal}");
        refusal.reason
    })
}

const PEER: Standing = Standing::Peer;
const READER: Standing = Standing::Client(Role::Reader);
const PUSHER: Standing = Standing::Client(Role::Pusher);
const ADMIN: Standing = Standing::Client(Role::Admin);
const UNKNOWN: Option<Reason> = Some(Reason::IdentityUnknown);
const REFUSED: Option<Reason> = Some(Reason::NotPermitted);

/// The table of the rule: who pushes from where to what.
#[test]
fn any_device_pushes_to_a_primary_and_only_a_primary_to_another() {
    use SenderClaim::{ItsDevice, NoNode, NotItsDevice};
    let (primary, handoff) = (ItsDevice { is_primary: true }, ItsDevice { is_primary: false });
    let cases = [
        (primary, Some(true), None),
        (primary, Some(false), None),
        // The substitute for one that answered 507 may be in nobody's ring at its address.
        (primary, None, None),
        (handoff, Some(true), None),
        (handoff, Some(false), REFUSED),
        (handoff, None, REFUSED),
        (NotItsDevice, Some(true), REFUSED),
        (NoNode, Some(true), REFUSED),
    ];
    for (claim, here, expected) in cases {
        let judged = authority(claim, true, here).may_push(&identity(PEER), &open());
        assert_eq!(reason(judged), expected, "{claim:?} to {here:?}");
    }
    let nobody = authority(NoNode, false, Some(true));
    assert_eq!(reason(nobody.may_push(&identity(PEER), &open())), UNKNOWN);
}

#[test]
fn a_client_needs_a_role_that_is_enough() {
    let outside = authority(SenderClaim::NoNode, false, Some(true));
    for (standing, expected) in
        [(READER, REFUSED), (PUSHER, None), (ADMIN, None), (PEER, UNKNOWN), (Standing::Barred, UNKNOWN)]
    {
        assert_eq!(reason(outside.may_push(&identity(standing), &open())), expected, "{standing:?}");
        let expected = match standing {
            Standing::Client(_) => None,
            _ => UNKNOWN,
        };
        assert_eq!(reason(outside.may(&identity(standing), Need::Read, false)), expected, "{standing:?}");
    }
    for need in [Need::Mark, Need::Change] {
        assert_eq!(reason(outside.may(&identity(READER), need, false)), REFUSED, "{need:?}");
        assert_eq!(reason(outside.may(&identity(PUSHER), need, false)), None, "{need:?}");
        assert_eq!(reason(outside.may(&identity(PEER), need, true)), UNKNOWN, "{need:?}");
    }
    assert_eq!(
        reason(outside.may(&identity(ADMIN), Need::Own, true)),
        REFUSED,
        "releases are the node\'s own"
    );
}

#[test]
fn a_node_reads_everywhere_and_changes_single_objects_at_home_only() {
    let node = authority(SenderClaim::NoNode, true, Some(true));
    for (need, local, expected) in [
        (Need::Read, false, None),
        (Need::Mark, false, None),
        (Need::Change, false, REFUSED),
        (Need::Change, true, None),
        (Need::Own, true, None),
    ] {
        assert_eq!(reason(node.may(&identity(PEER), need, local)), expected, "{need:?} {local}");
    }
    assert_eq!(reason(node.may(&identity(Standing::Barred), Need::Read, true)), UNKNOWN);
}

/// What is logged, as lines of text.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_refusal_is_logged_with_the_names_of_the_certificate_and_nobody_fills_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let outside = authority(SenderClaim::NoNode, false, Some(true));
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..1000 {
            assert_eq!(reason(outside.may(&identity(PEER), Need::Read, false)), UNKNOWN);
        }
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("DNS:who.example") && text.contains("IDENTITY_UNKNOWN"), "{text}");
    assert!(text.lines().count() < 10, "{} lines", text.lines().count());
    assert_eq!(outside.said.unknown.load(Ordering::Relaxed), 1000);
}
