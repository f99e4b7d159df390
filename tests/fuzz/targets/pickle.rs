//! A pickle, of any protocol.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ssync_pickle::fuzzing::pickle(data));
