//! The websocket parser holds whatever it is told: bytes as they come, and frames that are nearly right.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    l7trace_testkit::fuzz::parser("websocket", data);
    l7trace_testkit::fuzz::websocket(data);
});
