#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_checks::grpc_infer(bytes, &fuzz_checks::Unmetered));
