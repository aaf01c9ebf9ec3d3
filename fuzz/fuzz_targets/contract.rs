//! Any bytes as a contract file: no panic, and every mistake lies inside the text.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| questlake_engine::project::fuzzing::fuzz_contract(data));
