use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::fragments::Part;
use super::wire::Wire;
use super::{Ends, Layer, Next, Unread};

type Read<'a> = Result<(Ends<'a>, (Layer, Wire<'a>)), Unread>;

/// IPv4 (RFC 791) or IPv6 (RFC 8200), by the version in the first byte.
#[inline]
pub(super) fn read(wire: Wire<'_>) -> Read<'_> {
    match wire.byte(0).map(|first| first >> 4) {
        Some(4) => version4(wire),
        Some(6) => version6(wire),
        Some(_) => Err(Unread::Bad("IP: version neither 4 nor 6")),
        None => Err(Unread::Bad("IP: header cut off")),
    }
}

#[inline]
fn version4(wire: Wire<'_>) -> Read<'_> {
    let header: &[u8; 20] = wire.head().ok_or(Unread::Bad("IPv4: header cut off"))?;
    let [first, _, l0, l1, i0, i1, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    let header_length = usize::from(first & 15) * 4;
    if header_length < 20 {
        return Err(Unread::Bad("IPv4: header length below 20"));
    }
    // A sender that leaves segmentation to its card may write 0, and packets beyond 64 KB must:
    // then the packet is as long as what was there. A length beyond what was on the wire is wrong.
    let packet = match usize::from(u16::from_be_bytes([l0, l1])) {
        0 => wire,
        total if total < header_length => return Err(Unread::Bad("IPv4: total length below header length")),
        total => wire.limit(total),
    };
    let payload = packet.skip(header_length).ok_or(Unread::Bad("IPv4: header longer than its packet"))?;
    let ends = Ends {
        source: IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
        destination: IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
        packet,
    };
    let fragment = u16::from_be_bytes([f0, f1]);
    let (offset, more) = (usize::from(fragment & 0x1fff) * 8, fragment & 0x2000 != 0);
    let next = if offset > 0 || more {
        Layer::Fragment(Part {
            identification: u32::from(u16::from_be_bytes([i0, i1])),
            protocol,
            offset,
            more,
            before: header_length,
            next_at: 9,
        })
    } else {
        Layer::Protocol(protocol)
    };
    Ok((ends, (next, payload)))
}

/// How many extension headers are followed; a sender has no use for more than one of each.
const EXTENSIONS: usize = 16;

#[inline(never)]
fn version6(wire: Wire<'_>) -> Read<'_> {
    let header: &[u8; 40] = wire.head().ok_or(Unread::Bad("IPv6: header cut off"))?;
    let (addresses, _) = header[8..].split_at(32);
    let address = |at: usize| -> IpAddr {
        let bytes = addresses.get(at..).and_then(|bytes| bytes.first_chunk::<16>());
        IpAddr::V6(Ipv6Addr::from(bytes.copied().unwrap_or_default()))
    };
    let payload_length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let mut protocol = header[6];
    let packet = match payload_length {
        // A jumbogram (RFC 2675) or segmentation left to the card.
        0 => match jumbo_length(protocol, wire) {
            Some(length) => wire.limit(40usize.saturating_add(length)),
            None => wire,
        },
        length => wire.limit(40 + length),
    };
    let ends = Ends { source: address(0), destination: address(16), packet };

    let (mut at, mut next_at) = (40, 6);
    let mut rest = packet.skip(40).ok_or(Unread::Bad("IPv6: header longer than its packet"))?;
    for _ in 0..EXTENSIONS {
        let length = match protocol {
            // Hop-by-hop, routing, destination options, mobility, host identity, shim6.
            0 | 43 | 60 | 135 | 139 | 140 => 8 + usize::from(byte(rest, 1)?) * 8,
            51 => 8 + usize::from(byte(rest, 1)?) * 4,
            44 => {
                let header: &[u8; 8] = rest.head().ok_or(CUT)?;
                let [following, _, o0, o1, i0, i1, i2, i3] = *header;
                let bits = u16::from_be_bytes([o0, o1]);
                let (offset, more) = (usize::from(bits & 0xfff8), bits & 1 != 0);
                // A fragment that is the whole packet (RFC 6946) is none.
                if offset > 0 || more {
                    let identification = u32::from_be_bytes([i0, i1, i2, i3]);
                    let part = Part { identification, protocol: following, offset, more, before: at, next_at };
                    return Ok((ends, (Layer::Fragment(part), rest.skip(8).ok_or(CUT)?)));
                }
                8
            }
            _ => return Ok((ends, (Layer::Protocol(protocol), rest))),
        };
        protocol = byte(rest, 0)?;
        rest = rest.skip(length).ok_or(Unread::Bad("IPv6: extension header longer than its packet"))?;
        next_at = at;
        at += length;
    }
    Err(Unread::Bad("IPv6: too many extension headers"))
}

const CUT: Unread = Unread::Bad("IPv6: extension header cut off");

fn byte(wire: Wire<'_>, at: usize) -> Result<u8, Unread> {
    wire.byte(at).ok_or(CUT)
}

/// The payload length in a jumbo option, which a sender puts first in the hop-by-hop header.
fn jumbo_length(next: u8, wire: Wire<'_>) -> Option<usize> {
    let option: [u8; 8] = wire.array(40)?;
    let [_, _, 0xc2, 4, length @ ..] = option else { return None };
    (next == 0).then(|| u32::from_be_bytes(length) as usize)
}

/// Whether this looks like an IP packet rather than anything else: for headers that do not say
/// what follows them.
pub(super) fn plausible(wire: Wire<'_>) -> bool {
    match wire.byte(0) {
        Some(first @ 0x45..=0x4f) => {
            let header_length = usize::from(first & 15) * 4;
            wire.big16(2).is_some_and(|total| {
                let total = usize::from(total);
                total == 0 || (header_length <= total && total <= wire.length)
            })
        }
        Some(0x60..=0x6f) => wire.big16(4).is_some_and(|length| 40 + usize::from(length) <= wire.length),
        _ => false,
    }
}

/// The layer of an IP packet, or what a header says that leads to something else.
pub(super) fn step(wire: Wire<'_>) -> Next<'_> {
    Ok((Layer::Ip, wire))
}
