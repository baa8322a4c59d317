//! `cargo fuzz run request`: see `dm_fuzz::request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dm_fuzz::request(input));
