//! Reading of capture files, pcap and pcapng.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| l7trace_capture::fuzzing::pcapng(data));
