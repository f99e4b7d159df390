//! Names of an object's files.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ssync_diskfile::fuzzing::file_name(data));
