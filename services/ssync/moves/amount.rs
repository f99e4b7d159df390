//! Objects and bytes of what leaves this node's devices: counted, or estimated from as many partitions as there is time for.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use ssync_diskfile::{Devices, DiskError};
use ssync_replicator::Shuffle;
use ssync_types::{DeviceName, ObjectKind, Partition, PolicyIndex};

/// How long is counted, for all devices together.
const COUNT_MAX: Duration = Duration::from_millis(1_500);
/// Between this and that many standard errors the truth is 19 times of 20.
const ERRORS: f64 = 1.96;

/// An amount, and within what of it the truth is, 19 times of 20. Nothing: it was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) amount: f64,
    pub(crate) margin: f64,
}

/// What leaves a device.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Amount {
    /// Partitions that leave and are there.
    pub(crate) partitions: u64,
    /// Those of them that were counted.
    pub(crate) counted: u64,
    pub(crate) objects: Estimate,
    pub(crate) bytes: Estimate,
    /// Why it is not known.
    pub(crate) problem: Option<String>,
}

/// What leaves each device of this node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Amounts {
    pub(crate) devices: BTreeMap<DeviceName, Amount>,
    /// Objects and bytes of a partition, on average of those that were counted; `None` where none was.
    pub(crate) mean: Option<(f64, f64)>,
}

/// Counts what there is time for, partitions at random.
pub(crate) fn amounts(
    devices: &Devices,
    policy: PolicyIndex,
    leaving: &BTreeMap<DeviceName, Vec<Partition>>,
) -> Amounts {
    let mut found = Amounts::default();
    let (mut objects, mut bytes, mut counted) = (0.0, 0.0, 0_u64);
    let share = COUNT_MAX / u32::try_from(leaving.len().max(1)).unwrap_or(u32::MAX);
    for (name, partitions) in leaving {
        let amount = match sample(devices, name, policy, partitions, share) {
            Ok(samples) => {
                objects += samples.seen.iter().map(|(objects, _)| objects).sum::<f64>();
                bytes += samples.seen.iter().map(|(_, bytes)| bytes).sum::<f64>();
                counted += samples.seen.len() as u64;
                samples.amount()
            }
            Err(error) => Amount { problem: Some(error.to_string()), ..Amount::default() },
        };
        found.devices.insert(name.clone(), amount);
    }
    found.mean = (counted > 0).then(|| (objects / counted as f64, bytes / counted as f64));
    found
}

/// Objects and bytes of each partition that was counted.
struct Samples {
    seen: Vec<(f64, f64)>,
    of: u64,
}

fn sample(
    devices: &Devices,
    name: &DeviceName,
    policy: PolicyIndex,
    partitions: &[Partition],
    longest: Duration,
) -> Result<Samples, DiskError> {
    let begun = Instant::now();
    let device = devices.open_to_look(name)?;
    let there: BTreeSet<Partition> = device.partition_numbers(policy)?.0.into_iter().collect();
    let mut there: Vec<Partition> =
        partitions.iter().filter(|partition| there.contains(partition)).copied().collect();
    Shuffle::new().shuffle(&mut there);
    let mut seen = Vec::new();
    for &partition in &there {
        // One is counted to its end, however long it takes: a part of it tells nothing.
        if !seen.is_empty() && begun.elapsed() >= longest {
            break;
        }
        let (mut objects, mut bytes) = (0_u64, 0_u64);
        for suffix in device.suffixes(policy, partition)? {
            let look = device.look_at_suffix(policy, partition, suffix)?;
            objects +=
                look.objects.iter().filter(|(object, _)| object.offer.kind == Some(ObjectKind::Data)).count()
                    as u64;
            bytes += look.objects.iter().map(|(_, bytes)| bytes).sum::<u64>();
        }
        seen.push((objects as f64, bytes as f64));
    }
    Ok(Samples { seen, of: there.len() as u64 })
}

impl Samples {
    fn amount(&self) -> Amount {
        Amount {
            partitions: self.of,
            counted: self.seen.len() as u64,
            objects: estimate(self.seen.iter().map(|(objects, _)| *objects), self.of),
            bytes: estimate(self.seen.iter().map(|(_, bytes)| *bytes), self.of),
            problem: None,
        }
    }
}

/// The sum over `of`, from some of them taken at random. One alone tells of no spread: then anything up to twice as much.
pub(super) fn estimate(seen: impl Iterator<Item = f64> + Clone, of: u64) -> Estimate {
    let count = seen.clone().count() as f64;
    if count == 0.0 {
        return Estimate::default();
    }
    let (of, sum) = (of as f64, seen.clone().sum::<f64>());
    let (mean, rest) = (sum / count, 1.0 - count / of);
    let amount = mean * of;
    let margin = match count {
        _ if rest <= 0.0 => 0.0,
        1.0 => amount,
        _ => {
            let variance = seen.map(|one| (one - mean).powi(2)).sum::<f64>() / (count - 1.0);
            ERRORS * of * (variance / count * rest).sqrt()
        }
    };
    Estimate { amount, margin }
}
