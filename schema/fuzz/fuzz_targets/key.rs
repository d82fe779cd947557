#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nightdrop_schema_fuzz::key(bytes));
