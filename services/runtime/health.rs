//! What the daemon says about itself: alive from the start, ready once it can serve, not ready from the first moment of a
//! drain.

use std::sync::Arc;

use tokio::sync::{Mutex, watch};
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

/// Health name of the whole server, by the gRPC health checking protocol.
const WHOLE_SERVER: &str = "";

/// Health name that is serving as long as the process runs. For liveness probes: a drain must not get a pod killed.
pub const LIVE: &str = "live";

/// The daemon's health. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Health {
    reporter: HealthReporter,
    services: Arc<[String]>,
    ready: watch::Sender<bool>,
    /// Whether it goes down. Held while statuses change, so that two callers do not mix theirs.
    over: Arc<Mutex<bool>>,
}

impl Health {
    /// For a daemon that serves `services` (full gRPC names) and is not ready yet.
    pub async fn new<S: Into<String>>(services: impl IntoIterator<Item = S>) -> Self {
        let services =
            std::iter::once(WHOLE_SERVER.to_owned()).chain(services.into_iter().map(Into::into)).collect();
        let ready = watch::Sender::new(false);
        let health = Self { reporter: HealthReporter::new(), services, ready, over: Arc::default() };
        health.reporter.set_service_status(LIVE, ServingStatus::Serving).await;
        health.show(|_| false).await;
        health
    }

    /// Everything that it needs is loaded and every address is bound.
    pub async fn set_ready(&self) {
        self.set_ready_without(&[]).await;
    }

    /// The same, but for these services; without any of them the whole server is not ready either.
    pub async fn set_ready_without(&self, unfit: &[&str]) {
        let over = self.over.lock().await;
        if !*over {
            self.show(|name| match name {
                WHOLE_SERVER => unfit.is_empty(),
                name => !unfit.contains(&name),
            })
            .await;
        }
    }

    /// It takes no more work, and never will again.
    pub async fn set_not_ready(&self) {
        let mut over = self.over.lock().await;
        *over = true;
        self.show(|_| false).await;
    }

    /// Whether it takes work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// The `grpc.health.v1.Health` service. As many as there are servers.
    #[must_use]
    pub fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }

    async fn show(&self, ready: impl Fn(&str) -> bool) {
        self.ready.send_replace(ready(WHOLE_SERVER));
        for service in self.services.iter() {
            let status = if ready(service) { ServingStatus::Serving } else { ServingStatus::NotServing };
            self.reporter.set_service_status(service, status).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Request;
    use tonic_health::pb::{
        HealthCheckRequest, health_check_response::ServingStatus as Wire, health_server::Health as _,
    };

    use super::*;

    async fn check(health: &Health, service: &str) -> Option<i32> {
        let request = Request::new(HealthCheckRequest { service: service.to_owned() });
        let service = HealthService::from_health_reporter(health.reporter.clone());
        service.check(request).await.ok().map(|answer| answer.into_inner().status)
    }

    #[tokio::test]
    async fn a_daemon_is_ready_only_between_start_and_drain_and_alive_all_along() {
        let health = Health::new(["ssync.v1.ReplicationService"]).await;
        let names = ["", "ssync.v1.ReplicationService"];
        for (ready, wanted) in [(false, Wire::NotServing), (true, Wire::Serving), (false, Wire::NotServing)] {
            health.show(|_| ready).await;
            assert_eq!(health.is_ready(), ready);
            for name in names {
                assert_eq!(check(&health, name).await, Some(wanted as i32), "{name:?}");
            }
            assert_eq!(check(&health, LIVE).await, Some(Wire::Serving as i32));
        }
        assert_eq!(check(&health, "no.such.Service").await, None);
    }

    #[tokio::test]
    async fn nothing_is_ready_before_somebody_says_so() {
        let health = Health::new(["ssync.v1.ReplicationService"]).await;
        assert_eq!(check(&health, "").await, Some(Wire::NotServing as i32));
    }

    #[tokio::test]
    async fn one_service_that_is_not_fit_leaves_the_others_ready_and_the_whole_not() {
        let health = Health::new(["x.A", "x.B"]).await;
        health.set_ready_without(&["x.A"]).await;
        let (serving, not) = (Some(Wire::Serving as i32), Some(Wire::NotServing as i32));
        assert_eq!((check(&health, "x.A").await, check(&health, "x.B").await), (not, serving));
        assert_eq!((check(&health, "").await, health.is_ready()), (not, false));
        health.set_ready().await;
        assert_eq!((check(&health, "x.A").await, health.is_ready()), (serving, true));
    }

    #[tokio::test]
    async fn what_goes_down_is_never_ready_again() {
        let health = Health::new(["x.A"]).await;
        health.set_not_ready().await;
        health.set_ready().await;
        assert_eq!((check(&health, "x.A").await, health.is_ready()), (Some(Wire::NotServing as i32), false));
    }
}
