//! What is not served yet: answered as such, never with a wrong success.

use crate::{placement::Refused, status::text};

fn unsupported(header: &str, why: &str) -> Refused {
    Box::new(text(501, format!("{header} is not supported: {why}")))
}

/// A GET of several ranges at once.
pub(super) fn several_ranges() -> Refused {
    unsupported("Range", "this server sends one range at a time; ask for each by itself")
}
