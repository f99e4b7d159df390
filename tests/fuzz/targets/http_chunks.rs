//! A body in chunks.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ssync_sidecar::fuzzing::http_chunks(data));
