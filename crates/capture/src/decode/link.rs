use std::fmt;

use super::wire::Wire;
use super::{Layer, Next, Unread, ethernet, pseudo, tunnel, wifi};

/// What a captured packet begins with: a number of the registry at
/// <https://www.tcpdump.org/linktypes.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u32);

impl LinkType {
    /// Ethernet.
    pub const ETHERNET: LinkType = LinkType(1);
    /// An IPv4 or IPv6 packet, by its version.
    pub const RAW: LinkType = LinkType(101);

    /// Whether packets of this type can be read.
    pub fn is_known(self) -> bool {
        KNOWN.iter().any(|(number, _)| *number == self.0)
    }

    /// All types that can be read.
    pub fn known() -> Vec<LinkType> {
        KNOWN.iter().map(|(number, _)| LinkType(*number)).collect()
    }

    /// The name in the registry, where there is one.
    pub fn name(self) -> Option<&'static str> {
        let mut all = KNOWN.iter().chain(NAMED);
        all.find(|(number, _)| *number == self.0).map(|(_, name)| *name)
    }
}

/// `276 (LINUX_SLL2)`.
impl fmt::Display for LinkType {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(to, "{} ({name})", self.0),
            None => write!(to, "{}", self.0),
        }
    }
}

/// Link types that `read` reads.
const KNOWN: &[(u32, &str)] = &[
    (0, "NULL"),
    (1, "ETHERNET"),
    (9, "PPP"),
    (12, "RAW"),
    (14, "RAW"),
    (50, "PPP_HDLC"),
    (51, "PPP_ETHER"),
    (100, "ATM_RFC1483"),
    (101, "RAW"),
    (104, "C_HDLC"),
    (105, "IEEE802_11"),
    (107, "FRELAY"),
    (108, "LOOP"),
    (109, "ENC"),
    (113, "LINUX_SLL"),
    (117, "PFLOG"),
    (119, "IEEE802_11_PRISM"),
    (127, "IEEE802_11_RADIOTAP"),
    (163, "IEEE802_11_AVS"),
    (166, "PPP_PPPD"),
    (192, "PPI"),
    (204, "PPP_WITH_DIR"),
    (205, "C_HDLC_WITH_DIR"),
    (206, "FRELAY_WITH_DIR"),
    (219, "MPLS"),
    (228, "IPV4"),
    (229, "IPV6"),
    (239, "NFLOG"),
    (240, "NETANALYZER"),
    (258, "PKTAP"),
    (276, "LINUX_SLL2"),
];

/// Link types that are met and cannot be read, to name them in errors.
const NAMED: &[(u32, &str)] = &[
    (3, "AX25"),
    (6, "IEEE802_5"),
    (7, "ARCNET_BSD"),
    (8, "SLIP"),
    (10, "FDDI"),
    (143, "DOCSIS"),
    (147, "USER0"),
    (148, "USER1"),
    (187, "BLUETOOTH_HCI_H4"),
    (189, "USB_LINUX"),
    (195, "IEEE802_15_4_WITHFCS"),
    (201, "BLUETOOTH_HCI_H4_WITH_PHDR"),
    (220, "USB_LINUX_MMAPPED"),
    (227, "CAN_SOCKETCAN"),
    (230, "IEEE802_15_4_NOFCS"),
    (231, "DBUS"),
    (247, "INFINIBAND"),
    (248, "SCTP"),
    (249, "USBPCAP"),
    (252, "WIRESHARK_UPPER_PDU"),
    (253, "NETLINK"),
    (254, "BLUETOOTH_LINUX_MONITOR"),
    (271, "VSOCK"),
];

/// Goes from a packet's beginning to the layer behind its link header.
pub(super) fn read(link: LinkType, wire: Wire<'_>) -> Next<'_> {
    match link.0 {
        1 => ethernet::read(wire),
        12 | 14 | 101 | 228 | 229 => Ok((Layer::Ip, wire)),
        113 => linux_cooked(wire),
        276 => linux_cooked2(wire),
        0 => null(wire),
        108 => family(wire.big32(0).ok_or(CUT)?, wire.skip(4).ok_or(CUT)?),
        9 => Ok((Layer::Ppp, wire)),
        // The direction comes first; in PPPD's own it stands in the place of the address.
        166 | 204 => Ok((Layer::Ppp, wire.skip(1).ok_or(CUT)?)),
        50 => match wire.byte(0).ok_or(CUT)? {
            0x0f | 0x8f => cisco_hdlc(wire),
            _ => Ok((Layer::Ppp, wire)),
        },
        51 => tunnel::pppoe(wire),
        104 => cisco_hdlc(wire),
        205 => cisco_hdlc(wire.skip(1).ok_or(CUT)?),
        107 => frame_relay(wire),
        206 => frame_relay(wire.skip(1).ok_or(CUT)?),
        100 => Ok((Layer::Llc, wire)),
        105 => wifi::read(wire, false),
        119 => pseudo::prism(wire),
        127 => pseudo::radiotap(wire),
        163 => pseudo::avs(wire),
        192 => pseudo::ppi(wire),
        219 => Ok((Layer::Mpls, wire)),
        239 => pseudo::nflog(wire),
        240 => Ok((Layer::Ethernet, wire.skip(4).ok_or(CUT)?)),
        258 => pseudo::pktap(wire),
        117 => pseudo::pflog(wire),
        109 => family_of_either_order(wire, 12),
        _ => Err(Unread::Link(link)),
    }
}

const CUT: Unread = Unread::Bad("link header cut off");

/// The address family of 4 bytes, in the byte order of the host that captured.
fn null(wire: Wire<'_>) -> Next<'_> {
    family_of_either_order(wire, 4)
}

fn family_of_either_order(wire: Wire<'_>, header: usize) -> Next<'_> {
    let little = wire.little32(0).ok_or(CUT)?;
    let number = if little <= 0xffff { little } else { little.swap_bytes() };
    family(number, wire.skip(header).ok_or(CUT)?)
}

/// AF_INET is 2 everywhere; AF_INET6 is 10 on Linux, 24 on NetBSD and OpenBSD, 28 on FreeBSD, 30 on
/// macOS, 23 on Windows, 26 on Solaris.
pub(super) fn family(number: u32, wire: Wire<'_>) -> Next<'_> {
    match number {
        2 | 10 | 23 | 24 | 26 | 28 | 30 => Ok((Layer::Ip, wire)),
        // OpenBSD's ENC and NULL write MPLS as family 33.
        33 => Ok((Layer::Mpls, wire)),
        _ => Err(Unread::Family(number)),
    }
}

/// `LINUX_SLL`: packet type, ARPHRD type, address length and address (8 bytes), protocol.
fn linux_cooked(wire: Wire<'_>) -> Next<'_> {
    let hardware = wire.big16(2).ok_or(CUT)?;
    let protocol = wire.big16(14).ok_or(CUT)?;
    cooked(hardware, protocol, wire.skip(16).ok_or(CUT)?)
}

/// `LINUX_SLL2`: protocol, reserved (2), interface index (4), ARPHRD type, packet type, address
/// length and address (8 bytes).
fn linux_cooked2(wire: Wire<'_>) -> Next<'_> {
    let protocol = wire.big16(0).ok_or(CUT)?;
    let hardware = wire.big16(8).ok_or(CUT)?;
    cooked(hardware, protocol, wire.skip(20).ok_or(CUT)?)
}

fn cooked(hardware: u16, protocol: u16, wire: Wire<'_>) -> Next<'_> {
    match (hardware, protocol) {
        // Of these the protocol is not an Ethernet type: netlink, 802.11 with and without radiotap.
        (824, _) => Err(Unread::Bad("not TCP: netlink")),
        (801, _) => wifi::read(wire, false),
        (803, _) => pseudo::radiotap(wire),
        (_, 4) => Ok((Layer::Llc, wire)),
        (_, number) => ethernet::ethertype(number, wire),
    }
}

/// Address, control, Ethernet type.
fn cisco_hdlc(wire: Wire<'_>) -> Next<'_> {
    let protocol = wire.big16(2).ok_or(CUT)?;
    ethernet::ethertype(protocol, wire.skip(4).ok_or(CUT)?)
}

/// RFC 2427: a Q.922 address of 2 to 4 bytes, control, NLPID.
fn frame_relay(wire: Wire<'_>) -> Next<'_> {
    let last = wire.bytes.iter().take(4).position(|byte| byte & 1 != 0);
    let address = last.ok_or(Unread::Bad("frame relay: bad address"))? + 1;
    let mut rest = wire.skip(address).ok_or(CUT)?;
    if rest.byte(0) != Some(3) {
        // Cisco's encapsulation has an Ethernet type here.
        let protocol = rest.big16(0).ok_or(CUT)?;
        return ethernet::ethertype(protocol, rest.skip(2).ok_or(CUT)?);
    }
    rest = rest.skip(1).ok_or(CUT)?;
    if rest.byte(0) == Some(0) {
        rest = rest.skip(1).ok_or(CUT)?;
    }
    let nlpid = rest.byte(0).ok_or(CUT)?;
    let inner = rest.skip(1).ok_or(CUT)?;
    match nlpid {
        0xcc | 0x8e => Ok((Layer::Ip, inner)),
        0x80 => ethernet::snap(inner),
        0xcf => Ok((Layer::Ppp, inner)),
        _ => Err(Unread::Bad("frame relay: other protocol")),
    }
}
