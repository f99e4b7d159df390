//! What can go wrong with a peer, in words that name it.

use std::time::Duration;

use ssync_api::status::from_status;
use ssync_types::{Invalid, Reason, Refusal};
use tonic::Status;

use crate::StoreAddress;

/// Makes refusals of what a peer at this address did.
#[derive(Debug, Clone)]
pub(super) struct Faults {
    address: StoreAddress,
}

impl Faults {
    pub(super) fn new(address: StoreAddress) -> Self {
        Self { address }
    }

    pub(super) fn address(&self) -> &StoreAddress {
        &self.address
    }

    /// The peer's own words; or the transport's, with the address that those lack.
    pub(super) fn status(&self, status: &Status) -> Refusal {
        let refusal = from_status(status);
        match refusal.reason {
            Reason::Unreachable => {
                Refusal { message: format!("{}: {}", self.address, refusal.message), ..refusal }
            }
            _ => refusal,
        }
    }

    pub(super) fn no_answer(&self, limit: Duration) -> Refusal {
        Refusal::new(Reason::Unreachable, format!("{}: no answer within {limit:?}", self.address))
    }

    pub(super) fn no_place(&self, limit: Duration) -> Refusal {
        Refusal::new(
            Reason::ReceiverBusy,
            format!("{}: as many bodies as it may have are under way, for {limit:?} by now", self.address),
        )
    }

    pub(super) fn silent(&self, limit: Duration) -> Refusal {
        Refusal::new(Reason::Unreachable, format!("{}: has said nothing for {limit:?}", self.address))
    }

    pub(super) fn stuck(&self, limit: Duration) -> Refusal {
        Refusal::new(
            Reason::IdleTimeout,
            format!("{}: is alive but has made no progress for {limit:?}", self.address),
        )
    }

    pub(super) fn ended_early(&self, missing: &str) -> Refusal {
        Refusal::new(Reason::Unreachable, format!("{}: ended the stream before {missing}", self.address))
    }

    /// Not the contract: a fault of that program, or of this one.
    pub(super) fn nonsense(&self, invalid: &Invalid) -> Refusal {
        Refusal::new(
            Reason::Internal,
            format!("{}: answered what the contract does not have: {invalid}", self.address),
        )
    }
}
