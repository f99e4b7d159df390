//! While the partition power is being raised, a new file is in two partitions (Swift: diskfile.py relink_paths,
//! _part_power_cleanup).

use std::io;

use rustix::io::Errno;

use crate::{
    Device, Location,
    directory::{is, make_all},
    layout,
};

impl Device {
    /// Links a published file into the partition that it will have. What goes wrong is for the relinker to mend.
    pub(crate) fn link_for_power(&self, at: &Location, name: &str, power: u32) {
        let next = at_power(at, power);
        if next.partition == at.partition {
            return;
        }
        // The relinker may have calculated the hashes there already, and the replicator will believe them. (Swift leaves its
        // own as they are.)
        let partition = layout::partition(next.policy, next.partition);
        let linked =
            self.invalidate_around(&partition, &[next.hash.suffix()], || self.link_into(at, &next, name));
        let linked = linked.map_err(|error| error.to_string());
        if let Err(error) = linked.and_then(|linked| linked.map_err(|error| error.to_string())) {
            tracing::error!(device = %self.name, object = %at.hash, partition = %next.partition, %error,
                "a file could not be linked for the next partition power; run swift-object-relinker");
        }
    }

    fn link_into(&self, at: &Location, next: &Location, name: &str) -> io::Result<()> {
        let (from, directory) = (layout::object(at).join(name), layout::object(next));
        let to = directory.join(name);
        if self.disk.stat(&from).is_err_and(|error| is(&error, Errno::NOENT)) {
            // Another writer has won, and nothing is to be made for it.
            return Ok(());
        }
        let made = make_all(&*self.disk, &directory)?;
        match self.disk.hard_link(&from, &to) {
            Err(error) if is(&error, Errno::NOENT) && self.disk.stat(&from).is_err() => return Ok(()),
            Err(error) if is(&error, Errno::EXIST) => {
                if self.disk.stat(&from)?.inode != self.disk.stat(&to)?.inode {
                    return Err(error);
                }
            }
            other => other?,
        }
        self.sync_names(&directory, made)
    }

    /// Takes a name away there that has gone here: a fragment without the durable mark.
    pub(crate) fn unlink_for_power(&self, at: &Location, name: &str, power: u32) {
        let next = at_power(at, power);
        if next.partition != at.partition {
            // Most often there is none.
            let _ = self.disk.unlink(&layout::object(&next).join(name));
        }
    }

    /// Cleans the object's other directory: that of the next power, or of the one before where the raise is done.
    pub(crate) fn clean_up_for_power(&self, at: &Location, power: u32) {
        let next = at_power(at, power);
        if next.partition != at.partition {
            self.clean_up_quietly(&next);
        } else if let Some(previous) = power.checked_sub(1) {
            let other = at_power(at, previous);
            if other.partition != at.partition {
                self.clean_up_quietly(&other);
            }
        }
    }
}

fn at_power(at: &Location, power: u32) -> Location {
    Location { partition: at.hash.partition(power), ..*at }
}
