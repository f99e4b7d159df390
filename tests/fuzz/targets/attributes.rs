//! The pickle of metadata in extended attributes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ssync_diskfile::fuzzing::attributes(data));
