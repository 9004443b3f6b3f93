//! Events in any order give every byte once.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| l7trace_testkit::fuzz::stream(data));
