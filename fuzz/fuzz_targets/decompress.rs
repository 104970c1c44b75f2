#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_checks::decompress(bytes, &fuzz_checks::Unmetered));
