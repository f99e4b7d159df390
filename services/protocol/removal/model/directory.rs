//! An object's directory as the model has it, and a reference of the rules which of its files count and what stands against
//! an offer. The disk layer's tests hold its own code against this file.

/// Names in an object's directory. Bit n of each set is the file of time n.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Names {
    pub(crate) data: u8,
    pub(crate) meta: u8,
    pub(crate) tombstone: u8,
}

/// Times are bits of a byte.
pub(crate) const TIMES: u8 = 8;

/// What counts of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Version {
    Data { data: u8, metadata: u8 },
    Tombstone(u8),
}

/// What stands against an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Same,
    Newer(u8),
    Lacking,
}

fn newest(times: u8) -> Option<u8> {
    times.checked_ilog2().map(|time| time as u8)
}

fn after(time: u8) -> u8 {
    (0xfe_u32 << time) as u8
}

impl Names {
    /// Without what is obsolete. Metadata without a body is stray, and stays for a while.
    pub(crate) fn settled(mut self) -> Self {
        if let Some(deleted) = newest(self.tombstone) {
            self.tombstone = 1 << deleted;
            self.data &= after(deleted);
            self.meta &= after(deleted);
        }
        if let Some(posted) = newest(self.meta) {
            self.meta = 1 << posted;
        }
        if let Some(put) = newest(self.data) {
            self.data = 1 << put;
            self.meta &= after(put);
            self.tombstone &= after(put);
        }
        self
    }

    pub(crate) fn version(self) -> Option<Version> {
        let left = self.settled();
        match newest(left.data) {
            Some(data) => Some(Version::Data { data, metadata: newest(left.meta).unwrap_or(data) }),
            None => newest(left.tombstone).map(Version::Tombstone),
        }
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self {
            data: self.data | other.data,
            meta: self.meta | other.meta,
            tombstone: self.tombstone | other.tombstone,
        }
    }

    pub(crate) fn both(self, other: Self) -> Self {
        Self {
            data: self.data & other.data,
            meta: self.meta & other.meta,
            tombstone: self.tombstone & other.tombstone,
        }
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self {
            data: self.data & !other.data,
            meta: self.meta & !other.meta,
            tombstone: self.tombstone & !other.tombstone,
        }
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl Version {
    pub(crate) fn time(self) -> u8 {
        match self {
            Self::Data { data, .. } => data,
            Self::Tombstone(time) => time,
        }
    }

    /// What this version is against an offered one: safe is only what is as new in every part.
    pub(crate) fn against(self, offered: Self) -> Standing {
        match (self, offered) {
            (Self::Tombstone(own), _) if own < offered.time() => Standing::Lacking,
            (Self::Tombstone(own), Self::Tombstone(time)) if own == time => Standing::Same,
            (Self::Tombstone(own), _) => Standing::Newer(own),
            (Self::Data { data, metadata }, Self::Tombstone(time)) if data > time => {
                Standing::Newer(data.max(metadata))
            }
            (Self::Data { .. }, Self::Tombstone(_)) => Standing::Lacking,
            (Self::Data { data, metadata }, Self::Data { data: sent, metadata: posted }) => {
                if data < sent || metadata < posted {
                    Standing::Lacking
                } else if data == sent && metadata == posted {
                    Standing::Same
                } else {
                    Standing::Newer(data.max(metadata))
                }
            }
        }
    }
}
