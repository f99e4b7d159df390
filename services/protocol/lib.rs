//! The decisions of replication, free of I/O: what to want, what may be removed, and the text of SSYNC.

#![forbid(unsafe_code)]

mod decide;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod removal;
mod ssync;
mod suffix_hashes;

pub use decide::{FailureLimits, LocalState, LocalVersion, may_go_on, want};
pub use ssync::{
    ErrorLine, ErrorText, HeaderField, LINE_BYTES_MAX, LineBuffer, LineError, Marker, SUBREQUEST_HEADERS_MAX,
    SubHead, SubMethod, SubRequest, decode_offer, decode_want, encode_offer, encode_want, quote, repr_bytes,
    repr_str, unquote,
};
pub use suffix_hashes::{suffix_hashes_from_pickle, suffix_hashes_to_pickle};
