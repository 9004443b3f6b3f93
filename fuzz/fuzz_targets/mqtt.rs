//! The mqtt parser holds whatever it is told: bytes as they come, and packets that are nearly right.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    l7trace_testkit::fuzz::parser("mqtt", data);
    l7trace_testkit::fuzz::mqtt(data);
});
