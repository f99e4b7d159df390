//! A body in MIME documents.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ssync_sidecar::fuzzing::mime(data));
