//! A ring file.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ssync_ring::fuzzing::ring_file(data));
