//! Packet decoding, from any link type on.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| l7trace_capture::fuzzing::packet(data));
