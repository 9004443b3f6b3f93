//! Headers that capture tools put before a packet.

use super::link::family;
use super::wire::Wire;
use super::{Layer, LinkType, Next, Unread, wifi};

const CUT: Unread = Unread::Bad("link header cut off");

/// Radiotap: version, padding, length and a bit map of fields, all little-endian. Of the fields,
/// the flags say whether the frame's header is padded to 4 bytes.
pub(super) fn radiotap(wire: Wire<'_>) -> Next<'_> {
    let length = usize::from(wire.little16(2).ok_or(CUT)?);
    let header = wire.limit(length);
    let frame = wire.skip(length.max(8)).ok_or(Unread::Bad("radiotap: header longer than its packet"))?;
    let present = header.little32(4).ok_or(CUT)?;
    let (mut at, mut word) = (8, present);
    while word & 0x8000_0000 != 0 {
        word = header.little32(at).ok_or(CUT)?;
        at += 4;
    }
    if present & 1 != 0 {
        // The time stamp: 8 bytes, aligned to as many.
        at = at.next_multiple_of(8) + 8;
    }
    let flags = if present & 2 != 0 { header.byte(at).unwrap_or(0) } else { 0 };
    wifi::read(frame, flags & 0x20 != 0)
}

/// Prism: message code and length, in the byte order of the host that captured. AVS headers are
/// met under the same link type.
pub(super) fn prism(wire: Wire<'_>) -> Next<'_> {
    if wire.big32(0).is_some_and(|magic| magic & 0xffff_f000 == 0x8021_1000) {
        return avs(wire);
    }
    let little = wire.little32(4).ok_or(CUT)?;
    let length = if little <= 0xffff { little } else { little.swap_bytes() };
    wifi::read(wire.skip(length as usize).ok_or(CUT)?, false)
}

/// AVS: version and length, big-endian.
pub(super) fn avs(wire: Wire<'_>) -> Next<'_> {
    let length = wire.big32(4).ok_or(CUT)?;
    wifi::read(wire.skip(length as usize).ok_or(CUT)?, false)
}

/// PPI: version, flags, length, link type, little-endian.
pub(super) fn ppi(wire: Wire<'_>) -> Next<'_> {
    let length = usize::from(wire.little16(2).ok_or(CUT)?);
    let link = LinkType(wire.little32(4).ok_or(CUT)?);
    Ok((Layer::Link(link), wire.skip(length.max(8)).ok_or(CUT)?))
}

/// macOS: length, type of record, link type, in the byte order of the host that captured, which
/// is always the little one.
pub(super) fn pktap(wire: Wire<'_>) -> Next<'_> {
    let length = wire.little32(0).ok_or(CUT)? as usize;
    let link = LinkType(wire.little32(8).ok_or(CUT)?);
    Ok((Layer::Link(link), wire.skip(length.max(12)).ok_or(CUT)?))
}

/// OpenBSD's packet filter: length of the header, to be rounded up to 4, and address family.
pub(super) fn pflog(wire: Wire<'_>) -> Next<'_> {
    let [length, number] = wire.array(0).ok_or(CUT)?;
    family(u32::from(number), wire.skip(usize::from(length).next_multiple_of(4)).ok_or(CUT)?)
}

/// The attribute that holds the packet (`NFULA_PAYLOAD`).
const NFLOG_PAYLOAD: u16 = 9;

/// Netfilter's log: family, version, resource; then attributes of length, type (both in the byte
/// order of the host that captured) and value, padded to 4 bytes.
pub(super) fn nflog(wire: Wire<'_>) -> Next<'_> {
    let [number, version] = wire.array(0).ok_or(CUT)?;
    if version != 0 {
        return Err(Unread::Bad("NFLOG: unknown version"));
    }
    let attributes = wire.skip(4).ok_or(CUT)?;
    // A packet has few attributes; a length that makes no sense tells the byte order.
    let payload =
        nflog_payload(attributes, u16::from_le_bytes).or_else(|| nflog_payload(attributes, u16::from_be_bytes));
    family(u32::from(number), payload.ok_or(Unread::Bad("NFLOG: no packet in it"))?)
}

fn nflog_payload<'a>(attributes: Wire<'a>, order: fn([u8; 2]) -> u16) -> Option<Wire<'a>> {
    let mut rest = attributes;
    for _ in 0..64 {
        let (length, kind) = (usize::from(order(rest.array(0)?)), order(rest.array(2)?));
        if length < 4 || length > rest.length {
            return None;
        }
        if kind & 0x7fff == NFLOG_PAYLOAD {
            return rest.limit(length).skip(4);
        }
        rest = rest.skip(length.next_multiple_of(4))?;
    }
    None
}
