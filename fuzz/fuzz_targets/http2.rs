//! The http2 parser holds whatever it is told: bytes as they come, and frames that are nearly right.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    l7trace_testkit::fuzz::parser("http2", data);
    l7trace_testkit::fuzz::http2(data);
});
