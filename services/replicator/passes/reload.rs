//! What a replicator is told while it runs.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use crate::{
    Overrides, Replicator, ReplicatorConfig,
    places::{PolicyPlaces, Rings},
    testing::{Cluster, policy},
};

/// Tells the replicator something else whenever it asks for the rings, which a pass does when it has begun.
struct Telling {
    rings: PolicyPlaces,
    told: OnceLock<(Arc<Replicator>, ReplicatorConfig)>,
}

impl Rings for Telling {
    fn current(&self) -> Vec<PolicyPlaces> {
        if let Some((replicator, config)) = self.told.get() {
            replicator.follow(config);
        }
        vec![self.rings.clone()]
    }

    fn changed(&self) -> bool {
        false
    }
}

/// What was away is pushed in the pass for which somebody has said so (rule S5), and not in half of one.
#[tokio::test]
async fn counts_from_the_next_pass_on() {
    let cluster = Cluster::new(policy(2, &[&[0], &[1]]));
    cluster.put(0, "o", 1, b"body");
    std::fs::write(cluster.node(0).real(".ssync-away"), "1700000000 is when\n").unwrap();
    let rings = Arc::new(Telling { rings: cluster.policy.clone(), told: OnceLock::new() });
    let replicator = Arc::new(cluster.replicator_by(0, Arc::clone(&rings) as _));
    let config = ReplicatorConfig { push_returned_devices: true, ..cluster.config.clone() };
    assert!(rings.told.set((Arc::clone(&replicator), config)).is_ok());

    for pushed in [0, 1] {
        let stats = replicator.run_once(&Overrides::default(), CancellationToken::new()).await;
        assert_eq!((stats.devices_away, stats.objects), (1 - pushed, pushed));
    }
}

#[tokio::test]
async fn a_node_that_has_left_the_rings_is_no_more_told_of() {
    let (wide, narrow) = (policy(3, &[&[0, 0], &[1, 2]]), policy(2, &[&[0, 0], &[1, 1]]));
    let cluster = Cluster::new(wide);
    (0..10).for_each(|number| cluster.put(0, &format!("o-{number}"), number, b"body"));
    let rings = Arc::new(Replaced(std::sync::Mutex::new(cluster.policy.clone())));
    let replicator = cluster.replicator_by(0, Arc::clone(&rings) as _);
    let peers = async || {
        replicator.run_once(&Overrides::default(), CancellationToken::new()).await;
        replicator.gates.last_successes().into_keys().collect::<Vec<_>>()
    };
    assert_eq!(peers().await, ["10.0.0.1:6200", "10.0.0.2:6200"]);
    *rings.0.lock().unwrap() = narrow;
    assert_eq!(peers().await, ["10.0.0.1:6200"]);
}

struct Replaced(std::sync::Mutex<PolicyPlaces>);

impl Rings for Replaced {
    fn current(&self) -> Vec<PolicyPlaces> {
        vec![self.0.lock().unwrap().clone()]
    }

    fn changed(&self) -> bool {
        false
    }
}
