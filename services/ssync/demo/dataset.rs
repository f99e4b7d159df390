//! The objects of the demo: made from their number, so that nothing has to be remembered to check them.

use bytes::Bytes;
use md5::{Digest as _, Md5};
use ssync_types::{ObjectPath, Timestamp};

/// The demo's objects have this account and container.
const ACCOUNT: &str = "AUTH_demo";
const CONTAINER: &str = "demo";

/// One object.
#[derive(Debug, Clone)]
pub(crate) struct DemoObject {
    /// Its name.
    pub path: ObjectPath,
    /// Its time: the same at every replica, as a proxy would have it.
    pub timestamp: Timestamp,
    /// Bytes of its body.
    pub size: usize,
    /// What its body and its metadata are made from.
    seed: u64,
}

impl DemoObject {
    /// Its body.
    pub(crate) fn body(&self) -> Bytes {
        let mut state = self.seed | 1;
        let mut body = Vec::with_capacity(self.size + 8);
        while body.len() < self.size {
            state = xorshift(state);
            body.extend_from_slice(&state.to_le_bytes());
        }
        body.truncate(self.size);
        body.into()
    }

    /// Its metadata: plain, not ASCII, and empty.
    pub(crate) fn metadata(&self) -> Vec<(String, String)> {
        vec![
            ("X-Object-Meta-Number".to_owned(), self.seed.to_string()),
            (
                "X-Object-Meta-Colour".to_owned(),
                ["gr\u{fc}n", "\u{85cd}\u{8272}", "red"][self.seed as usize % 3].to_owned(),
            ),
            ("X-Object-Meta-Empty".to_owned(), String::new()),
        ]
    }

    /// The MD5 of its body, in hex.
    pub(crate) fn etag(&self) -> String {
        let digest: [u8; 16] = Md5::digest(self.body()).into();
        format!("{:032x}", u128::from_be_bytes(digest))
    }
}

/// `count` objects of mixed sizes: most of some KiB, some of up to 1 MiB, a few empty ones.
pub(crate) fn objects(count: usize, now: Timestamp) -> anyhow::Result<Vec<DemoObject>> {
    (0..count)
        .map(|number| {
            let seed = xorshift(number as u64 + 0x9e37_79b9_7f4a_7c15);
            Ok(DemoObject {
                path: ObjectPath::of(ACCOUNT, CONTAINER, &format!("caf\u{e9}/object {number:05}"))?,
                timestamp: now.shifted(number as i64, 0)?,
                size: size_of(number, seed),
                seed,
            })
        })
        .collect()
}

fn size_of(number: usize, seed: u64) -> usize {
    let spread = seed as usize;
    match number % 20 {
        0 => 0,
        1 => 64 * 1024 + spread % (960 * 1024),
        2..=4 => 16 * 1024 + spread % (112 * 1024),
        _ => 1 + spread % (16 * 1024),
    }
}

fn xorshift(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_the_same_each_time_and_unlike_others() {
        let objects = objects(100, Timestamp::from_seconds(1)).unwrap();
        assert_eq!(objects[7].body(), objects[7].body());
        assert_eq!(objects[7].body().len(), objects[7].size);
        assert_ne!(objects[7].etag(), objects[8].etag());
        assert!(objects.iter().any(|object| object.size == 0));
        assert!(objects.iter().any(|object| object.size > 64 * 1024));
        assert_eq!(objects[0].etag(), "d41d8cd98f00b204e9800998ecf8427e");
    }
}
