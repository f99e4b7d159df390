//! What happens to the cluster, round by round.

use std::time::Duration;

use anyhow::Result;
use ssync_tests::{Cut, Server};

use crate::{
    disks::{DEVICES, Device},
    scene::{NODES, Scene},
};

/// Object servers' port, as rings name it.
const PORT: u16 = 6200;

/// One for each round.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// The next change of the ring.
    Ring,
    /// A node is cut off.
    Cut,
    /// A device is wiped.
    Wipe,
    /// Two nodes do not see each other.
    Split,
}

/// Changes of the ring come early: it takes Swift a quarter of a minute to see them.
const EVENTS: [Event; 6] = [Event::Ring, Event::Cut, Event::Ring, Event::Wipe, Event::Ring, Event::Split];

/// Most devices that come to the ring at once.
const COME_MAX: usize = 2;

/// The devices of the ring, and the next change in a circle of three.
#[derive(Debug)]
struct Ring {
    used: Vec<Device>,
    spare: Vec<Device>,
    next: Change,
}

#[derive(Debug)]
enum Change {
    /// Devices come.
    Grow,
    /// One is to be emptied.
    Drain,
    /// It goes.
    Remove(Device),
}

impl Ring {
    /// Each node's first device is in it.
    fn new() -> Self {
        let named = |name: &str| (1..=NODES).map(|node| Device { node, name: name.to_owned() }).collect();
        Self { used: named(DEVICES[0]), spare: named(DEVICES[1]), next: Change::Grow }
    }
}

/// The story of a cluster: nodes change sides in pairs, so that three are ssync's.
pub(crate) struct Rounds<'a> {
    scene: &'a mut Scene,
    pairs: Vec<(u8, u8)>,
    ring: Ring,
}

impl<'a> Rounds<'a> {
    pub(crate) fn new(scene: &'a mut Scene) -> Self {
        let mut nodes: Vec<u8> = (1..=NODES).collect();
        scene.chance.shuffle(&mut nodes);
        let (first, second) = nodes.split_at(nodes.len() / 2);
        let pairs = first.iter().copied().zip(second.iter().copied()).collect();
        Self { scene, pairs, ring: Ring::new() }
    }

    /// All were stock; the first of each pair becomes ssync's.
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.scene.step()?;
        for (first, second) in self.pairs.clone() {
            self.scene.start_replicator(second)?;
            let ours = self.scene.ours();
            self.change(first, ours)?;
        }
        Ok(())
    }

    /// So many rounds, or more until the time is over, and whole circles of them.
    pub(crate) fn run(&mut self, rounds: usize, at_least: Duration) -> Result<()> {
        let mut round = 0;
        while round < rounds || self.scene.elapsed() < at_least || !round.is_multiple_of(EVENTS.len()) {
            self.round(round)?;
            round += 1;
        }
        Ok(())
    }

    fn round(&mut self, round: usize) -> Result<()> {
        let (mut leaves, mut comes) = self.pairs[round % self.pairs.len()];
        if self.scene.server_of(leaves) == Server::Stock {
            (leaves, comes) = (comes, leaves);
        }
        let event = EVENTS[round % EVENTS.len()];
        self.scene.say(&format!("round {round}: {event:?}"));
        self.change(leaves, Server::Stock)?;
        match event {
            Event::Ring => self.change_ring()?,
            Event::Cut => self.cut()?,
            Event::Wipe => self.wipe()?,
            Event::Split => self.split()?,
        }
        let ours = self.scene.ours();
        self.change(comes, ours)
    }

    /// A node goes over to another server on the same disks.
    fn change(&mut self, number: u8, server: Server) -> Result<()> {
        self.scene.stop(number)?;
        self.scene.step()?;
        self.scene.start(number, server)?;
        self.scene.step()
    }

    fn any_node(&mut self) -> u8 {
        let all: Vec<u8> = (1..=NODES).collect();
        *self.scene.chance.of(&all)
    }

    fn two_nodes(&mut self) -> [u8; 2] {
        let mut all: Vec<u8> = (1..=NODES).collect();
        self.scene.chance.shuffle(&mut all);
        [all[0], all[1]]
    }

    fn cut(&mut self) -> Result<()> {
        let (number, how) = (self.any_node(), *self.scene.chance.of(&[Cut::Cable, Cut::Card]));
        self.scene.say(&format!("node {number} is cut off: {how:?}"));
        self.scene.cluster().switch().cut(number, how)?;
        self.scene.step()?;
        self.scene.step()?;
        self.scene.cluster().switch().mend(number, how)?;
        self.scene.say(&format!("node {number} is back"));
        self.scene.step()
    }

    fn split(&mut self) -> Result<()> {
        let [one, other] = self.two_nodes();
        self.scene.say(&format!("nodes {one} and {other} do not see each other"));
        self.scene.cluster().switch().split(one, other)?;
        self.scene.step()?;
        self.scene.step()?;
        self.scene.cluster().switch().join(one, other)?;
        self.scene.say(&format!("nodes {one} and {other} see each other again"));
        self.scene.step()
    }

    fn wipe(&mut self) -> Result<()> {
        let device = self.scene.chance.of(&self.ring.used).clone();
        self.scene.wipe(&device)?;
        self.scene.step()
    }

    /// Two devices come, one is emptied, it goes; and again.
    fn change_ring(&mut self) -> Result<()> {
        // Who still has an older ring than this one gets it first, as operators would see to.
        self.scene.rings.give_all()?;
        self.ring.next = match std::mem::replace(&mut self.ring.next, Change::Grow) {
            Change::Grow => self.grow()?,
            Change::Drain => self.drain()?,
            Change::Remove(device) => self.remove(device)?,
        };
        self.scene.rings.rebalance(&mut self.scene.chance)?;
        self.scene.step()
    }

    fn grow(&mut self) -> Result<Change> {
        self.scene.chance.shuffle(&mut self.ring.spare);
        for device in self.ring.spare.split_off(self.ring.spare.len().saturating_sub(COME_MAX)) {
            self.ring_command("add", &device, "1")?;
            self.ring.used.push(device);
        }
        Ok(Change::Drain)
    }

    /// And another gets more.
    fn drain(&mut self) -> Result<Change> {
        self.scene.chance.shuffle(&mut self.ring.used);
        let (leaves, grows) = (self.ring.used.remove(0), &self.ring.used[0]);
        self.ring_command("set_weight", &leaves, "0")?;
        self.ring_command("set_weight", grows, "2")?;
        Ok(Change::Remove(leaves))
    }

    fn remove(&mut self, device: Device) -> Result<Change> {
        self.scene.wait_until_empty(&device)?;
        self.ring_command("remove", &device, "")?;
        self.ring.spare.push(device);
        Ok(Change::Grow)
    }

    fn ring_command(&self, command: &str, device: &Device, weight: &str) -> Result<()> {
        let Device { node, name } = device;
        let address = self.scene.cloud.node(*node).ring_address().ip();
        let named = format!("r1z{node}-{address}:{PORT}/{name}");
        self.scene.rings.run(format!("{command} {named} {weight}").trim())
    }
}
