//! Where objects are, as the harness's swift.conf and the rings of the benchmarks say it.

use md5::{Digest as _, Md5};

/// 256 partitions.
pub(crate) const PART_POWER: u8 = 8;
/// What the harness's swift.conf says of paths.
const HASH_PREFIX: &[u8] = b"changeme";
const HASH_SUFFIX: &[u8] = b"changeme";

/// Where the ring has an object (Swift: common/ring/ring.py get_part).
pub(crate) fn partition(path: &str) -> u32 {
    let hash = hash(path);
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]) >> (u32::BITS - u32::from(PART_POWER))
}

/// Swift: common/utils hash_path.
pub(crate) fn hash(path: &str) -> [u8; 16] {
    Md5::new().chain_update(HASH_PREFIX).chain_update(path).chain_update(HASH_SUFFIX).finalize().into()
}
