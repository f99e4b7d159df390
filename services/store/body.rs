//! An object's body on its way out.

use bytes::Bytes;
use ssync_types::Refusal;
use tokio::sync::mpsc;

/// The bytes that were asked for, in pieces. An error means that the rest could not be read, and that what came before
/// must not be taken for a whole body.
pub type Body = mpsc::Receiver<Result<Bytes, Refusal>>;
