#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_checks::tfs_json(bytes, &fuzz_checks::Unmetered));
