//! Whether a connection joined in the middle speaks WebSocket.

use l7trace_event::Side;

use super::evidence::{self, Evidence};
use crate::{Recognition, Sample};

/// Both directions together: so many whole frames, and so many bits.
const OF_BOTH: (u32, u32) = (3, 40);

/// Both directions together, with a whole frame from each: so many bits say enough.
const OF_ONE_EACH: u32 = 48;

/// One direction, where the other says nothing.
const OF_ONE: (u32, u32) = (4, 72);

/// What it counts that the bytes end where a frame ends.
const FLUSH: u32 = 8;

pub(super) fn recognise(sample: &Sample<'_>) -> Recognition {
    let mut more = false;
    for client in Side::BOTH {
        let of = |side: Side, masked| {
            let prefix = sample.side(side);
            // A handshake comes first: what was seen from its start is no WebSocket by itself.
            if (prefix.from_start || prefix.since_start) && !prefix.bytes.is_empty() {
                return None;
            }
            let none = Evidence::default();
            if prefix.bytes.is_empty() { Some(none) } else { evidence::read(prefix.bytes, masked, true) }
        };
        let (Some(asked), Some(answered)) = (of(client, true), of(client.other(), false)) else { continue };
        let whole = asked.whole + answered.whole;
        let bits = weight(&asked) + weight(&answered);
        let each = asked.whole > 0 && answered.whole > 0;
        let both = each && (whole >= OF_BOTH.0 && bits >= OF_BOTH.1 || bits >= OF_ONE_EACH);
        if both || (whole >= OF_ONE.0 && bits >= OF_ONE.1) {
            return Recognition::Yes { client };
        }
        more = true;
    }
    if more { Recognition::More } else { Recognition::No }
}

fn weight(evidence: &Evidence) -> u32 {
    evidence.bits + if evidence.flush && evidence.whole > 0 { FLUSH } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Prefix;

    fn check(a: &[u8], b: &[u8], expected: Recognition) {
        let prefix = |bytes| Prefix { bytes, ..Prefix::default() };
        let sample = Sample { sides: [prefix(a), prefix(b)], initiator: None };
        assert_eq!(recognise(&sample), expected, "{} and {}", a.escape_ascii(), b.escape_ascii());
    }

    #[test]
    fn by_masked_frames_from_one_side_and_unmasked_from_the_other() {
        let asked = b"\x81\x8c\0\0\0\0{\"ask\": 1234}";
        let answered = b"\x81\x0c{\"say\": 1234";
        check(&asked[..18], answered, Recognition::Yes { client: Side::A });
        check(answered, &asked[..18], Recognition::Yes { client: Side::B });
        check(answered, answered, Recognition::No);
        check(&asked[..18], b"", Recognition::More);
        check(b"", &answered.repeat(4), Recognition::Yes { client: Side::A });
        check(b"\x82\x05\0\0\0\x01\x02", b"\x82\x85\0\0\0\0\0\0\0\0\0", Recognition::More);
        check(b"GET / HTTP/1.1", b"HTTP/1.1 101", Recognition::No);
    }
}
