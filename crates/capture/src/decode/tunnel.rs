use super::wire::Wire;
use super::{Layer, Next, Unread, ethernet, ip, udp};

const CUT: Unread = Unread::Bad("tunnel header cut off");

/// What an IP protocol number other than TCP says.
pub(super) fn protocol(number: u8, wire: Wire<'_>) -> Next<'_> {
    match number {
        // IP in IP, 6in4, 4in6, KA9Q.
        4 | 41 | 94 => Ok((Layer::Ip, wire)),
        47 => gre(wire),
        17 => udp::read(wire),
        137 => Ok((Layer::Mpls, wire)),
        // Ethernet in segment routing (RFC 8986).
        143 => Ok((Layer::Ethernet, wire)),
        // EtherIP (RFC 3378): version 3 in two bytes.
        97 => Ok((Layer::Ethernet, wire.skip(2).ok_or(CUT)?)),
        // Authentication header within IPv4 (RFC 4302).
        51 => {
            let [next, length] = wire.array(0).ok_or(CUT)?;
            let rest = wire.skip(8 + usize::from(length) * 4).ok_or(CUT)?;
            Ok((Layer::Protocol(next), rest))
        }
        _ => Err(Unread::Protocol(number)),
    }
}

/// RFC 2784 and 2890, NVGRE (RFC 7637), ERSPAN; version 1 carries PPP (PPTP, RFC 2637).
pub(super) fn gre(wire: Wire<'_>) -> Next<'_> {
    let flags = wire.big16(0).ok_or(CUT)?;
    let number = wire.big16(2).ok_or(CUT)?;
    let [checksum, routing, key, sequence] = [0x8000, 0x4000, 0x2000, 0x1000].map(|flag| flags & flag != 0);
    match flags & 7 {
        0 => {
            let fields = usize::from(checksum || routing) + usize::from(key) + usize::from(sequence);
            let mut rest = wire.skip(4 + 4 * fields).ok_or(CUT)?;
            if routing {
                rest = source_routes(rest)?;
            }
            match number {
                // ERSPAN without a sequence number is the first kind, which has no header of its own.
                0x88be if !sequence => Ok((Layer::Ethernet, rest)),
                0 => Err(Unread::Bad("not TCP: GRE keepalive")),
                _ => ethernet::ethertype(number, rest),
            }
        }
        1 if number == 0x880b && key => {
            let acknowledged = flags & 0x80 != 0;
            let rest = wire.skip(8 + 4 * (usize::from(sequence) + usize::from(acknowledged))).ok_or(CUT)?;
            match rest.length {
                0 => Err(Unread::Bad("not TCP: GRE acknowledgement")),
                _ => Ok((Layer::Ppp, rest)),
            }
        }
        version => Err(Unread::GreVersion(version as u8)),
    }
}

/// RFC 1701: entries of family, offset and length, up to one of length 0.
fn source_routes(wire: Wire<'_>) -> Result<Wire<'_>, Unread> {
    let mut rest = wire;
    while let Some([f0, f1, _, length]) = rest.array(0) {
        rest = rest.skip(4 + usize::from(length)).ok_or(CUT)?;
        if [f0, f1, length] == [0; 3] {
            return Ok(rest);
        }
    }
    Err(CUT)
}

/// Mirrored frames of Cisco switches, type II: 8 bytes of header.
pub(super) fn erspan2(wire: Wire<'_>) -> Next<'_> {
    Ok((Layer::Ethernet, wire.skip(8).ok_or(CUT)?))
}

/// Type III: 12 bytes, and 8 more where the last bit says so.
pub(super) fn erspan3(wire: Wire<'_>) -> Next<'_> {
    let more = wire.byte(11).ok_or(CUT)? & 1 != 0;
    Ok((Layer::Ethernet, wire.skip(if more { 20 } else { 12 }).ok_or(CUT)?))
}

/// WCCP: version 2 has a redirect header of 4 bytes, version 1 none.
pub(super) fn wccp(wire: Wire<'_>) -> Next<'_> {
    let first = wire.byte(0).ok_or(CUT)?;
    Ok((Layer::Ip, if first >> 4 == 4 { wire } else { wire.skip(4).ok_or(CUT)? }))
}

/// RFC 8300, Network Service Header: its length in units of 4 bytes, and what follows it.
pub(super) fn service_header(wire: Wire<'_>) -> Next<'_> {
    let [_, length, _, next] = wire.array(0).ok_or(CUT)?;
    let rest = wire.skip(usize::from(length & 0x3f).max(2) * 4).ok_or(CUT)?;
    match next {
        1 | 2 => Ok((Layer::Ip, rest)),
        3 => Ok((Layer::Ethernet, rest)),
        5 => Ok((Layer::Mpls, rest)),
        _ => Err(Unread::Bad("service header: other payload")),
    }
}

/// PPP, with or without HDLC-like framing (RFC 1662), its protocol number perhaps compressed.
pub(super) fn ppp(wire: Wire<'_>) -> Next<'_> {
    let rest = match wire.array(0) {
        Some([0xff, 3]) => wire.skip(2).ok_or(CUT)?,
        _ if wire.byte(0) == Some(3) => wire.skip(1).ok_or(CUT)?,
        _ => wire,
    };
    let first = rest.byte(0).ok_or(CUT)?;
    let (number, inner) = if first & 1 != 0 {
        (u16::from(first), rest.skip(1).ok_or(CUT)?)
    } else {
        (rest.big16(0).ok_or(CUT)?, rest.skip(2).ok_or(CUT)?)
    };
    match number {
        0x0021 | 0x0057 => Ok((Layer::Ip, inner)),
        0x0281 | 0x0283 => Ok((Layer::Mpls, inner)),
        // Bridged Ethernet (RFC 3518): flags and type, padding counted in the flags.
        0x0031 => Ok((Layer::Ethernet, inner.skip(2).ok_or(CUT)?)),
        // Multilink (RFC 1990): a fragment that is the whole packet.
        0x003d => match inner.byte(0).ok_or(CUT)? & 0xc0 {
            0xc0 => Ok((Layer::Ppp, inner.skip(4).ok_or(CUT)?)),
            _ => Err(Unread::Bad("PPP: multilink fragment")),
        },
        0x0053 => Err(Unread::Bad("PPP: encrypted")),
        0x00fd => Err(Unread::Bad("PPP: compressed")),
        _ => Err(Unread::Ppp(number)),
    }
}

/// RFC 2516: version and type, code (0: data), session, length; then PPP.
pub(super) fn pppoe(wire: Wire<'_>) -> Next<'_> {
    let [_, code, _, _, l0, l1] = wire.array(0).ok_or(CUT)?;
    if code != 0 {
        return Err(Unread::Ethertype(0x8863));
    }
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    Ok((Layer::Ppp, wire.skip(6).ok_or(CUT)?.limit(length)))
}

/// RFC 3032. Labels do not say what they carry: IP where it looks like it, else Ethernet, with or
/// without a control word (RFC 4385, RFC 4448).
pub(super) fn mpls(wire: Wire<'_>) -> Next<'_> {
    let mut rest = wire;
    for _ in 0..16 {
        let [_, _, bottom, _] = rest.array(0).ok_or(CUT)?;
        rest = rest.skip(4).ok_or(CUT)?;
        if bottom & 1 == 0 {
            continue;
        }
        return match rest.byte(0).ok_or(CUT)? >> 4 {
            4 | 6 if ip::plausible(rest) => Ok((Layer::Ip, rest)),
            1 if !ethernet_here(rest, 0) => Err(Unread::Bad("not TCP: MPLS associated channel")),
            0 if ethernet_here(rest, 4) || !ethernet_here(rest, 0) => Ok((Layer::Ethernet, rest.skip(4).ok_or(CUT)?)),
            4 | 6 if !ethernet_here(rest, 0) => Ok((Layer::Ip, rest)),
            _ => Ok((Layer::Ethernet, rest)),
        };
    }
    Err(Unread::Bad("MPLS: too many labels"))
}

/// Whether an Ethernet header at `at` would have a type that is met there.
fn ethernet_here(wire: Wire<'_>, at: usize) -> bool {
    matches!(wire.big16(at + 12), Some(0x0800 | 0x0806 | 0x86dd | 0x8100 | 0x88a8 | 0x9100 | 0x8847 | 0x8864))
}
