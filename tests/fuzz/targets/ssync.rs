//! Lines of SSYNC, from either side.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ssync_protocol::fuzzing::ssync(data));
