//! The hash that names an object's directory and places it in the ring.

use std::{fmt, str::FromStr};

use md5::{Digest as _, Md5};

use crate::{Invalid, ObjectPath, Partition, Suffix};

/// Largest part power: a partition is at most 32 bits of the hash.
const PART_POWER_MAX: u32 = 32;

/// MD5 of the salted object path. Written as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectHash([u8; 16]);

impl ObjectHash {
    /// The hash of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The hash's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The last three hex digits: the directory between partition and object.
    #[must_use]
    pub fn suffix(&self) -> Suffix {
        Suffix::from_low_bits(u16::from_be_bytes([self.0[14], self.0[15]]))
    }

    /// The partition in a ring of 2^`part_power` partitions (Swift: ring.py get_part).
    #[must_use]
    pub fn partition(&self, part_power: u32) -> Partition {
        let head = u32::from_be_bytes([self.0[0], self.0[1], self.0[2], self.0[3]]);
        match part_power.min(PART_POWER_MAX) {
            0 => Partition::new(0),
            power => Partition::new(head >> (PART_POWER_MAX - power)),
        }
    }
}

impl fmt::Display for ObjectHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ObjectHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ObjectHash {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let lower_hex = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !lower_hex {
            return Err(Invalid::new("object_hash", format!("{text:?} is not 32 lower-case hex digits")));
        }
        u128::from_str_radix(text, 16)
            .map(|number| Self(number.to_be_bytes()))
            .map_err(|error| Invalid::new("object_hash", error.to_string()))
    }
}

/// The cluster's secret salt of object hashes (swift.conf, `[swift-hash]`).
#[derive(Clone, PartialEq, Eq)]
pub struct HashPathConfig {
    prefix: Vec<u8>,
    suffix: Vec<u8>,
}

impl HashPathConfig {
    /// The salt of `swift_hash_path_prefix` and `swift_hash_path_suffix`, of which one may be empty but not both.
    pub fn new(prefix: impl Into<Vec<u8>>, suffix: impl Into<Vec<u8>>) -> Result<Self, Invalid> {
        let (prefix, suffix) = (prefix.into(), suffix.into());
        if prefix.is_empty() && suffix.is_empty() {
            return Err(Invalid::new(
                "swift_hash_path_suffix",
                "swift_hash_path_prefix and swift_hash_path_suffix are both empty; take them from the cluster's swift.conf",
            ));
        }
        Ok(Self { prefix, suffix })
    }

    /// The hash of an object (Swift: common/utils hash_path).
    #[must_use]
    pub fn hash(&self, path: &ObjectPath) -> ObjectHash {
        let mut md5 = Md5::new();
        md5.update(&self.prefix);
        md5.update(path.as_bytes());
        md5.update(&self.suffix);
        ObjectHash(md5.finalize().into())
    }
}

/// The salt is a secret of the cluster: it never reaches a log.
impl fmt::Debug for HashPathConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashPathConfig(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_swift_does() {
        let config = HashPathConfig::new("changeme", "changeme").unwrap();
        let hash = config.hash(&ObjectPath::parse("/AUTH_test/c/o").unwrap());
        assert_eq!(hash.to_string(), "4e2772c453cbe15a19b26fbfbb223e31");
        assert_eq!(hash.partition(10).get(), 312);
        assert_eq!(hash.partition(0).get(), 0);
        assert_eq!(hash.partition(32).get(), 0x4e27_72c4);
        assert_eq!(hash.suffix().to_string(), "e31");
    }

    #[test]
    fn takes_only_32_lower_case_hex_digits() {
        let good = "4e2772c453cbe15a19b26fbfbb223e31";
        assert_eq!(good.parse::<ObjectHash>().unwrap().to_string(), good);
        for bad in
            ["", "../etc", &good[1..], &format!("{good}0"), &good.to_uppercase(), &format!("+{}", &good[1..])]
        {
            assert!(bad.parse::<ObjectHash>().is_err(), "{bad}");
        }
    }

    #[test]
    fn needs_a_salt_and_hides_it() {
        assert!(HashPathConfig::new("", "").is_err());
        let config = HashPathConfig::new("", "s3cret").unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
