//! HTTP/1: both sides of a connection, with gaps and ends, whole and cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| l7trace_testkit::fuzz::http1(data));
