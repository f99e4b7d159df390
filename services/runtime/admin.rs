//! The admin address: metrics, health and the configuration for people and scrapers, and gRPC (health, reflection, the admin
//! service) on the same port.

mod page;

use std::{fmt::Write as _, sync::Arc};

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{Health, Row, grpc_server::GrpcServer, telemetry::Metrics};

pub use page::{Document, Page};

/// Prometheus' text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the admin address shows.
#[derive(Debug, Clone)]
pub struct Admin {
    /// `/ready`.
    pub health: Health,
    /// `/metrics`; `None` where the option `metrics` is off.
    pub metrics: Option<Metrics>,
    /// `/config`.
    pub config: watch::Receiver<Arc<[Row]>>,
    /// `/`, for browsers; everybody else gets a list of the routes.
    pub page: Option<Page>,
}

impl Admin {
    /// Puts the plain routes beside the gRPC services of a server. The server must take HTTP/1.1
    /// ([`crate::GrpcOptions::http1`]), and should drain last: probes go on asking while everything else goes down.
    #[must_use]
    pub fn routes_on(self, server: GrpcServer) -> GrpcServer {
        server.with_http(self.router())
    }

    fn router(self) -> Router {
        Router::new()
            .route("/", get(index))
            .route("/live", get(|| async { "alive\n" }))
            .route("/ready", get(ready))
            .route("/metrics", get(metrics))
            .route("/config", get(config))
            .with_state(Arc::new(self))
    }
}

async fn index(State(admin): State<Arc<Admin>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    match &admin.page {
        Some(page) if page::wants_html(&headers) => page.answer(query.as_deref()).await,
        page => routes(page.is_some()).into_response(),
    }
}

fn routes(page: bool) -> String {
    let page = page.then_some(("/", "the status page, in a browser"));
    let routes = [
        ("/live", "the process runs"),
        ("/ready", "it takes work"),
        ("/metrics", "for Prometheus"),
        ("/config", "each option, its value and where that comes from"),
    ];
    page.iter().chain(&routes).fold(String::new(), |mut text, (path, what)| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{path:10}{what}");
        text
    })
}

async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    if admin.health.is_ready() {
        (StatusCode::OK, "ready\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: starting or draining\n").into_response()
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    match admin.metrics.as_ref().map(Metrics::text) {
        Some(Ok(text)) => ([(CONTENT_TYPE, PROMETHEUS_TEXT)], text).into_response(),
        Some(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        None => (StatusCode::NOT_FOUND, "metrics are off (option metrics in [ssync])\n").into_response(),
    }
}

async fn config(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let rows = Arc::clone(&admin.config.borrow());
    Json(Value::Array(rows.iter().map(Row::to_json).collect()))
}

impl Row {
    /// As `/config` and `ssync config show --json` have it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "section": self.section,
            "name": self.name,
            "value": self.value,
            "origin": self.origin.to_string(),
        })
    }
}

#[cfg(test)]
mod tests;
