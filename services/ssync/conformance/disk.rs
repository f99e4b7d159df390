//! What lies on the receiver's disk, where the runner can see it.

use std::{io, path::PathBuf};

use ssync_types::{ObjectHash, PartitionRef};

/// A folder of devices.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    pub devices: PathBuf,
}

impl Disk {
    /// The names of an object's files, in order (Swift: storage_directory, in `objects` or `objects-N`).
    pub(crate) fn files(&self, at: &PartitionRef, hash: ObjectHash) -> io::Result<Vec<String>> {
        let objects = match at.policy.get() {
            0 => "objects".to_owned(),
            index => format!("objects-{index}"),
        };
        let partition = self.devices.join(at.device.as_str()).join(objects).join(at.partition.to_string());
        let folder = partition.join(hash.suffix().to_string()).join(hash.to_string());
        match std::fs::read_dir(folder) {
            Ok(entries) => {
                let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
                let mut names = names.collect::<io::Result<Vec<_>>>()?;
                names.sort();
                Ok(names)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}
