//! Whether a node can do its work: its rings are there, and its receiver where that is a process of its own.

use std::{sync::Arc, time::Duration};

use ssync_receiver::RingPlacement;
use ssync_ring::{Policies, Policy};
use ssync_runtime::{Health, notify};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_client::HealthClient},
};

use crate::node::SERVICES;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// Time that the receiver gets to say how it is.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The service that the rings are for.
const BY_RING: &str = SERVICES[0];

/// Keeps the health service true.
pub(super) struct Readiness {
    health: Health,
    placement: Arc<RingPlacement>,
    policies: Vec<Policy>,
    receiver: Option<HealthClient<Channel>>,
    /// What was last found missing.
    known: Vec<String>,
}

impl Readiness {
    /// `receiver` is the way to one that is a process of its own.
    pub(super) fn new(
        health: Health,
        placement: Arc<RingPlacement>,
        policies: &Policies,
        receiver: Option<Channel>,
    ) -> Self {
        let policies = policies.iter().cloned().collect();
        Self { health, placement, policies, receiver: receiver.map(HealthClient::new), known: Vec::new() }
    }

    /// Looks until it is told to stop.
    pub(super) async fn follow(mut self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
            self.look().await;
        }
    }

    /// Looks once, and says what has changed.
    pub(super) async fn look(&mut self) {
        let (mut unfit, mut missing) = (Vec::new(), Vec::new());
        for policy in self.policies.iter().filter(|policy| self.placement.ring(policy.index).is_none()) {
            unfit.push(BY_RING);
            missing.push(format!("the ring of policy {} ({})", policy.index, policy.name));
        }
        if let Some(receiver) = &mut self.receiver {
            for service in SERVICES {
                if !serves(receiver, service).await {
                    unfit.push(service);
                    missing.push(format!("{service} of the receiver"));
                }
            }
        }
        if missing != self.known {
            match missing.as_slice() {
                [] => {
                    tracing::info!("ready: nothing is missing any more");
                    notify::status("serving");
                }
                missing => {
                    let missing = missing.join(", ");
                    tracing::warn!("not ready; missing: {missing}");
                    notify::status(&format!("not ready; missing: {missing}"));
                }
            }
            self.known = missing;
        }
        self.health.set_ready_without(&unfit).await;
    }
}

async fn serves(receiver: &mut HealthClient<Channel>, service: &str) -> bool {
    let answer = receiver.check(HealthCheckRequest { service: service.to_owned() });
    let answer = tokio::time::timeout(PROBE_TIMEOUT, answer).await;
    matches!(answer, Ok(Ok(answer)) if answer.get_ref().status == ServingStatus::Serving as i32)
}
