//! Which headers can stand in a request: those of a stored object may hold anything.

use ssync_types::{HeaderName, Metadata};

/// Whether a header is one header. Swift's updater gives up, at each of its passes, on what its client does not send
/// (Python: http/client.py putheader).
pub(super) fn is_sendable(name: &HeaderName, value: &[u8]) -> bool {
    HeaderName::new(name.as_bytes()).is_ok() && !value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0))
}

/// The headers without those that cannot be sent.
pub(super) fn sendable(headers: &Metadata) -> Metadata {
    let (good, bad): (Vec<_>, Vec<_>) = headers.iter().partition(|(name, value)| is_sendable(name, value));
    for (name, _) in bad {
        tracing::warn!(?name, "a header of a container update is left out: it cannot be sent");
    }
    good.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}
