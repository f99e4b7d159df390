//! What is measured of a contestant that does a work once.

use std::{
    net::IpAddr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    contestant::Contestant,
    dataset::Dataset,
    record::{Look, Record, Usage, Watched},
    scene::{Scene, seconds_now},
    work::Work,
};
use crate::{
    medium::Medium,
    memory::peaks_until,
    processes::{Processes, Role},
    wire::Wire,
};

/// How often it is looked at how far a work is.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Who does what, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn<'a> {
    pub(crate) medium: &'a Medium,
    pub(crate) contestant: &'a Contestant,
    pub(crate) work: &'a Work,
    pub(crate) dataset: &'a Dataset,
    /// Seconds between two passes of a daemon.
    pub(crate) pause: u32,
}

impl Turn<'_> {
    /// Time, processors, memory and wire.
    pub(crate) fn time(self, round: u32) -> Result<Record> {
        let Self { medium, contestant, work, .. } = self;
        let mut scene = Scene::set(self, Processes::new)?;
        let wire = tap(&scene);
        let counted = |wire: &Option<Wire>| wire.as_ref().map(Wire::bytes).transpose();
        let (bytes, cpu) = (counted(&wire)?, scene.cpu_seconds()?);
        let groups = scene.processes.groups();
        let (passed, peaks) =
            beside(|ended| peaks_until(&groups, ended, u64::saturating_add), || scene.perform())?;
        let used = scene.cpu_seconds()?;
        let wire_bytes = counted(&wire)?.zip(bytes).map(|(after, before)| after - before);
        let flush_seconds = medium.flush()?;
        scene.verify()?;
        drop(scene);
        // What is removed costs the next one nothing.
        medium.flush()?;
        let usage = used.into_iter().map(|(role, seconds)| {
            let cpu_seconds = seconds - cpu.get(&role).copied().unwrap_or_default();
            (role, Usage { cpu_seconds, peak_bytes: peaks.get(&role).copied().unwrap_or_default() })
        });
        Ok(Record {
            medium: medium.to_string(),
            contestant: contestant.to_string(),
            work: work.to_string(),
            round,
            objects: work.moved(),
            bytes: (work.moved() * work.size) as u64,
            passes: passed.passes,
            seconds: passed.seconds,
            flush_seconds,
            usage: usage.collect(),
            wire_bytes,
        })
    }

    /// Flushes, and how far it is at what time.
    pub(crate) fn watch(self) -> Result<Watched> {
        let Self { medium, contestant, work, .. } = self;
        let mut scene = Scene::set(self, Processes::traced)?;
        let (look, began) = (scene.watcher(), seconds_now());
        let (_, looks) = beside(|ended| looks(look, ended), || scene.perform())?;
        scene.verify()?;
        let mut flushes = scene.processes.flushes_since(began)?;
        if scene.own_flushes > 0 {
            flushes.insert(Role::Receiver, scene.own_flushes);
        }
        drop(scene);
        medium.flush()?;
        Ok(Watched {
            medium: medium.to_string(),
            contestant: contestant.to_string(),
            work: work.to_string(),
            objects: work.moved(),
            flushes,
            looks,
        })
    }
}

/// A counter of what goes to the nodes that are pushed to; says once when there can be none.
fn tap(scene: &Scene<'_>) -> Option<Wire> {
    static SAID: OnceLock<()> = OnceLock::new();
    let addresses: Vec<IpAddr> = scene.targets().iter().map(|target| target.address().ip()).collect();
    let tapped = Wire::tap(&addresses);
    if let Err(error) = &tapped {
        SAID.get_or_init(|| eprintln!("bytes on the wire are not counted: {error:#}"));
    }
    tapped.ok()
}

/// Does something, and something else beside it until that has ended.
pub(crate) fn beside<A: Send, B>(
    watch: impl FnOnce(&AtomicBool) -> A + Send,
    work: impl FnOnce() -> Result<B>,
) -> Result<(B, A)> {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&ended));
        let worked = work();
        ended.store(true, Ordering::Relaxed);
        let watched = watching.join().map_err(|_| anyhow::anyhow!("the thread that looks on panicked"))?;
        Ok((worked?, watched))
    })
}

fn looks(look: impl Fn() -> (usize, usize), ended: &AtomicBool) -> Vec<Look> {
    let (mut looks, started) = (Vec::new(), Instant::now());
    while !ended.load(Ordering::Relaxed) {
        let seconds = started.elapsed().as_secs_f64();
        let (arrived, left) = look();
        looks.push(Look { seconds, arrived, left });
        thread::sleep(LOOK_EVERY);
    }
    looks
}
