use l7trace_event::{Cause, Endpoint, Event, Flags, Segment, Tuple, What};

use super::wire::Wire;
use super::{Ends, Seen, Unread};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// RFC 9293, section 3.1. Options say nothing that a tracer needs, so that they may be cut off.
#[inline]
pub(super) fn read(
    seen: Seen,
    ends: &Ends<'_>,
    wire: Wire<'_>,
    each: &mut dyn FnMut(&Event<'_>),
) -> Result<(), Unread> {
    let header: &[u8; 20] = wire.head().ok_or(Unread::Bad("TCP: header cut off"))?;
    let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, bits, ..] = *header;
    let header_length = usize::from(offset >> 4) * 4;
    if header_length < 20 {
        return Err(Unread::Bad("TCP: header length below 20"));
    }
    let payload = wire.skip(header_length).ok_or(Unread::Bad("TCP: header longer than its packet"))?;
    let source = Endpoint::inet(ends.source, u16::from_be_bytes([s0, s1]));
    let destination = Endpoint::inet(ends.destination, u16::from_be_bytes([d0, d1]));

    let mut flags = Flags::default();
    if bits & SYN != 0 {
        flags = flags.with(Flags::OPEN);
        if bits & ACK != 0 {
            flags = flags.with(Flags::ANSWER);
        }
    }
    if bits & FIN != 0 {
        flags = flags.with(Flags::END);
    }
    // Data in a RST is a remark on its reason (RFC 1122, section 4.2.2.12), not part of the stream.
    let payload = if bits & RST != 0 {
        flags = flags.with(Flags::RESET);
        payload.limit(0)
    } else {
        payload
    };
    let missing = u32::try_from(payload.missing()).unwrap_or(u32::MAX);
    let segment = Segment {
        position: u32::from_be_bytes([q0, q1, q2, q3]),
        bytes: payload.bytes,
        missing,
        cause: (missing > 0).then_some(Cause::CaptureLimit),
        acknowledged: (bits & ACK != 0).then(|| u32::from_be_bytes([a0, a1, a2, a3])),
        flags,
    };
    each(&Event {
        at: seen.at,
        witness: seen.witness,
        tuple: Tuple::new(source, destination, seen.namespace),
        what: What::Segment(segment),
        packet: Some(ends.packet(seen.witness.place)),
    });
    Ok(())
}
