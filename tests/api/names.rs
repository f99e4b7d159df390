//! Names of a case's objects: unlike those of any other case, and in one partition.

use md5::{Digest as _, Md5};

/// Partitions as a power of two, so many that cases seldom share one.
pub(crate) const PART_POWER: u8 = 8;

/// `changeme` is what the harness writes into swift.conf, as prefix and as suffix.
const PREFIX: &str = "changeme";
const SUFFIX: &str = "changeme";

/// An MD5 in hexadecimal.
pub(crate) fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash of `/account/container/object`, given as bytes.
pub(crate) fn hash(path: &[u8]) -> String {
    md5(&[PREFIX.as_bytes(), path, SUFFIX.as_bytes()].concat())
}

/// The partition of an object with this hash.
pub(crate) fn partition(hash: &str) -> u32 {
    u32::from_str_radix(&hash[..8], 16).expect("a hash") >> (32 - PART_POWER)
}

/// What `%41` and the like stand for; what is no such escape stays.
pub(crate) fn unquote(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut plain = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        match escape.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()) {
            Some(value) => {
                plain.push(value);
                at += 3;
            }
            None => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    plain
}

/// The names that a case uses.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// The start of every name of this case, and of no name of another one.
    pub(crate) slug: String,
    /// `o`, `o2` and so on: all of them lie in the first one's partition.
    pub(crate) objects: Vec<String>,
}

/// As many objects as any case needs.
const OBJECTS: usize = 3;

impl Names {
    pub(crate) fn of(row: u8, name: &str) -> Self {
        let words: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let slug = format!("{row}.{words}.");
        let first = format!("{slug}o");
        let home = Self::partition_of(&first);
        let others =
            (0..).map(|number| format!("{slug}{number}")).filter(|name| Self::partition_of(name) == home);
        let objects = std::iter::once(first.clone()).chain(others).take(OBJECTS).collect();
        Self { slug, objects }
    }

    fn partition_of(object: &str) -> u32 {
        partition(&hash(format!("/AUTH_test/c/{object}").as_bytes()))
    }

    /// Puts names where `{o}`, `{path}`, `{hash}`, `{suffix}` (with 2 or 3 for other objects) and `{part}` stand.
    pub(crate) fn fill(&self, text: &str) -> String {
        if !text.contains('{') {
            return text.to_owned();
        }
        let mut filled = text.replace("{slug}", &self.slug);
        filled = filled.replace("{part}", &Self::partition_of(&self.objects[0]).to_string());
        for (number, object) in self.objects.iter().enumerate() {
            let number = if number == 0 { String::new() } else { (number + 1).to_string() };
            let path = format!("/AUTH_test/c/{object}");
            let hash = hash(path.as_bytes());
            filled = filled
                .replace(&format!("{{o{number}}}"), object)
                .replace(&format!("{{path{number}}}"), &path)
                .replace(&format!("{{suffix{number}}}"), &hash[29..])
                .replace(&format!("{{hash{number}}}"), &hash);
        }
        filled
    }
}
