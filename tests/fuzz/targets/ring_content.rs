//! What a ring file holds once it is decompressed.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ssync_ring::fuzzing::ring_content(data));
