//! The one table between a [`Refusal`] and a gRPC status, in both directions.
//!
//! Programs decide by `google.rpc.ErrorInfo.reason`; the code is for those that know only gRPC: meshes, load balancers,
//! people. Back-pressure is never UNAVAILABLE, because meshes take that for an outage and open circuit breakers.

use std::{error::Error as _, time::Duration};

use prost::Message as _;
use prost_types::Any;
use ssync_types::{Reason, Refusal, Timestamp};
use tonic::{Code, Status};
use tonic_types::pb::{self, BadRequest, ErrorInfo, RetryInfo, bad_request::FieldViolation};

/// `google.rpc.ErrorInfo.domain` of every refusal.
pub const DOMAIN: &str = "ssync.v1";
/// The delay sent with back-pressure that names none.
pub const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);
/// Longest text for people. The text stands twice in the details, which go into one header field, base64-encoded, that
/// has to stay below 4 KiB.
const MESSAGE_BYTES_MAX: usize = 1000;
/// Longest name of a field.
const FIELD_BYTES_MAX: usize = 128;
/// Longest delay taken from a peer.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// Most details looked at in a peer's status.
const DETAILS_MAX: usize = 16;

const TYPE_ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
const TYPE_RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
const TYPE_BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";
const META_FIELD: &str = "field";
const META_TIMESTAMP: &str = "timestamp";

/// The gRPC code of a reason.
#[must_use]
pub const fn code(reason: Reason) -> Code {
    match reason {
        Reason::ReceiverBusy => Code::ResourceExhausted,
        Reason::PartitionLocked
        | Reason::DeviceLocked
        | Reason::FailureRatio
        | Reason::Conflict
        | Reason::StateChanged => Code::Aborted,
        Reason::DeviceUnmounted
        | Reason::DeviceFull
        | Reason::PolicyUnknown
        | Reason::PolicyUnsupported
        | Reason::RingMismatch
        | Reason::NotHandoff
        | Reason::Collision
        | Reason::PreconditionFailed => Code::FailedPrecondition,
        Reason::InvalidArgument | Reason::ProtocolOrder | Reason::EtagMismatch | Reason::BodyLength => {
            Code::InvalidArgument
        }
        Reason::NotLocal | Reason::NotPermitted => Code::PermissionDenied,
        Reason::IdentityUnknown => Code::Unauthenticated,
        Reason::NotFound => Code::NotFound,
        Reason::RangeNotSatisfiable => Code::OutOfRange,
        Reason::IdleTimeout => Code::DeadlineExceeded,
        Reason::Draining | Reason::Unreachable => Code::Unavailable,
        Reason::ObjectDamaged => Code::DataLoss,
        Reason::Unsupported => Code::Unimplemented,
        Reason::ObjectIo | Reason::Internal => Code::Internal,
    }
}

/// What a code means that came without our details: from a mesh, a proxy, the gRPC library itself, or another program.
const fn reason(code: Code) -> Reason {
    match code {
        // The gRPC library itself says OUT_OF_RANGE of a message that is too large.
        Code::InvalidArgument | Code::OutOfRange => Reason::InvalidArgument,
        Code::DeadlineExceeded => Reason::IdleTimeout,
        Code::NotFound => Reason::NotFound,
        Code::AlreadyExists => Reason::Conflict,
        Code::ResourceExhausted => Reason::ReceiverBusy,
        Code::FailedPrecondition => Reason::PreconditionFailed,
        Code::Aborted => Reason::StateChanged,
        Code::Unimplemented => Reason::Unsupported,
        Code::DataLoss => Reason::ObjectDamaged,
        Code::Ok | Code::Unknown | Code::Internal => Reason::Internal,
        // Something between us let the call not through.
        Code::Cancelled | Code::Unavailable | Code::PermissionDenied | Code::Unauthenticated => {
            Reason::Unreachable
        }
    }
}

/// A refusal as the status of a call.
#[must_use]
pub fn to_status(refusal: &Refusal) -> Status {
    let rpc = to_rpc_status(refusal);
    let details = rpc.encode_to_vec();
    Status::with_details(code(refusal.reason), rpc.message, details.into())
}

/// The status of a call as a refusal, whoever made it.
#[must_use]
pub fn from_status(status: &Status) -> Refusal {
    // Only the transport puts a source there: the call did not end, it was cut off.
    if status.source().is_some() {
        return Refusal::new(Reason::Unreachable, cut(&describe(status), MESSAGE_BYTES_MAX));
    }
    let details = pb::Status::decode(status.details()).map(|rpc| rpc.details).unwrap_or_default();
    refusal(status.code(), status.message(), &details)
}

/// A refusal as a message in a stream.
#[must_use]
pub fn to_rpc_status(refusal: &Refusal) -> pb::Status {
    let message = cut(&refusal.message, MESSAGE_BYTES_MAX);
    let field = refusal.field.as_deref().map(|field| cut(field, FIELD_BYTES_MAX));
    let mut details = vec![any(TYPE_ERROR_INFO, &error_info(refusal, field.as_deref()))];
    if let Some(delay) = retry_delay(refusal) {
        details.push(any(
            TYPE_RETRY_INFO,
            &RetryInfo { retry_delay: prost_types::Duration::try_from(delay).ok() },
        ));
    }
    if let Some(field) = field {
        let violation = FieldViolation { field, description: message.clone(), ..Default::default() };
        details.push(any(TYPE_BAD_REQUEST, &BadRequest { field_violations: vec![violation] }));
    }
    pb::Status { code: code(refusal.reason) as i32, message, details }
}

/// A message in a stream as a refusal.
#[must_use]
pub fn from_rpc_status(status: &pb::Status) -> Refusal {
    refusal(Code::from_i32(status.code), &status.message, &status.details)
}

fn error_info(refusal: &Refusal, field: Option<&str>) -> ErrorInfo {
    let field = field.map(|field| (META_FIELD.to_owned(), field.to_owned()));
    let timestamp = refusal.timestamp.map(|time| (META_TIMESTAMP.to_owned(), time.internal()));
    ErrorInfo {
        reason: refusal.reason.name().to_owned(),
        domain: DOMAIN.to_owned(),
        metadata: field.into_iter().chain(timestamp).collect(),
    }
}

/// Back-pressure always says when to come back.
fn retry_delay(refusal: &Refusal) -> Option<Duration> {
    let is_back_pressure =
        matches!(refusal.reason, Reason::ReceiverBusy | Reason::PartitionLocked | Reason::DeviceLocked);
    refusal.retry_after.or(is_back_pressure.then_some(RETRY_AFTER_DEFAULT))
}

fn refusal(code: Code, message: &str, details: &[Any]) -> Refusal {
    let info: Option<ErrorInfo> = find(details, TYPE_ERROR_INFO);
    let info = info.filter(|info| info.domain == DOMAIN);
    let metadata = |key: &str| info.as_ref().and_then(|info| info.metadata.get(key));
    let named = info.as_ref().and_then(|info| Reason::from_name(&info.reason));
    let delay: Option<RetryInfo> = find(details, TYPE_RETRY_INFO);
    Refusal {
        reason: named.unwrap_or(reason(code)),
        message: cut(message, MESSAGE_BYTES_MAX),
        field: metadata(META_FIELD).map(|field| cut(field, FIELD_BYTES_MAX)),
        retry_after: delay
            .and_then(|info| Duration::try_from(info.retry_delay?).ok())
            .map(|delay| delay.min(RETRY_AFTER_MAX)),
        timestamp: metadata(META_TIMESTAMP).and_then(|text| Timestamp::parse(text.as_bytes()).ok()),
    }
}

fn any(type_url: &str, message: &impl prost::Message) -> Any {
    Any { type_url: type_url.to_owned(), value: message.encode_to_vec() }
}

fn find<M: prost::Message + Default>(details: &[Any], type_url: &str) -> Option<M> {
    let found = details.iter().take(DETAILS_MAX).find(|any| any.type_url == type_url)?;
    M::decode(found.value.as_slice()).ok()
}

/// The whole chain of causes: "transport error" alone helps nobody.
fn describe(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = status.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
        }
        source = error.source();
    }
    text
}

/// At most `bytes_max` bytes of a text, cut between characters.
fn cut(text: &str, bytes_max: usize) -> String {
    const MARK: &str = "...";
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes_max.saturating_sub(MARK.len()));
    format!("{}{MARK}", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests;
