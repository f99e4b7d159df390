//! A call under way, until its status is known.

use std::{borrow::Cow, time::Instant};

use http::HeaderMap;
use opentelemetry::{KeyValue, metrics::Histogram};
use opentelemetry_semantic_conventions::attribute::{RPC_METHOD, RPC_RESPONSE_STATUS_CODE, RPC_SYSTEM_NAME};
use tonic::Code;
use tracing::Span;

const STATUS_HEADER: &str = "grpc-status";

/// Measures from its making to its end. Dropped without one, the caller went away.
#[derive(Debug)]
pub(super) struct Observed {
    method: Cow<'static, str>,
    duration: Histogram<f64>,
    span: Span,
    started: Instant,
    ended: bool,
}

impl Observed {
    pub(super) fn new(method: Cow<'static, str>, duration: Histogram<f64>, span: Span) -> Self {
        Self { method, duration, span, started: Instant::now(), ended: false }
    }

    /// The span that the rest of the call belongs to.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Ends with the status in a head or in trailers, if it is there.
    pub(super) fn end_with(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get(STATUS_HEADER) {
            self.end(Code::from_bytes(status.as_bytes()));
        }
    }

    /// Ends, unless it has.
    pub(super) fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let status = status_name(code);
        self.span.record("rpc.response.status_code", status);
        if is_server_fault(code) {
            self.span.record("otel.status_code", "ERROR");
            self.span.record("error.type", status);
        }
        let labels = [
            KeyValue::new(RPC_SYSTEM_NAME, "grpc"),
            KeyValue::new(RPC_METHOD, self.method.clone()),
            KeyValue::new(RPC_RESPONSE_STATUS_CODE, status),
        ];
        self.duration.record(self.started.elapsed().as_secs_f64(), &labels);
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// The conventions count these against the server; the others are the caller's, or answers.
fn is_server_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// The name of a status in the gRPC specification.
fn status_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
