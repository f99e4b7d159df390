//! The trace of a request, carried along with it: W3C `traceparent` in gRPC metadata.
//!
//! Which headers those are is the global propagator's to say; without one nothing is sent and nothing is read.

use opentelemetry::{
    global,
    propagation::{Extractor, Injector},
};
use tonic::metadata::{KeyRef, MetadataKey, MetadataMap};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Writes the current span's trace into a request's metadata.
pub fn inject(metadata: &mut MetadataMap) {
    let context = Span::current().context();
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut Outgoing(metadata));
    });
}

/// Makes `span` a child of the span that sent this metadata. To be called before the span is first entered.
pub fn set_remote_parent(span: &Span, metadata: &MetadataMap) {
    let parent = global::get_text_map_propagator(|propagator| propagator.extract(&Incoming(metadata)));
    // Fails where no trace is recorded at all, which is no fault of the request.
    let _ = span.set_parent(parent);
}

struct Outgoing<'a>(&'a mut MetadataMap);

impl Injector for Outgoing<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(key), Ok(value)) = (MetadataKey::from_bytes(key.as_bytes()), value.parse()) {
            self.0.insert(key, value);
        }
    }
}

struct Incoming<'a>(&'a MetadataMap);

impl Extractor for Incoming<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        let ascii = |key| match key {
            KeyRef::Ascii(key) => Some(key.as_str()),
            KeyRef::Binary(_) => None,
        };
        self.0.keys().filter_map(ascii).collect()
    }
}

#[cfg(test)]
mod tests;
