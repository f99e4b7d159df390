//! What a sender does about a refusal: one table.

use std::time::Duration;

use ssync_types::{Reason, Refusal};

use crate::gates::RETRY_MAX;

/// When to come back to a peer that did not say when.
const RETRY_DEFAULT: Duration = Duration::from_millis(500);

/// The way on after a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Another partition first; this one again after the delay.
    ComeBack(Duration),
    /// The device cannot take it: one more node gets a copy.
    NextDevice,
    /// Counted as a failure of this node; no substitute.
    Failure,
}

impl Remedy {
    /// The remedy for a refusal.
    pub(crate) fn of(refusal: &Refusal) -> Self {
        match refusal.reason {
            Reason::ReceiverBusy | Reason::PartitionLocked | Reason::DeviceLocked | Reason::Draining => {
                Self::ComeBack(refusal.retry_after.unwrap_or(RETRY_DEFAULT).min(RETRY_MAX))
            }
            Reason::DeviceUnmounted | Reason::DeviceFull => Self::NextDevice,
            _ => Self::Failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_who_is_busy_who_is_gone_and_who_failed() {
        let of = |reason| Remedy::of(&Refusal::new(reason, "x"));
        for reason in Reason::ALL {
            let expected = match reason.name() {
                "RECEIVER_BUSY" | "PARTITION_LOCKED" | "DEVICE_LOCKED" | "DRAINING" => {
                    Remedy::ComeBack(RETRY_DEFAULT)
                }
                "DEVICE_UNMOUNTED" | "DEVICE_FULL" => Remedy::NextDevice,
                _ => Remedy::Failure,
            };
            assert_eq!(of(reason), expected, "{reason:?}");
        }
    }

    #[test]
    fn a_peer_cannot_send_us_away_for_ever() {
        let asked = Refusal::new(Reason::ReceiverBusy, "x").retry_after(Duration::from_secs(1_000_000));
        assert_eq!(Remedy::of(&asked), Remedy::ComeBack(RETRY_MAX));
    }
}
