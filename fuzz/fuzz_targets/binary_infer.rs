#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_checks::binary_infer(bytes, &fuzz_checks::Unmetered));
