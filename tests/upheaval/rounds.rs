//! What happens to the cluster, round by round.

use std::time::Duration;

use anyhow::Result;
use ssync_tests::{Cut, Server};

use crate::{
    disks::{DEVICES, Device},
    scene::{NODES, Scene, second_device},
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

/// Where the ring is in its circle of changes.
#[derive(Debug)]
enum Ring {
    /// Each node has one device.
    Small,
    /// Two nodes have a second one.
    Grown([u8; 2]),
    /// This one is being emptied, and goes.
    Draining(Device),
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
        Self { scene, pairs, ring: Ring::Small }
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
        let device = Device { node: self.any_node(), name: DEVICES[0].to_owned() };
        self.scene.wipe(&device)?;
        self.scene.step()
    }

    /// Two devices come, one is emptied, it goes; and again.
    fn change_ring(&mut self) -> Result<()> {
        // Who still has an older ring than this one gets it first, as operators would see to.
        self.scene.rings.give_all()?;
        self.ring = match std::mem::replace(&mut self.ring, Ring::Small) {
            Ring::Small => {
                let nodes = self.two_nodes();
                for node in nodes {
                    self.ring_command("add", &second_device(node), "1")?;
                }
                Ring::Grown(nodes)
            }
            Ring::Grown(nodes) => {
                let leaves = Device { node: nodes[0], name: (*self.scene.chance.of(&DEVICES)).to_owned() };
                self.ring_command("set_weight", &leaves, "0")?;
                self.ring_command("set_weight", &second_device(nodes[1]), "2")?;
                Ring::Draining(leaves)
            }
            Ring::Draining(leaves) => {
                self.scene.wait_until_empty(&leaves)?;
                self.ring_command("remove", &leaves, "")?;
                Ring::Small
            }
        };
        self.scene.rings.rebalance(&mut self.scene.chance)?;
        self.scene.step()
    }

    fn ring_command(&self, command: &str, device: &Device, weight: &str) -> Result<()> {
        let Device { node, name } = device;
        let address = self.scene.cloud.node(*node).ring_address().ip();
        let named = format!("r1z{node}-{address}:{PORT}/{name}");
        self.scene.rings.run(format!("{command} {named} {weight}").trim())
    }
}
