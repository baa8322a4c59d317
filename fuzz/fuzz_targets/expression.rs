//! `cargo fuzz run expression`: see `dm_fuzz::expression`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dm_fuzz::expression(input));
