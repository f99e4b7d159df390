//! The W3C trace context, from request to request.

use opentelemetry::{
    Context, global,
    propagation::{Extractor, Injector},
};
use tonic::{
    Request, Status,
    metadata::{MetadataKey, MetadataMap, MetadataValue},
    service::Interceptor,
};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// An interceptor that puts the current span's context into each call of a gRPC client.
#[derive(Debug, Clone, Copy, Default)]
pub struct TraceContext;

impl TraceContext {
    /// The headers that carry the current span's context, for a client that is not gRPC.
    #[must_use]
    pub fn headers() -> Vec<(String, String)> {
        let mut headers = Pairs(Vec::new());
        let context = tracing::Span::current().context();
        global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut headers));
        headers.0
    }
}

impl Interceptor for TraceContext {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let context = tracing::Span::current().context();
        global::get_text_map_propagator(|propagator| {
            propagator.inject_context(&context, &mut Metadata(request.metadata_mut()));
        });
        Ok(request)
    }
}

/// The context that a request came with; `header` finds its headers by name in lower case.
pub fn parent_of<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Context {
    global::get_text_map_propagator(|propagator| propagator.extract(&Headers(&header)))
}

struct Pairs(Vec<(String, String)>);

impl Injector for Pairs {
    fn set(&mut self, key: &str, value: String) {
        self.0.push((key.to_owned(), value));
    }
}

struct Metadata<'a>(&'a mut MetadataMap);

impl Injector for Metadata<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(key), Ok(value)) =
            (MetadataKey::from_bytes(key.as_bytes()), MetadataValue::try_from(value))
        {
            self.0.insert(key, value);
        }
    }
}

struct Headers<'a, 'f>(&'f dyn Fn(&str) -> Option<&'a str>);

impl Extractor for Headers<'_, '_> {
    fn get(&self, key: &str) -> Option<&str> {
        (self.0)(key)
    }

    fn keys(&self) -> Vec<&str> {
        Vec::new()
    }
}
