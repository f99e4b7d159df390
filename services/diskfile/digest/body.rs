//! The MD5 of a body that comes in pieces (RFC 1321, sections 3.1 and 3.2).

use std::ops::Range;

use bytes::Bytes;

use super::{
    lanes::{BEGIN, Block, State},
    together::Hashing,
};

/// From how many bytes on it pays to hash together with other threads.
const TOGETHER_BYTES: usize = 16 * 1024;
/// The length of the body stands at the end of the last block.
const LENGTH_BYTES: usize = size_of::<u64>();

/// What has come so far.
#[derive(Debug, Clone)]
pub(crate) struct BodyMd5 {
    state: State,
    /// Less than a block.
    rest: Vec<u8>,
    bytes: u64,
}

impl Default for BodyMd5 {
    fn default() -> Self {
        Self { state: BEGIN, rest: Vec::new(), bytes: 0 }
    }
}

impl BodyMd5 {
    /// Takes a piece. A large one is hashed together with those of other threads.
    pub(crate) fn take(&mut self, piece: &Bytes, hashing: &Hashing) {
        let whole = self.frame(piece);
        if whole.len() < TOGETHER_BYTES {
            self.hash_alone(piece.get(whole));
        } else {
            self.state = hashing.here().hash(self.state, piece.slice(whole));
        }
    }

    /// Takes a piece, which is hashed at once.
    pub(crate) fn take_alone(&mut self, piece: &[u8]) {
        let whole = self.frame(piece);
        self.hash_alone(piece.get(whole));
    }

    fn hash_alone(&mut self, whole: Option<&[u8]>) {
        md5::block_api::compress(&mut self.state, whole.unwrap_or_default().as_chunks().0);
    }

    /// Ends the block that was begun, and begins the last one: whole blocks between the two are still to be hashed.
    fn frame(&mut self, piece: &[u8]) -> Range<usize> {
        self.bytes = self.bytes.wrapping_add(piece.len() as u64);
        let lacking = (size_of::<Block>() - self.rest.len()) % size_of::<Block>();
        let begin = lacking.min(piece.len());
        let (first, piece) = piece.split_at(begin);
        self.rest.extend_from_slice(first);
        if self.rest.len() == size_of::<Block>() {
            let block = std::mem::take(&mut self.rest);
            self.hash_alone(Some(&block));
        }
        let (whole, last) = piece.split_at(piece.len() - piece.len() % size_of::<Block>());
        self.rest.extend_from_slice(last);
        begin..begin + whole.len()
    }

    /// The digest of what has come, as Swift writes it.
    pub(crate) fn hex(&self) -> String {
        let mut end = self.rest.clone();
        end.push(0x80);
        while end.len() % size_of::<Block>() != size_of::<Block>() - LENGTH_BYTES {
            end.push(0);
        }
        end.extend_from_slice(&self.bytes.wrapping_mul(8).to_le_bytes());
        let mut state = self.state;
        md5::block_api::compress(&mut state, end.as_chunks().0);
        let number = state.into_iter().fold(0, |number, word| number << 32 | u128::from(word.swap_bytes()));
        format!("{number:032x}")
    }
}

#[cfg(test)]
mod tests {
    use md5::{Digest as _, Md5};

    use super::{super::hex, *};

    #[test]
    fn is_what_md5_is_however_the_body_comes() {
        let hashing = Hashing::default();
        let body: Bytes = (0..100_000).map(|at| (at * 7 % 251) as u8).collect();
        for length in [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 5000, 16_384, 65_600, body.len()] {
            for size in [1, 63, 64, 65, 100, 4096, 16_384, 70_000] {
                if length > 5000 && size < 63 {
                    continue;
                }
                let (body, mut md5) = (body.slice(..length), BodyMd5::default());
                let mut left = body.clone();
                while !left.is_empty() {
                    md5.take(&left.split_to(size.min(left.len())), &hashing);
                }
                assert_eq!(md5.hex(), hex(Md5::new_with_prefix(&body)), "{length} bytes by {size}");
                body.iter().for_each(|byte| md5.take_alone(&[*byte]));
                let twice = [&body[..], &body].concat();
                assert_eq!(md5.hex(), hex(Md5::new_with_prefix(&twice)), "{length} bytes by {size} and 1");
            }
        }
    }
}
