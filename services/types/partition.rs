//! Where objects live: device, partition, policy, fragment.

use std::{fmt, str::FromStr};

use crate::Invalid;

const DEVICE_NAME_MAX: usize = 255;

/// A device's name in the ring, safe to use as one component of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceName(String);

impl DeviceName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Swift takes the names that URL quoting leaves as they are (Swift: common/constraints.py check_drive).
impl FromStr for DeviceName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'~'));
        if text.is_empty() || text.len() > DEVICE_NAME_MAX || !plain || text == "." || text == ".." {
            return Err(Invalid::new(
                "device",
                format!(
                    "{:?} is no device name (letters, digits, `_`, `.`, `-`, `~`)",
                    text.chars().take(64).collect::<String>()
                ),
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($inner);

        impl $name {
            /// Number `value`.
            #[must_use]
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }

            /// As a number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number! {
    /// A partition's number. Whether the ring has it is the ring's to say.
    Partition(u32)
}
number! {
    /// A storage policy's index in swift.conf. Whether it exists is swift.conf's to say.
    PolicyIndex(u32)
}
number! {
    /// An erasure-coded fragment's index.
    FragmentIndex(u16)
}

/// One partition of one policy on one device: the unit that a replication session locks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartitionRef {
    /// The device.
    pub device: DeviceName,
    /// The partition.
    pub partition: Partition,
    /// The policy.
    pub policy: PolicyIndex,
    /// The fragment in question; `None` for replication policies.
    pub fragment: Option<FragmentIndex>,
}

impl fmt::Display for PartitionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} (policy {})", self.device, self.partition, self.policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_one_plain_path_component() {
        assert_eq!("sdb1".parse::<DeviceName>().unwrap().as_str(), "sdb1");
        for bad in ["", ".", "..", "../x", "a/b", "a b", "a\0b", "sd\u{e9}", &"x".repeat(256)] {
            assert!(bad.parse::<DeviceName>().is_err(), "{bad:?}");
        }
    }
}
