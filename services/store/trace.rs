//! The trace of a request, carried along with it: W3C `traceparent` in gRPC metadata.
//!
//! Which headers those are is the global propagator's to say; without one nothing is sent. At the other end the server takes
//! them up, before any service sees the request.

use opentelemetry::{global, propagation::Injector};
use tonic::metadata::{MetadataKey, MetadataMap};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Writes the current span's trace into a request's metadata.
pub(crate) fn inject(metadata: &mut MetadataMap) {
    let context = Span::current().context();
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut Outgoing(metadata));
    });
}

struct Outgoing<'a>(&'a mut MetadataMap);

impl Injector for Outgoing<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(key), Ok(value)) = (MetadataKey::from_bytes(key.as_bytes()), value.parse()) {
            self.0.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests;
