//! A ring by its parts, put into files of both versions.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ssync_ring::fuzzing::ring_parts(data));
