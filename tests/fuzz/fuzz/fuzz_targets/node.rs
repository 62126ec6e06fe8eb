//! libFuzzer calls the target of that name; what it checks is in `hb_fuzz`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hb_fuzz::node(data));
