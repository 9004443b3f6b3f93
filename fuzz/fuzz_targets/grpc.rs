//! The bodies of a gRPC call, whatever they are.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| l7trace_testkit::fuzz::grpc(data));
