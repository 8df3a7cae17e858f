#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| urlsession_fuzz::stored_response(data));
