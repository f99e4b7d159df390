//! A span and a measurement for each call that a gRPC server answers (OpenTelemetry's semantic conventions for RPC).

mod body;
mod methods;
mod observed;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response, header::CONTENT_TYPE};
use opentelemetry::{metrics::Histogram, trace::TraceContextExt as _};
use tonic::transport::server::TcpConnectInfo;
use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

pub use body::RpcBody;
pub use methods::{OTHER_METHOD, RpcMethods};

use super::{
    context::parent_of,
    metrics::{Metrics, RPC_SERVER_CALLS},
};
use crate::listen::PeerInfo;
use observed::Observed;

/// Health checks come every few seconds and tell a trace nothing.
const UNTRACED_PREFIX: &str = "grpc.health.";

/// Measures each call and traces it, from the caller's `traceparent` on. Also tells tonic the caller's address.
#[derive(Debug, Clone)]
pub struct RpcLayer {
    methods: Arc<RpcMethods>,
    duration: Histogram<f64>,
}

impl RpcLayer {
    /// For a server that has `methods`; calls of others are counted as [`OTHER_METHOD`].
    #[must_use]
    pub fn new(metrics: &Metrics, methods: RpcMethods) -> Self {
        let duration = RPC_SERVER_CALLS.histogram(&metrics.meter());
        Self { methods: Arc::new(methods), duration }
    }
}

impl<S> Layer<S> for RpcLayer {
    type Service = RpcService<S>;

    fn layer(&self, inner: S) -> RpcService<S> {
        RpcService { inner, layer: self.clone() }
    }
}

/// What [`RpcLayer`] makes of a service.
#[derive(Debug, Clone)]
pub struct RpcService<S> {
    inner: S,
    layer: RpcLayer,
}

impl<S, Q, B> Service<Request<Q>> for RpcService<S>
where
    S: Service<Request<Q>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send,
    Q: Send + 'static,
    B: Send,
{
    type Response = Response<RpcBody<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        tell_address(&mut request);
        if !is_grpc(request.headers()) {
            let answer = self.inner.call(request);
            return Box::pin(async move { Ok(answer.await?.map(RpcBody::unobserved)) });
        }
        let method = self.layer.methods.known(request.uri().path());
        let span = span(&method, &request);
        let observed = Observed::new(method, self.layer.duration.clone(), span.clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            // Until the head is there, dropping this future is the caller's going away.
            let response = answer.instrument(span).await?;
            let (head, body) = response.into_parts();
            Ok(Response::from_parts(head.clone(), RpcBody::observed(body, observed, &head.headers)))
        })
    }
}

/// Tonic answers `Request::remote_addr` from this type only.
fn tell_address<Q>(request: &mut Request<Q>) {
    if let Some(peer) = request.extensions().get::<PeerInfo>() {
        let told = TcpConnectInfo { local_addr: peer.local, remote_addr: peer.remote };
        request.extensions_mut().insert(told);
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn span<Q>(method: &str, request: &Request<Q>) -> Span {
    if method.starts_with(UNTRACED_PREFIX) {
        return Span::none();
    }
    let peer = request.extensions().get::<PeerInfo>();
    let identity = peer.and_then(|peer| peer.identity.as_ref()).map(ToString::to_string);
    let local = peer.and_then(|peer| peer.local);
    let span = tracing::info_span!(
        "rpc",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.response.status_code = Empty,
        client.address = peer.map(ToString::to_string),
        server.address = local.map(|local| local.ip().to_string()),
        server.port = local.map(|local| local.port()),
        error.type = Empty,
        ssync.identity = identity,
        trace_id = Empty,
    );
    let parent = parent_of(|name| request.headers().get(name).and_then(|value| value.to_str().ok()));
    // Fails only where no tracer is installed, and then there is nothing to join.
    let _ = span.set_parent(parent);
    let trace = span.context().span().span_context().trace_id();
    if trace != opentelemetry::TraceId::INVALID {
        span.record("trace_id", trace.to_string());
    }
    span
}

#[cfg(test)]
mod tests;
