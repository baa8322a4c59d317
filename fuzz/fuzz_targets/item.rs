//! `cargo fuzz run item`: see `dm_fuzz::item`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dm_fuzz::item(input));
