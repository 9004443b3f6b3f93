//! The fuzz targets' bodies on bytes made at random.

use l7trace_testkit::fuzz;
use proptest::prelude::*;

/// What fuzzing found, once and for all.
#[test]
fn regressions() {
    for bytes in [&[0x00, 0x25, 0x00, 0x53, 0x88, 0x00, 0x06, 0x88, 0x24, 0x84][..]] {
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
