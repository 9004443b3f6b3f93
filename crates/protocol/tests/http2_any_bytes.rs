//! The fuzz targets' bodies on bytes made at random.

use l7trace_testkit::fuzz;
use proptest::prelude::*;

/// What fuzzing found, once and for all.
#[test]
fn regressions() {
    let found: [&[u8]; 2] = [
        b"\x00\x25\x00\x53\x88\x00\x06\x88\x24\x84",
        b"\x24\xaf\x00\x2e\x00\x89\x06\xef\x0b\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x54\x00\x08\x00\xd4\x55\x00\x00\x00\x00\x60",
    ];
    for bytes in found {
        fuzz::http2(bytes);
    }
}

proptest! {
    #[test]
    fn frames(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzz::http2(&bytes);
    }

    #[test]
    fn header_blocks(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzz::hpack(&bytes);
    }

    #[test]
    fn calls(bytes in proptest::collection::vec(prop_oneof![0u8..4, any::<u8>()], 0..300)) {
        fuzz::grpc(&bytes);
    }
}
