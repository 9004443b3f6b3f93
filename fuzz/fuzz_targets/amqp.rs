//! The amqp parser holds whatever it is told.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| l7trace_testkit::fuzz::parser("amqp", data));
