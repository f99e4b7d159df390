//! How a node's devices are, as operators ask (Swift: common/middleware/recon.py).

/// What stands in the folder of devices, and what the node has mounted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceSurvey {
    /// All names in the folder, those that are no devices too.
    pub entries: Vec<SurveyedEntry>,
    /// File systems of the node, in the order that they were mounted.
    pub mounts: Vec<MountPoint>,
}

impl DeviceSurvey {
    /// Most names that are told of.
    pub const ENTRIES_MAX: usize = 1024;
    /// Most mounts that are told of.
    pub const MOUNTS_MAX: usize = 4096;
}

/// A name in the folder of devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurveyedEntry {
    /// The name. Bytes that are no text stand as U+FFFD.
    pub name: String,
    /// What is there.
    pub state: EntryState,
    /// What is in quarantine there, by kind, where there is something.
    pub quarantined: Vec<Quarantined>,
}

/// What is found under a name in the folder of devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryState {
    /// No directory.
    NoDirectory,
    /// A directory with nothing mounted on it.
    Unmounted,
    /// It could not be looked at, for this reason.
    Unknown(String),
    /// A mounted device.
    Mounted(Usage),
}

/// Bytes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// In all.
    pub size: u64,
    /// Not available to daemons.
    pub used: u64,
    /// Available to daemons.
    pub available: u64,
}

/// A folder below `quarantined/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its name: `objects`, `objects-1`, `containers`, `accounts`.
    pub kind: String,
    /// How many folders are in it.
    pub count: u64,
}

/// A file system that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// What is mounted.
    pub device: String,
    /// Where.
    pub path: String,
}
