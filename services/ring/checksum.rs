//! The checksums that a v2 ring's index may name.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// Checks a section against its checksum (Swift: common/ring/io.py open_section).
pub(crate) fn verify(method: &str, expected: &str, bytes: &[u8]) -> Result<(), String> {
    let actual = match method {
        "md5" => hex::<Md5>(bytes),
        "sha1" => hex::<Sha1>(bytes),
        "sha256" => hex::<Sha256>(bytes),
        "sha512" => hex::<Sha512>(bytes),
        _ => return Err(format!("its checksum is of the unknown kind {method:?}")),
    };
    if actual == expected {
        Ok(())
    } else {
        Err(format!("its {method} checksum is {actual}, not {expected}"))
    }
}

fn hex<D: Digest>(bytes: &[u8]) -> String {
    D::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_four_kinds() {
        let empty = [
            ("md5", "d41d8cd98f00b204e9800998ecf8427e"),
            ("sha1", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ("sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (
                "sha512",
                "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
                 47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
            ),
        ];
        for (method, expected) in empty {
            assert_eq!(verify(method, expected, b""), Ok(()));
            assert!(verify(method, expected, b"x").is_err());
        }
        assert!(verify("crc32", "0", b"").is_err());
    }
}
