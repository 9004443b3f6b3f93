use super::wire::Wire;
use super::{Layer, Next, Unread, ethernet, tunnel};

const CUT: Unread = Unread::Bad("tunnel header cut off");
/// What UDP is when it is no tunnel.
const PLAIN: Unread = Unread::Protocol(17);

/// UDP carries tunnels at ports of their own; whatever does not look like one there is plain UDP.
pub(super) fn read(wire: Wire<'_>) -> Next<'_> {
    let [s0, s1, d0, d1, l0, l1, ..] = *wire.head::<8>().ok_or(Unread::Bad("UDP: header cut off"))?;
    let (source, destination) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    // 0 where segmentation is left to the card, or in a jumbogram.
    let datagram = if length >= 8 { wire.limit(length) } else { wire };
    let payload = datagram.skip(8).ok_or(PLAIN)?;
    match (source, destination) {
        (_, 4789 | 8472) => vxlan(payload),
        (_, 4790) => vxlan_gpe(payload),
        (_, 6081) => geneve(payload),
        (3544, _) | (_, 3544) => teredo(payload),
        (2152, _) | (_, 2152) => gtp_u(payload),
        (1701, _) | (_, 1701) => l2tp(payload),
        (_, 6635) => Ok((Layer::Mpls, payload)),
        (_, 4754) => tunnel::gre(payload),
        (4500, _) | (_, 4500) if payload.big32(0).is_some_and(|marker| marker != 0) => Err(Unread::Protocol(50)),
        _ => Err(PLAIN),
    }
}

/// RFC 7348: flags, network identifier; Ethernet.
fn vxlan(wire: Wire<'_>) -> Next<'_> {
    match wire.byte(0).ok_or(CUT)? {
        flags if flags & 8 != 0 => Ok((Layer::Ethernet, wire.skip(8).ok_or(CUT)?)),
        _ => Err(PLAIN),
    }
}

/// VXLAN with a next-protocol field, where the P flag says so.
fn vxlan_gpe(wire: Wire<'_>) -> Next<'_> {
    let [flags, _, _, next] = wire.array(0).ok_or(CUT)?;
    let rest = wire.skip(8).ok_or(CUT)?;
    match (flags & 4 != 0, next) {
        (true, 1 | 2) => Ok((Layer::Ip, rest)),
        (false, _) | (true, 3) => Ok((Layer::Ethernet, rest)),
        (true, 4) => tunnel::service_header(rest),
        (true, 5) => Ok((Layer::Mpls, rest)),
        _ => Err(PLAIN),
    }
}

/// RFC 8926: version and options' length in units of 4 bytes, flags, protocol, identifier.
fn geneve(wire: Wire<'_>) -> Next<'_> {
    let [first, _, p0, p1] = wire.array(0).ok_or(CUT)?;
    if first >> 6 != 0 {
        return Err(PLAIN);
    }
    let rest = wire.skip(8 + usize::from(first & 0x3f) * 4).ok_or(CUT)?;
    ethernet::ethertype(u16::from_be_bytes([p0, p1]), rest)
}

/// RFC 4380: authentication and origin may come before the IPv6 packet.
fn teredo(wire: Wire<'_>) -> Next<'_> {
    let mut rest = wire;
    if rest.big16(0) == Some(1) {
        let [_, _, client, authentication] = rest.array(0).ok_or(PLAIN)?;
        rest = rest.skip(13 + usize::from(client) + usize::from(authentication)).ok_or(PLAIN)?;
    }
    if rest.big16(0) == Some(0) {
        rest = rest.skip(8).ok_or(PLAIN)?;
    }
    match rest.byte(0) {
        Some(0x60..=0x6f) => Ok((Layer::Ip, rest)),
        _ => Err(PLAIN),
    }
}

/// 3GPP TS 29.281: version 1 of the user plane; only message 255 carries a packet.
fn gtp_u(wire: Wire<'_>) -> Next<'_> {
    let [flags, kind, l0, l1] = wire.array(0).ok_or(PLAIN)?;
    if flags >> 4 != 3 || kind != 255 {
        return Err(PLAIN);
    }
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let mut rest = wire.skip(8).ok_or(PLAIN)?.limit(length);
    if flags & 7 != 0 {
        let mut next = if flags & 4 != 0 { rest.byte(3).ok_or(CUT)? } else { 0 };
        rest = rest.skip(4).ok_or(CUT)?;
        // Extension headers: length in units of 4 bytes first, the next one's type last.
        for _ in 0..16 {
            if next == 0 {
                break;
            }
            let extension = usize::from(rest.byte(0).ok_or(CUT)?) * 4;
            let last = extension.checked_sub(1).ok_or(Unread::Bad("GTP-U: empty extension header"))?;
            next = rest.byte(last).ok_or(CUT)?;
            rest = rest.skip(extension).ok_or(CUT)?;
        }
    }
    match rest.byte(0) {
        Some(0x45..=0x4f | 0x60..=0x6f) => Ok((Layer::Ip, rest)),
        _ => Err(Unread::Bad("GTP-U: other payload")),
    }
}

/// RFC 2661, version 2: data messages carry PPP.
fn l2tp(wire: Wire<'_>) -> Next<'_> {
    let flags = wire.big16(0).ok_or(PLAIN)?;
    let [control, length, sequence, offset] = [0x8000, 0x4000, 0x0800, 0x0200].map(|flag| flags & flag != 0);
    if flags & 15 != 2 || control {
        return Err(PLAIN);
    }
    let mut at = 2 + 2 * usize::from(length) + 4 + 4 * usize::from(sequence);
    if offset {
        at += 2 + usize::from(wire.big16(at).ok_or(CUT)?);
    }
    Ok((Layer::Ppp, wire.skip(at).ok_or(CUT)?))
}
