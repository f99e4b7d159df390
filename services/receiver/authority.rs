//! Who may do what, by the certificate that the caller's connection has shown. Where none was shown the rules of `caller` are
//! all that there is.
//!
//! A node of the rings may read, and push from its own devices alone: any of them to a primary of the partition, which is what a
//! handoff does after a rebalance; to a device that is none only a primary, which needs a substitute for one that cannot take it.
//! A client that is no node needs a role.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use opentelemetry::metrics::Meter;
use ssync_instruments::Instrument;
use ssync_types::{Identity, Reason, Refusal, Role, SessionOpen, Sparing, Standing};
use tonic::{Extensions, Request};

use crate::placement::{Placement, SenderClaim};

/// Whose certificate the connection of a request has shown, by its extensions; `None` without TLS.
pub type IdentityOf = fn(&Extensions) -> Option<Arc<Identity>>;

/// What a call needs beside what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// To read: a node of the rings, or any role.
    Read,
    /// To have hashes made anew: a node of the rings, or who may push.
    Mark,
    /// To change single objects: who may push. Nodes of the rings change nothing elsewhere but in sessions.
    Change,
    /// What is for this node's own processes: a node of the rings. That the caller is here is asked beside this.
    Own,
}

const UNAUTHORISED: Instrument = Instrument::counter(
    "ssync_receiver_unauthorised",
    &["reason"],
    "Calls refused because of the caller's certificate",
);

/// Judges callers by their certificates. Clones count together.
#[derive(Clone)]
pub struct Authority {
    identity_of: IdentityOf,
    placement: Arc<dyn Placement>,
    said: Arc<Said>,
}

#[derive(Default)]
struct Said {
    complaints: Sparing,
    unknown: AtomicU64,
    not_permitted: AtomicU64,
}

impl Authority {
    /// One that knows the rings.
    #[must_use]
    pub fn new(identity_of: IdentityOf, placement: Arc<dyn Placement>) -> Self {
        Self { identity_of, placement, said: Arc::default() }
    }

    /// All that [`observe`](Self::observe) shows.
    #[must_use]
    pub fn instruments() -> Vec<Instrument> {
        vec![UNAUTHORISED]
    }

    /// Shows how often somebody was refused.
    pub fn observe(&self, meter: &Meter) {
        let said = Arc::downgrade(&self.said);
        UNAUTHORISED.observe(meter, move |values| {
            let Some(said) = said.upgrade() else { return };
            for (counter, reason) in
                [(&said.unknown, Reason::IdentityUnknown), (&said.not_permitted, Reason::NotPermitted)]
            {
                values.observe(counter.load(Ordering::Relaxed), &[UNAUTHORISED.label(reason.name())]);
            }
        });
    }

    /// Whose certificate a request's connection has shown.
    pub(crate) fn identity<T>(&self, request: &Request<T>) -> Option<Arc<Identity>> {
        (self.identity_of)(request.extensions())
    }

    /// Whether a caller may make a call; `local` where it runs on this node.
    pub(crate) fn may(&self, identity: &Identity, need: Need, local: bool) -> Result<(), Refusal> {
        let is_node = || self.placement.has_node(identity);
        let least = match need {
            Need::Read => Some(Role::Reader),
            Need::Mark | Need::Change => Some(Role::Pusher),
            Need::Own => None,
        };
        let judged = match (identity.standing, identity.role()) {
            (Standing::Barred, _) => Err(barred(identity)),
            (_, Some(role)) if least.is_some_and(|least| role >= least) => Ok(()),
            _ if is_node() && (need != Need::Change || local) => Ok(()),
            (_, Some(role)) => Err(not_permitted(format!(
                "{identity} has the role {role:?} here, which does not let it do this (tls_readers, tls_pushers, tls_admins)"
            ))),
            _ if is_node() => Err(not_permitted(format!(
                "{identity} is a node of the rings: it may push in sessions, not change single objects (tls_pushers)"
            ))),
            _ => Err(unknown(identity)),
        };
        self.tell(identity, judged)
    }

    /// Whether a caller may open a session.
    pub(crate) fn may_push(&self, identity: &Identity, open: &SessionOpen) -> Result<(), Refusal> {
        let judged = match (identity.standing, identity.role()) {
            (Standing::Barred, _) => Err(barred(identity)),
            (_, Some(Role::Pusher | Role::Admin)) => Ok(()),
            _ => self.judge_claim(identity, open),
        };
        self.tell(identity, judged)
    }

    fn judge_claim(&self, identity: &Identity, open: &SessionOpen) -> Result<(), Refusal> {
        let (at, sender) = (&open.partition, &open.sender);
        let here_is_primary = || self.placement.is_primary(at.policy, at.partition, &at.device) == Some(true);
        match self.placement.claim(at, identity, sender) {
            SenderClaim::ItsDevice { is_primary } if is_primary || here_is_primary() => Ok(()),
            SenderClaim::ItsDevice { .. } => Err(not_permitted(format!(
                "{} is no primary of partition {} of policy {}, and neither is {} of {identity}: only a primary may push to \
                 one that is none; compare the rings",
                at.device,
                at.partition,
                at.policy,
                sender.device.escape_default()
            ))),
            SenderClaim::NotItsDevice => Err(not_permitted(format!(
                "{identity} claims to push from device {} at {}, which by the ring of policy {} is not its own",
                sender.device.escape_default(),
                sender.address.escape_default(),
                at.policy
            ))),
            SenderClaim::NoNode if identity.role().is_some() => {
                Err(not_permitted(format!("{identity} may read here, not push (tls_pushers)")))
            }
            SenderClaim::NoNode if self.placement.has_node(identity) => {
                Err(not_permitted(format!("{identity} has no device in the ring of policy {}", at.policy)))
            }
            SenderClaim::NoNode => Err(unknown(identity)),
        }
    }

    fn tell(&self, identity: &Identity, judged: Result<(), Refusal>) -> Result<(), Refusal> {
        if let Err(refusal) = &judged {
            let counter = match refusal.reason {
                Reason::IdentityUnknown => &self.said.unknown,
                _ => &self.said.not_permitted,
            };
            counter.fetch_add(1, Ordering::Relaxed);
            if let Some(unsaid) = self.said.complaints.say() {
                tracing::warn!(%identity, %refusal, unsaid, "a caller was refused");
            }
        }
        judged
    }
}

fn not_permitted(message: String) -> Refusal {
    Refusal::new(Reason::NotPermitted, message)
}

fn barred(identity: &Identity) -> Refusal {
    Refusal::new(
        Reason::IdentityUnknown,
        format!("{identity} is none of those that are allowed (tls_allowed_peers)"),
    )
}

fn unknown(identity: &Identity) -> Refusal {
    let message = format!(
        "{identity} names no node of this node's rings, and has no role here; compare its names with the addresses in the \
         rings, or name it in tls_readers, tls_pushers or tls_admins"
    );
    Refusal::new(Reason::IdentityUnknown, message)
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("placement", &self.placement).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
