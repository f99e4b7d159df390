//! What clients ask for, and what is aimed at the objects that are being pushed just now.

use std::sync::{Arc, Mutex, PoisonError};

use ssync_types::{DeviceName, Partition, Timestamp};
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout_at};

use super::{Fault, REQUESTS_MAX, Scenario};
use crate::{
    cast::{self, Moment, Stage},
    client::{self, Place, Proxy},
    history::{History, Kind, hash},
};

impl Scenario {
    pub(super) async fn request(&mut self) {
        while self.requests.len() >= REQUESTS_MAX {
            self.requests.join_next().await;
        }
        let object = self.random.below(self.cast.objects);
        let proxy = self.proxy(object);
        self.send(object, proxy, Duration::ZERO);
    }

    /// Whom a client asks whose proxy knows what it knows.
    fn proxy(&mut self, object: usize) -> Proxy {
        let partition = self.partition_of(object);
        // Proxies learn of rings late as well.
        let node = self.random.below(self.cluster.layout.nodes());
        let ring =
            if self.random.once_in(2) { Arc::clone(&self.rings[0]) } else { self.cluster.known(node).ring() };
        let mut proxy = Proxy::of(&ring, partition, self.cast.quorum());
        match self.cast.kind {
            cast::Kind::Usual => {}
            cast::Kind::Thin if self.random.once_in(4) => {}
            // It reaches one device alone, and no primary if there is another.
            cast::Kind::Thin => {
                let handoffs: Vec<Place> = self.handoffs(partition, |_| true);
                proxy = Proxy { first: vec![self.random.pick(&handoffs).clone()], next: Vec::new(), ..proxy };
            }
            // Two proxies, one of each side.
            cast::Kind::Opposed => {
                let other = Proxy::of(&self.rings[1], partition, 1);
                let first = Proxy::of(&self.rings[0], partition, 1).first.into_iter().chain(other.first);
                proxy = Proxy { first: first.collect(), next: Vec::new(), ..proxy };
            }
        }
        proxy
    }

    fn partition_of(&self, object: usize) -> Partition {
        self.rings[0].partition_of(&hash(object))
    }

    /// Devices of some nodes that are no primaries of a partition.
    fn handoffs(&self, partition: Partition, of: impl Fn(usize) -> bool) -> Vec<Place> {
        let primaries = self.rings[0].primaries(partition);
        let is_primary = |name: &DeviceName| primaries.iter().any(|primary| primary.device.device == *name);
        let devices = self.cluster.layout.devices.iter();
        devices.filter(|(node, name)| of(*node) && !is_primary(name)).cloned().collect()
    }

    fn send(&mut self, object: usize, proxy: Proxy, after: Duration) {
        let kind = match self.random.below(10) {
            0..5 => Kind::Put { length: self.random.below(250) },
            5 => Kind::Post { content_type: true },
            6 => Kind::Post { content_type: false },
            _ => Kind::Delete,
        };
        let skew = Duration::from_millis(self.random.below(60_000) as u64);
        let time = Timestamp::from_system_time(self.cluster.now() + skew);
        let lock = |history: &Mutex<History>, act: &mut dyn FnMut(&mut History)| {
            act(&mut history.lock().unwrap_or_else(PoisonError::into_inner));
        };
        let mut begun = None;
        lock(&self.history, &mut |history| begun = Some(history.begin(object, kind, time)));
        let request = begun.expect("it was begun");
        let (cluster, history) = (Arc::clone(&self.cluster), Arc::clone(&self.history));
        cluster.note(format!("{request:?} by {proxy:?}"));
        let ring = Arc::clone(&self.rings[0]);
        self.requests.spawn(async move {
            sleep(after).await;
            let answer = client::ask(&cluster, &ring, proxy, &request).await;
            cluster.note(format!("request {}: {answer:?}", request.number));
            lock(&history, &mut |history| history.answered(&request, answer));
        });
    }

    /// Waits, and lets things happen to what is being pushed meanwhile.
    pub(super) async fn aim_until(&mut self, end: Instant) {
        while let Ok(moment) = timeout_at(end, self.moments.recv()).await {
            let Some(moment) = moment else { break };
            self.aim(&moment);
        }
        sleep_until(end).await;
    }

    fn aim(&mut self, moment: &Moment) {
        let Moment { stage, from, to, partition } = moment;
        while self.requests.try_join_next().is_some() {}
        match (stage, self.random.below(6)) {
            // An object changes on the handoff between its offer and its removal.
            (_, 0..3) => {
                let objects: Vec<_> = (0..self.cast.objects)
                    .filter(|&object| self.partition_of(object) == *partition)
                    .collect();
                let handoffs = self.handoffs(*partition, |node| node == *from);
                if objects.is_empty() || handoffs.is_empty() || self.requests.len() >= REQUESTS_MAX {
                    return;
                }
                let (object, place) = (*self.random.pick(&objects), self.random.pick(&handoffs).clone());
                let after = Duration::from_millis(self.random.below(12) as u64);
                self.send(object, Proxy { first: vec![place], next: Vec::new(), quorum: 1 }, after);
            }
            // The peer cannot store what it has just asked for.
            (Stage::Checked, 3) => {
                self.publishing_fails(to);
                self.count(Fault::Publishing, to);
            }
            // What the peer has said that it has is gone before it is asked to confirm it.
            (Stage::Checked, 4) if !self.kinds.contains(&Fault::Hang) && self.cluster.nobody_has_asked() => {
                let seed = self.random.next();
                if self.wipe(to, seed) {
                    self.count(Fault::Wipe, to);
                }
            }
            _ => {}
        }
    }
}
