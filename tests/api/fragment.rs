//! Fragments as Swift's erasure coding makes them.

/// What follows a fragment's index up to its own checksum: lengths, the checksums' kind, backend and version.
const HEAD: &str = concat!(
    "0a000000000000001400000000000000010000000000000000000000000000",
    "000000000000000000000000000000000000000600000100cc5e0c0b000801",
);
/// The checksum of each head, and the data.
const FRAGMENTS: [(&str, &[u8]); 3] =
    [("00c9d8ccce", b"0123456789"), ("0038dd80a7", b"abcdefghij"), ("002bd3541c", b"QSQWQSQ_QS")];

/// One of the three fragments of `0123456789abcdefghij` by liberasurecode_rs_vand 2+1.
pub(crate) fn fragment(index: usize) -> Vec<u8> {
    let (checksum, data) = FRAGMENTS[index];
    let head = format!("{index:02x}000000{HEAD}{checksum}000000000000000000");
    let mut bytes: Vec<u8> = (0..head.len() / 2)
        .map(|at| u8::from_str_radix(&head[at * 2..at * 2 + 2], 16).expect("hexadecimal"))
        .collect();
    bytes.extend(data);
    bytes
}
