//! Fields that are logged as a digest (Swift: common/utils/logs.py StrAnonymizer).

use md5::Md5;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::format::BadFormat;
use crate::hex::hex;

/// Digests fields, with a salt in front.
#[derive(Debug, Clone)]
pub(super) struct Anonymizer {
    /// In capitals, as a line shows it.
    name: &'static str,
    digest: fn(&str, &str) -> String,
    salt: String,
}

impl Anonymizer {
    /// By a method of Python's hashlib, as far as it is here.
    pub(super) fn new(method: &str, salt: &str) -> Result<Self, BadFormat> {
        let (name, digest): (_, fn(&str, &str) -> String) = match method.to_ascii_lowercase().as_str() {
            "md5" => ("MD5", salted::<Md5>),
            "sha1" => ("SHA1", salted::<Sha1>),
            "sha224" => ("SHA224", salted::<Sha224>),
            "sha256" => ("SHA256", salted::<Sha256>),
            "sha384" => ("SHA384", salted::<Sha384>),
            "sha512" => ("SHA512", salted::<Sha512>),
            _ => return Err(BadFormat::Digest(method.to_owned())),
        };
        Ok(Self { name, digest, salt: salt.to_owned() })
    }

    /// What stands for a text; nothing for nothing.
    pub(super) fn digest(&self, text: &str) -> String {
        let salted = if self.salt.is_empty() { "" } else { "S" };
        match text {
            "" => String::new(),
            text => format!("{{{salted}{}}}{}", self.name, (self.digest)(&self.salt, text)),
        }
    }
}

impl Default for Anonymizer {
    fn default() -> Self {
        Self { name: "MD5", digest: salted::<Md5>, salt: String::new() }
    }
}

fn salted<D: md5::Digest>(salt: &str, text: &str) -> String {
    let mut digest = D::new();
    digest.update(salt);
    digest.update(text);
    hex(&digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Swift 2.38.3 writes them.
    #[test]
    fn digests_as_swift_does() {
        for (method, salt, text, digest) in [
            ("md5", "", "/sdb1/1/a/c/o", "{MD5}d30fe1430588c8ddfac7afdb11478df7"),
            ("MD5", "salt", "/sdb1/1/a/c/o", "{SMD5}981bf14dfa90c5e8769c940ddb7d6559"),
            ("sha1", "pepper", "x", "{SSHA1}211659a6a2ceb65758e9720893965bb1a8dfcfac"),
            (
                "sha256",
                "",
                "127.0.0.1",
                "{SHA256}12ca17b49af2289436f303e0166030a21e525d266e209267433801a8fd4071a0",
            ),
        ] {
            assert_eq!(Anonymizer::new(method, salt).unwrap().digest(text), digest);
        }
        assert_eq!(Anonymizer::default().digest(""), "");
    }
}
