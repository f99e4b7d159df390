//! The contract over a store: thin tonic services that convert, order, batch and watch, and decide nothing else.
//!
//! The first message of a stream says what it is about; a stream that breaks the contract's order or forms ends at once
//! with INVALID_ARGUMENT, and what it had begun is not stored. Dropping a response stream, which is what a client's going
//! away comes to, abandons what it was the answer of.

use std::{fmt, sync::Arc, time::Duration};

use ssync_api::{
    convert::{REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX},
    status::to_status,
    v1::{
        device_service_server::DeviceServiceServer, object_service_server::ObjectServiceServer,
        replication_service_server::ReplicationServiceServer,
    },
};
use ssync_store::Store;
use ssync_types::{Identity, Invalid, Refusal};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use crate::{
    authority::{Authority, Need},
    caller::{IsLocal, is_local},
};

mod batch;
mod device;
mod object;
mod replication;
mod requests;
mod responses;

pub use device::DeviceGrpc;
pub use object::ObjectGrpc;
pub use replication::ReplicationGrpc;

/// Longest time that an idle response stream says nothing: well under the idle timers of meshes.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);
/// Longest time that a client may say nothing at all; Swift's `client_timeout`.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// How the services watch their streams.
#[derive(Clone)]
pub struct GrpcSettings {
    /// How often an idle response stream says that it is alive.
    pub heartbeat_interval: Duration,
    /// How long a request stream may be silent.
    pub silence_timeout: Duration,
    /// Who may let go of this node's objects (`Release`), and set what is the SSYNC bridge's in a session. A call that a
    /// proxy has passed on is never local, whatever this says.
    pub is_local: IsLocal,
    /// Judges callers by their certificates, where there are any.
    pub authority: Option<Authority>,
    /// Ends the streams that have no way of their own to be told to end: checks and releases.
    pub drain: CancellationToken,
}

impl GrpcSettings {
    /// The usual times.
    #[must_use]
    pub fn new(is_local: IsLocal, drain: CancellationToken) -> Self {
        Self {
            heartbeat_interval: HEARTBEAT_INTERVAL,
            silence_timeout: SILENCE_TIMEOUT,
            is_local,
            authority: None,
            drain,
        }
    }

    /// Whether the caller of a request may make it. Whoever shows no certificate may what everybody may.
    fn may<T>(&self, request: &Request<T>, need: Need) -> Result<(), Refusal> {
        match self.known(request) {
            Some((authority, identity)) => authority.may(&identity, need, is_local(request, self.is_local)),
            None => Ok(()),
        }
    }

    /// Who is known to make a request, and who judges him.
    fn known<T>(&self, request: &Request<T>) -> Option<(&Authority, Arc<Identity>)> {
        let authority = self.authority.as_ref()?;
        Some((authority, authority.identity(request)?))
    }
}

impl fmt::Debug for GrpcSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcSettings")
            .field("heartbeat_interval", &self.heartbeat_interval)
            .field("silence_timeout", &self.silence_timeout)
            .finish_non_exhaustive()
    }
}

/// The services over one store, with the contract's limits on messages. Health, reflection and the server itself are
/// the caller's: every server of the program has them in the same way.
#[must_use]
pub fn services(
    store: Arc<dyn Store>,
    settings: GrpcSettings,
) -> (
    ReplicationServiceServer<ReplicationGrpc>,
    ObjectServiceServer<ObjectGrpc>,
    DeviceServiceServer<DeviceGrpc>,
) {
    let replication = ReplicationGrpc::new(Arc::clone(&store), settings.clone());
    let device = DeviceGrpc::new(Arc::clone(&store), settings.clone());
    let object = ObjectGrpc::new(store, settings);
    (
        ReplicationServiceServer::new(replication)
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(RESPONSE_BYTES_MAX),
        ObjectServiceServer::new(object)
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(RESPONSE_BYTES_MAX),
        DeviceServiceServer::new(device)
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(RESPONSE_BYTES_MAX),
    )
}

/// A request of one message that is not of its form.
fn malformed(invalid: Invalid) -> Status {
    refused(&invalid.into())
}

fn refused(refusal: &Refusal) -> Status {
    to_status(refusal)
}

#[cfg(test)]
mod tests;
