//! `cargo fuzz run statement`: see `dm_fuzz::statement`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dm_fuzz::statement(input));
