//! The text of an SSYNC conversation, both directions, free of I/O (Swift: obj/ssync_sender.py, obj/ssync_receiver.py).

mod error_line;
mod lines;
mod marker;
mod offer;
mod py_repr;
mod quote;
mod subhead;
mod subrequest;
mod want;

pub use error_line::{ErrorLine, ErrorText};
pub use lines::{LINE_BYTES_MAX, LineBuffer, LineError};
pub use marker::Marker;
pub use offer::{decode_offer, encode_offer};
pub use py_repr::{repr_bytes, repr_str};
pub use quote::{quote, unquote};
pub use subhead::{SUBREQUEST_HEADERS_MAX, SubHead};
pub use subrequest::{HeaderField, SubMethod, SubRequest};
pub use want::{decode_want, encode_want};
