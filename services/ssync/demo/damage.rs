//! What the demo does to its cluster: an empty device, and partitions where they do not belong.

use std::{fs, io, path::Path};

use anyhow::Context as _;

use crate::demo::placement::{DemoDevice, Placement};

/// What was done.
#[derive(Debug, Clone)]
pub(crate) struct Damage {
    /// The device that lost everything.
    pub wiped: String,
    /// The device whose partitions were moved away.
    pub emptied: String,
    /// The device that they were moved to.
    pub misplaced_to: String,
    /// How many partitions that device holds now without being their primary.
    pub misplaced_partitions: usize,
}

/// Wipes the first device, and moves the partitions of a device of another node to its neighbour, except those that the
/// neighbour holds by right.
pub(crate) fn damage(placement: &Placement) -> anyhow::Result<Damage> {
    let wiped = placement.devices.first().context("the cluster has no device")?;
    wipe(wiped)?;
    let (emptied, target) = neighbours(placement, wiped).context("no node but the first has two devices")?;
    let rightful = placement.partitions_of(target);
    let mut misplaced = 0;
    for partition in placement.partitions_of(emptied).difference(&rightful) {
        misplaced += usize::from(misplace(emptied, target, *partition)?);
    }
    Ok(Damage {
        wiped: wiped.name.clone(),
        emptied: emptied.name.clone(),
        misplaced_to: target.name.clone(),
        misplaced_partitions: misplaced,
    })
}

/// How many partitions lie on devices that are not their primaries.
pub(crate) fn misplaced_partitions(placement: &Placement) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for device in &placement.devices {
        let rightful = placement.partitions_of(device);
        let objects = device.path.join("objects");
        for entry in read_dir(&objects)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.parse().is_ok_and(|partition| !rightful.contains(&partition)) {
                found.push(format!("{}/{name}", device.name));
            }
        }
    }
    Ok(found)
}

fn neighbours<'a>(placement: &'a Placement, wiped: &DemoDevice) -> Option<(&'a DemoDevice, &'a DemoDevice)> {
    let elsewhere = |device: &&DemoDevice| device.address != wiped.address;
    let emptied = placement.devices.iter().find(elsewhere)?;
    let target = placement
        .devices
        .iter()
        .find(|device| device.address == emptied.address && device.id != emptied.id)?;
    Some((emptied, target))
}

fn wipe(device: &DemoDevice) -> anyhow::Result<()> {
    let objects = device.path.join("objects");
    fs::remove_dir_all(&objects).with_context(|| format!("cannot wipe {}", objects.display()))
}

fn misplace(from: &DemoDevice, to: &DemoDevice, partition: u32) -> anyhow::Result<bool> {
    let source = from.path.join("objects").join(partition.to_string());
    let target_objects = to.path.join("objects");
    fs::create_dir_all(&target_objects)?;
    match fs::rename(&source, target_objects.join(partition.to_string())) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot move {}", source.display())),
    }
}

fn read_dir(path: &Path) -> anyhow::Result<Box<dyn Iterator<Item = io::Result<fs::DirEntry>>>> {
    match fs::read_dir(path) {
        Ok(entries) => Ok(Box::new(entries)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Box::new(std::iter::empty())),
        Err(error) => Err(error).with_context(|| format!("cannot list {}", path.display())),
    }
}
