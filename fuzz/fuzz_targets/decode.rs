//! Any bytes as a batch of records: no panic, and every record is a row or a rejection.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| questlake_ingest::decode::fuzzing::fuzz_decode(data));
