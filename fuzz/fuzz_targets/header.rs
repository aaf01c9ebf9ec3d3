//! Any bytes as a model's header: no panic, and every mistake lies inside the text.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| questlake_engine::project::fuzzing::fuzz_header(data));
