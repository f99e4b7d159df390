//! Bodies that one thread writes one after the other and publishes together: one look at the mount, one note for each
//! partition, each directory flushed once.

use std::{sync::Arc, time::SystemTime};

use ssync_types::ObjectPath;

use crate::{
    Committed, DataFile, Device, DiskError, Location,
    nest::Nests,
    publish::Member,
    temporary::Temporary,
    writer::{Finished, Writer},
};

/// Bodies on their way. Dropped before it is published, it leaves nothing.
#[derive(Debug)]
pub struct Sheaf {
    device: Arc<Device>,
    nests: Nests,
    members: Vec<Member>,
    /// When its first body may have begun.
    began: SystemTime,
}

impl Device {
    /// Begins a sheaf, if the device is still mounted (rule S7). It is asked once more before the first name is given.
    pub fn sheaf(self: &Arc<Self>) -> Result<Sheaf, DiskError> {
        self.check_mounted()?;
        let (members, began) = (Vec::new(), self.disk.now());
        Ok(Sheaf { device: Arc::clone(self), nests: Nests::default(), members, began })
    }

    /// How many sheaves a caller best has under way at once on this device, as measured.
    #[must_use]
    pub fn hands(&self) -> usize {
        self.tempo().hands()
    }
}

impl Sheaf {
    /// Whether there is certainly nothing of an object.
    pub fn is_vacant(&mut self, at: &Location) -> bool {
        self.nests.is_vacant(&self.device, at)
    }

    /// As [`Device::create`]: begins a body of the sheaf, whose bytes are at hand: no space is taken before they are written.
    pub fn create(
        &mut self,
        at: &Location,
        path: &ObjectPath,
        size: Option<u64>,
    ) -> Result<Writer, DiskError> {
        self.device.create_with(at, path, size, |at| Temporary::create_in(&self.device, at, &mut self.nests))
    }

    /// Takes a body that is written. What it gives holds when [`publish`](Self::publish) says so.
    pub fn add(&mut self, writer: Writer, file: DataFile) -> Result<Committed, DiskError> {
        let Finished { publication, attributes, committed } = writer.finish(file)?;
        self.device.describe(&publication, &attributes)?;
        self.members.push(Member::new(publication));
        Ok(committed)
    }

    /// Publishes the bodies: what became of each, in the order in which they were taken. What fails costs itself alone.
    pub fn publish(self) -> Vec<Result<(), DiskError>> {
        let Self { device, members, began, nests } = self;
        drop(nests);
        if members.is_empty() {
            return Vec::new();
        }
        let written = device.disk.now();
        let outcomes = device.publish_all(members);
        let since = |then| device.disk.now().duration_since(then).unwrap_or_default();
        let published = since(written);
        device.tempo().observe(since(began).saturating_sub(published), published);
        outcomes
    }
}
