//! A thread on which everything happens: disk work of all nodes, one after the other, in an order that follows from a seed.
//!
//! Who runs disk work elsewhere asks [`is_single`] and, where it is, runs it here as a task, after the time that [`work_takes`].

use std::{cell::RefCell, collections::BTreeSet, marker::PhantomData, time::Duration};

use ssync_types::DeviceName;

use super::Random;

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

struct World {
    random: Random,
    hanging: BTreeSet<DeviceName>,
}

/// While it is held, this thread is the only one.
#[derive(Debug)]
#[must_use]
pub struct Single(PhantomData<*const ()>);

impl Single {
    /// All that is random on this thread follows from `seed`.
    pub fn begin(seed: u64) -> Self {
        WORLD.set(Some(World { random: Random::new(seed), hanging: BTreeSet::new() }));
        Self(PhantomData)
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        WORLD.set(None);
    }
}

fn with<T>(act: impl FnOnce(&mut World) -> T) -> Option<T> {
    WORLD.with_borrow_mut(|world| world.as_mut().map(act))
}

/// Whether this thread is the only one.
#[must_use]
pub fn is_single() -> bool {
    with(|_| ()).is_some()
}

/// A random number, if this thread is the only one.
#[must_use]
pub fn number() -> Option<u64> {
    with(|world| world.random.next())
}

/// How long the next piece of disk work takes: mostly little.
#[must_use]
pub fn work_takes() -> Duration {
    let milliseconds = with(|world| match world.random.below(100) {
        0 => world.random.below(2000),
        1..10 => world.random.below(50),
        _ => world.random.below(3),
    });
    Duration::from_millis(milliseconds.unwrap_or(0) as u64)
}

/// From now on work on a device does not end; or does again.
pub fn hang(device: &DeviceName, hangs: bool) {
    with(|world| match hangs {
        true => world.hanging.insert(device.clone()),
        false => world.hanging.remove(device),
    });
}

/// Whether work on a device does not end.
#[must_use]
pub fn hangs(device: &DeviceName) -> bool {
    with(|world| world.hanging.contains(device)).unwrap_or(false)
}
