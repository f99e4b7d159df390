//! The path of a request.

use bytes::Bytes;
use ssync_protocol::{quote, unquote};

/// A request's path, decoded, without query.
#[derive(Debug)]
pub(crate) struct Path(Bytes);

impl Path {
    /// The path of a request's target, which may be a whole URL (RFC 9112, 3.2.2).
    pub(crate) fn of_target(target: &[u8]) -> Self {
        // A `#` is no fragment's here: no client sends one (RFC 9110, 4.2.5), and Swift has names with it.
        let target = target.split(|&b| b == b'?').next().unwrap_or_default();
        Self(Bytes::from(unquote(within_url(target))))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Quoted, for logs and texts.
    pub(crate) fn quoted(&self) -> String {
        // Quoting leaves ASCII alone.
        String::from_utf8_lossy(&quote(&self.0)).into_owned()
    }
}

/// The path within a URL that has no query (RFC 3986, 3); what begins with `/` is a path already.
pub(crate) fn within_url(url: &[u8]) -> &[u8] {
    const MARK: &[u8] = b"://";
    let mark = url.windows(MARK.len()).position(|window| window == MARK);
    let Some(at) = mark.filter(|_| !url.starts_with(b"/")) else { return url };
    let authority = url.get(at + MARK.len()..).unwrap_or_default();
    let path = authority.iter().position(|&b| b == b'/').and_then(|slash| authority.get(slash..));
    path.unwrap_or(b"/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_path_out_of_a_url() {
        for (target, path) in [
            ("/a/b%20c?d=/e", "/a/b c"),
            ("http://host/a", "/a"),
            ("http://host/a/http://b", "/a/http://b"),
            ("http://host", "/"),
            ("http://host?x=/y", "/"),
            ("/a?x=http://host/y", "/a"),
            ("x?y=http://host/y", "x"),
            ("/a/http://x", "/a/http://x"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(Path::of_target(target.as_bytes()).as_bytes(), path.as_bytes(), "{target}");
        }
    }
}
