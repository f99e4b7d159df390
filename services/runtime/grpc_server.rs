//! A gRPC server with the settings that every one of ours has.

use std::{convert::Infallible, time::Duration};

use http::Request;
use prost::DecodeError;
use tonic::{body::Body, server::NamedService, service::Routes, transport::Server};
use tower::Service;

use crate::{
    Drain, Health, Incoming,
    telemetry::{Metrics, RpcLayer, RpcMethods},
};

/// Largest HTTP/2 frame that is taken. Four times the protocol's default saves a tenth of the receiver's time.
const FRAME_MAX: u32 = 64 * 1024;

/// Most bytes of a call's headers; a mesh adds some kilobytes.
const HEADERS_MAX: u32 = 32 * 1024;

/// Most calls of one connection that are worked on at a time, where its windows allow more.
const CALLS_PER_CONNECTION_MAX: u32 = 256;

/// Age at which a connection is told to end (GOAWAY) once what is under way on it has: certificates that have expired or do not count
/// any more are gone after that, proxies spread anew, and who only holds a place loses it.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(3600);

/// What differs between servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcOptions {
    /// HTTP/2 window of a stream in bytes (`grpc_stream_window`).
    pub stream_window: u32,
    /// HTTP/2 window of a connection in bytes (`grpc_connection_window`).
    pub connection_window: u32,
    /// Silence after which a connection is probed (`grpc_keepalive_interval`).
    pub keepalive_interval: Duration,
    /// Time for the answer to a probe (`grpc_keepalive_timeout`).
    pub keepalive_timeout: Duration,
    /// Age at which a connection is told to end.
    pub connection_age_max: Duration,
    /// Answer reflection (`grpc_reflection`).
    pub reflection: bool,
    /// Take HTTP/1.1 as well, for plain routes on the same address.
    pub http1: bool,
}

impl Default for GrpcOptions {
    fn default() -> Self {
        Self {
            stream_window: 1 << 20,
            connection_window: 16 << 20,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            connection_age_max: CONNECTION_AGE_MAX,
            reflection: true,
            http1: false,
        }
    }
}

impl GrpcOptions {
    /// Streams that nobody reads hold their windows; one fewer than the connection's window holds can never stall it.
    #[must_use]
    pub fn streams_max(&self) -> u32 {
        let whole = self.connection_window / self.stream_window.max(1);
        whole.saturating_sub(1).clamp(1, CALLS_PER_CONNECTION_MAX)
    }
}

/// Why a server cannot be made, or ended.
#[derive(Debug, thiserror::Error)]
pub enum GrpcServerError {
    /// A descriptor set is damaged.
    #[error("the description of the services cannot be read: {0}")]
    Descriptors(#[from] DecodeError),
    /// Reflection refuses the descriptor sets.
    #[error("reflection cannot be set up: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The server broke off.
    #[error("the gRPC server has ended: {0}")]
    Serve(#[from] tonic::transport::Error),
}

/// A server under construction: health, reflection, measurements and limits are there, the services are to come.
#[derive(Debug)]
pub struct GrpcServer {
    options: GrpcOptions,
    layer: RpcLayer,
    routes: Routes,
    /// For reflection: encoded descriptor sets, and the services that are really here.
    descriptors: Vec<Vec<u8>>,
    services: Vec<&'static str>,
}

impl GrpcServer {
    /// A server with health and, if `options` say so, reflection v1 and v1alpha. `descriptors` are the encoded sets of the
    /// services to come; those of health and of `google.rpc` (without it grpcurl shows rich errors as base64) are known.
    pub fn new(
        options: GrpcOptions,
        descriptors: &[&[u8]],
        health: &Health,
        metrics: &Metrics,
    ) -> Result<Self, GrpcServerError> {
        let mut sets: Vec<&[u8]> = vec![
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_types::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        sets.extend(descriptors);
        let layer = RpcLayer::new(metrics, RpcMethods::from_descriptors(sets.iter().copied())?);
        let descriptors = sets.into_iter().map(<[u8]>::to_vec).collect();
        let server = Self { options, layer, routes: Routes::default(), descriptors, services: Vec::new() };
        Ok(server.add_service(health.service()))
    }

    /// With a service.
    #[must_use]
    pub fn add_service<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Response: axum::response::IntoResponse,
        S::Future: Send + 'static,
    {
        self.routes = self.routes.add_service(service);
        self.services.push(S::NAME);
        self
    }

    /// With plain HTTP routes, which must not have a fallback of their own.
    #[must_use]
    pub(crate) fn with_http(mut self, router: axum::Router) -> Self {
        let services = std::mem::take(self.routes.axum_router_mut());
        *self.routes.axum_router_mut() = services.merge(router);
        self
    }

    /// Serves what comes in until the drain begins, then sends GOAWAY and returns when the last call has ended. Streams do not
    /// end by themselves: their handlers watch the drain. To be started by [`Drain::spawn`], which sets the deadline.
    pub async fn serve(self, incoming: Incoming, drain: &Drain) -> Result<(), GrpcServerError> {
        let mut routes = self.routes;
        if self.options.reflection {
            let reflection = || reflection(&self.descriptors, &self.services);
            routes = routes.add_service(reflection().build_v1()?).add_service(reflection().build_v1alpha()?);
        }
        Ok(configured(&self.options)
            .layer(self.layer)
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming, drain.draining())
            .await?)
    }
}

/// Nagle's algorithm and TCP keepalive are the listener's business: tonic's own settings do not reach an incoming stream.
/// Adaptive windows are off by leaving them alone; they were measured to gain nothing. No call time-out: it would not end a
/// stream, and a session has watchdogs of its own.
fn configured(options: &GrpcOptions) -> Server {
    Server::builder()
        .accept_http1(options.http1)
        .initial_stream_window_size(options.stream_window)
        .initial_connection_window_size(options.connection_window)
        .max_concurrent_streams(options.streams_max())
        .max_frame_size(FRAME_MAX)
        .http2_max_header_list_size(HEADERS_MAX)
        .http2_keepalive_interval(Some(options.keepalive_interval))
        .http2_keepalive_timeout(Some(options.keepalive_timeout))
        .max_connection_age(options.connection_age_max)
}

/// Knows every description, lists only what is served: a client must not be sent to a service of another port.
fn reflection<'a>(descriptors: &'a [Vec<u8>], services: &[&str]) -> tonic_reflection::server::Builder<'a> {
    let builder = descriptors.iter().fold(tonic_reflection::server::Builder::configure(), |builder, set| {
        builder.register_encoded_file_descriptor_set(set)
    });
    let itself = [
        tonic_reflection::pb::v1::server_reflection_server::SERVICE_NAME,
        tonic_reflection::pb::v1alpha::server_reflection_server::SERVICE_NAME,
    ];
    services.iter().chain(&itself).fold(builder, |builder, name| builder.with_service_name(*name))
}

#[cfg(test)]
mod tests;
