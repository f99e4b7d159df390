//! An object's full name.

use std::fmt;

use bytes::Bytes;

use crate::Invalid;

/// Longest path taken from a peer: Swift's limits on account (256), container (256) and object (1024), with room for
/// clusters that raised them.
const PATH_BYTES_MAX: usize = 8192;

/// `/account/container/object`, as bytes: Swift names are UTF-8, but what stands on a disk may not be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectPath(Bytes);

impl ObjectPath {
    /// Checks the form: three parts, none empty; only the last may hold a `/`.
    pub fn parse(path: impl Into<Bytes>) -> Result<Self, Invalid> {
        let path: Bytes = path.into();
        if path.len() > PATH_BYTES_MAX {
            return Err(Invalid::new("path", format!("{} bytes are more than {PATH_BYTES_MAX}", path.len())));
        }
        let mut parts = path.splitn(4, |&b| b == b'/');
        let form = [parts.next(), parts.next(), parts.next(), parts.next()];
        match form {
            [Some(b""), Some(account), Some(container), Some(object)]
                if !account.is_empty() && !container.is_empty() && !object.is_empty() =>
            {
                Ok(Self(path))
            }
            _ => Err(Invalid::new(
                "path",
                format!(
                    "{:?} is not /account/container/object",
                    String::from_utf8_lossy(&path[..path.len().min(128)])
                ),
            )),
        }
    }

    /// The path of its three parts.
    pub fn of(account: &str, container: &str, object: &str) -> Result<Self, Invalid> {
        Self::parse(format!("/{account}/{container}/{object}"))
    }

    /// The whole path.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The whole path, shared.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// Account, container, object.
    #[must_use]
    pub fn parts(&self) -> (&[u8], &[u8], &[u8]) {
        let mut parts = self.0[1..].splitn(3, |&b| b == b'/');
        let mut next = || parts.next().unwrap_or_default();
        (next(), next(), next())
    }
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_three_parts_of_which_the_last_may_hold_slashes() {
        let path = ObjectPath::parse("/a/c/o/p//q").unwrap();
        assert_eq!(path.parts(), (&b"a"[..], &b"c"[..], &b"o/p//q"[..]));
        for bad in ["", "/", "a/c/o", "/a/c", "/a/c/", "//c/o", "/a//o"] {
            assert!(ObjectPath::parse(bad).is_err(), "{bad}");
        }
        assert!(ObjectPath::parse(format!("/a/c/{}", "x".repeat(PATH_BYTES_MAX))).is_err());
    }
}
