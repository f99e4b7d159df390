//! `hashes.invalid`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ssync_diskfile::fuzzing::notes(data));
