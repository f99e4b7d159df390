//! What is not served yet: answered as such, never with a wrong success.

use ssync_types::Metadata;

use super::fields::{has, is_true};
use crate::{placement::Refused, status::text};

fn unsupported(header: &str, why: &str) -> Refused {
    Box::new(text(501, format!("{header} is not supported: {why}")))
}

/// A change that must also reach a container server or the expirer's queue: an object which is stored but not listed
/// would be a wrong success. What replication writes has been announced by the first node that took it.
pub(super) fn check_updates(headers: &Metadata) -> Result<(), Refused> {
    if is_true(headers, "X-Backend-Replication") {
        return Ok(());
    }
    if has(headers, "X-Container-Host") && has(headers, "X-Container-Partition") {
        return Err(unsupported(
            "X-Container-Host",
            "this server does not update containers; write to another node",
        ));
    }
    if has(headers, "X-Delete-At-Host") {
        return Err(unsupported(
            "X-Delete-At-Host",
            "this server does not queue expirations; write to another node",
        ));
    }
    Ok(())
}

/// A GET of several ranges at once.
pub(super) fn several_ranges() -> Refused {
    unsupported("Range", "this server sends one range at a time; ask for each by itself")
}
