use super::wire::Wire;
use super::{Layer, LinkType, Next, Unread, ip, tunnel};

const CUT: Unread = Unread::Bad("Ethernet: header cut off");

/// Destination, source, Ethernet type or, below 0x600, the length of an 802.2 frame.
pub(super) fn read(wire: Wire<'_>) -> Next<'_> {
    let header: &[u8; 14] = wire.head().ok_or(CUT)?;
    let number = u16::from_be_bytes([header[12], header[13]]);
    typed(number, wire.skip(14).ok_or(CUT)?)
}

/// The IP packet in an Ethernet frame that has nothing else in it.
#[inline]
pub(super) fn plain(link: LinkType, wire: Wire<'_>) -> Option<Wire<'_>> {
    let header: &[u8; 14] = wire.head().filter(|_| link == LinkType::ETHERNET)?;
    match [header[12], header[13]] {
        [0x08, 0x00] | [0x86, 0xdd] => wire.skip(14),
        _ => None,
    }
}

/// What follows an Ethernet type or length field.
fn typed(number: u16, wire: Wire<'_>) -> Next<'_> {
    match number {
        0x0800 | 0x86dd => Ok((Layer::Ip, wire)),
        // 1501 to 1535 are not defined.
        0..=0x05ff => Ok((Layer::Llc, wire.limit(usize::from(number)))),
        _ => ethertype(number, wire),
    }
}

/// What an Ethernet type says, wherever it stands.
pub(super) fn ethertype(number: u16, wire: Wire<'_>) -> Next<'_> {
    match number {
        0x0800 | 0x86dd => ip::step(wire),
        // 802.1Q, 802.1ad and its older stand-ins: tag control, then what was there before.
        0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300 => {
            let inner = wire.big16(2).ok_or(CUT)?;
            typed(inner, wire.skip(4).ok_or(CUT)?)
        }
        0x8847 | 0x8848 => Ok((Layer::Mpls, wire)),
        0x8864 => tunnel::pppoe(wire),
        0x880b => Ok((Layer::Ppp, wire)),
        // Transparent Ethernet bridging, in GRE and Geneve.
        0x6558 => Ok((Layer::Ethernet, wire)),
        // 802.1ah: the service tag, then an Ethernet header.
        0x88e7 => Ok((Layer::Ethernet, wire.skip(4).ok_or(CUT)?)),
        // 802.1BR's E-tag; VN-Tag; HSR: so many bytes, then an Ethernet type.
        0x893f => inner_type(wire, 6),
        0x8926 | 0x892f => inner_type(wire, 4),
        // Cisco's metadata: version and length in units of 4 bytes; the type comes last.
        0x8909 => {
            let length = usize::from(wire.byte(1).ok_or(CUT)?) * 4;
            inner_type(wire, length.max(2) + 2)
        }
        0x894f => tunnel::service_header(wire),
        0x883e => tunnel::wccp(wire),
        0x88be => tunnel::erspan2(wire),
        0x22eb => tunnel::erspan3(wire),
        0x8870 => Ok((Layer::Llc, wire)),
        _ => Err(Unread::Ethertype(number)),
    }
}

/// An Ethernet type in the last two bytes of a header of `length` bytes.
fn inner_type(wire: Wire<'_>, length: usize) -> Next<'_> {
    let inner = wire.big16(length - 2).ok_or(CUT)?;
    Ok((Layer::Ethertype(inner), wire.skip(length).ok_or(CUT)?))
}

/// IEEE 802.2, with SNAP (RFC 1042).
pub(super) fn llc(wire: Wire<'_>) -> Next<'_> {
    let header: [u8; 3] = wire.array(0).ok_or(Unread::Bad("802.2: header cut off"))?;
    match header {
        [0xaa | 0xab, 0xaa | 0xab, 3] => snap(wire.skip(3).ok_or(CUT)?),
        // IPv4 by its own access point number.
        [0x06, 0x06, 3] => Ok((Layer::Ip, wire.skip(3).ok_or(CUT)?)),
        // An ISO network layer: NLPID.
        [0xfe, 0xfe, 3] => match wire.byte(3).ok_or(CUT)? {
            0xcc | 0x8e => Ok((Layer::Ip, wire.skip(4).ok_or(CUT)?)),
            0xcf => Ok((Layer::Ppp, wire.skip(4).ok_or(CUT)?)),
            _ => Err(Unread::Llc(0xfe)),
        },
        [destination, ..] => Err(Unread::Llc(destination)),
    }
}

/// SNAP: an organisation (3 bytes) and its protocol number.
pub(super) fn snap(wire: Wire<'_>) -> Next<'_> {
    let [o0, o1, o2, p0, p1] = wire.array(0).ok_or(Unread::Bad("802.2: SNAP header cut off"))?;
    let number = u16::from_be_bytes([p0, p1]);
    let rest = wire.skip(5).ok_or(CUT)?;
    match ([o0, o1, o2], number) {
        // Ethernet types, also as 802.1H bridges write them.
        ([0, 0, 0] | [0, 0, 0xf8], _) => ethertype(number, rest),
        // RFC 2684: bridged Ethernet, with and without its checksum, after two bytes of padding.
        ([0, 0x80, 0xc2], 1 | 7) => Ok((Layer::Ethernet, rest.skip(2).ok_or(CUT)?)),
        _ => Err(Unread::Bad("not TCP: SNAP of another organisation")),
    }
}
