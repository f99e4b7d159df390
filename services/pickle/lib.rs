//! Python's pickle as Swift uses it, and no more: plain values, bounded, with no way to name code.
//!
//! Swift keeps object metadata and suffix hashes as pickles, and sends them to peers. A general unpickler runs what the
//! pickle names, so this one knows a handful of globals and gives each a fixed meaning (Swift: common/utils/pickle.py).

#![forbid(unsafe_code)]

mod assemble;
mod cursor;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod global;
mod limit;
mod machine;
mod opcode;
mod text;
mod value;
mod write;
mod write_text;

#[cfg(test)]
mod tests;

pub use error::PickleError;
pub use limit::{DEPTH_MAX, ITEMS_MAX, PICKLE_BYTES_MAX, VALUE_BYTES_MAX};
pub use machine::read;
pub use value::Value;
pub use write::write;
pub use write_text::write_text;

/// How far into a pickle Swift looks for the mark of Python 3.
const SNIFFED_BYTES: usize = 32;

/// Whether Python 3 wrote this xattr pickle, told as Swift tells it (Swift: obj/diskfile.py _decode_metadata): only
/// Python 3 must write bytes through `_codecs.encode`, and the first key of the metadata is bytes.
#[must_use]
pub fn written_by_python3(pickle: &[u8]) -> bool {
    const MARK: &[u8] = b"_codecs\nencode";
    let head = pickle.get(..SNIFFED_BYTES).unwrap_or(pickle);
    head.windows(MARK.len()).any(|window| window == MARK)
}
