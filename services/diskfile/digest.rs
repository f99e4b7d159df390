//! MD5 as Swift writes it.

mod body;
mod lanes;
mod together;

pub(crate) use body::BodyMd5;
pub(crate) use together::Hashing;

use md5::{Digest as _, Md5};

/// A digest as 32 lower-case hex digits.
pub(crate) fn hex(md5: Md5) -> String {
    let digest: [u8; 16] = md5.finalize().into();
    format!("{:032x}", u128::from_be_bytes(digest))
}
