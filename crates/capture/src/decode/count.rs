use std::collections::BTreeMap;
use std::fmt;

use super::LinkType;

/// Something in a packet that no TCP segment was read from, by what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unread {
    /// A header that is wrong or cut off, a limit that was reached: words.
    Bad(&'static str),
    /// A link type that is not known.
    Link(LinkType),
    /// An Ethernet type.
    Ethertype(u16),
    /// An 802.2 destination service access point.
    Llc(u8),
    /// A PPP protocol number.
    Ppp(u16),
    /// An address family of a NULL, LOOP, NFLOG or PFLOG header.
    Family(u32),
    /// An IP protocol number.
    Protocol(u8),
    /// A GRE version.
    GreVersion(u8),
}

impl fmt::Display for Unread {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Unread::Bad(what) => to.write_str(what),
            Unread::Link(link) => write!(to, "link type {link}"),
            Unread::Ethertype(number) => match ethertype_name(number) {
                Some(name) => write!(to, "not TCP: {name}"),
                None => write!(to, "Ethernet type {number:#06x}"),
            },
            Unread::Llc(0x42) => to.write_str("not TCP: spanning tree"),
            Unread::Llc(number) => write!(to, "802.2 service access point {number:#04x}"),
            Unread::Ppp(number) if number >= 0x8000 => to.write_str("not TCP: PPP control"),
            Unread::Ppp(number) => write!(to, "PPP protocol {number:#06x}"),
            Unread::Family(number) => write!(to, "address family {number}"),
            Unread::Protocol(number) => match protocol_name(number) {
                Some(name) => write!(to, "not TCP: {name}"),
                None => write!(to, "IP protocol {number}"),
            },
            Unread::GreVersion(number) => write!(to, "GRE version {number}"),
        }
    }
}

fn ethertype_name(number: u16) -> Option<&'static str> {
    Some(match number {
        0x0806 => "ARP",
        0x8035 => "RARP",
        0x0842 => "wake-on-LAN",
        0x88cc => "LLDP",
        0x8809 => "slow protocols (LACP)",
        0x888e => "EAPOL",
        0x88f7 => "PTP",
        0x8863 => "PPPoE discovery",
        0x9000 => "loopback test",
        0x88e5 => "MACsec (encrypted)",
        0x8137 => "IPX",
        _ => return None,
    })
}

fn protocol_name(number: u8) -> Option<&'static str> {
    Some(match number {
        1 => "ICMP",
        2 => "IGMP",
        17 => "UDP",
        50 => "ESP (encrypted)",
        58 => "ICMPv6",
        59 => "IPv6 without payload",
        88 => "EIGRP",
        89 => "OSPF",
        103 => "PIM",
        112 => "VRRP",
        132 => "SCTP",
        _ => return None,
    })
}

/// How often each was met. Its size is bounded by that of the numbers counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    counts: BTreeMap<Unread, u64>,
}

impl Counts {
    pub(crate) fn count(&mut self, what: Unread) {
        self.add(what, 1);
    }

    pub(crate) fn add(&mut self, what: Unread, times: u64) {
        *self.counts.entry(what).or_insert(0) += times;
    }

    /// Names and counts, most frequent first.
    pub(crate) fn list(&self) -> Vec<(String, u64)> {
        let mut list: Vec<_> = self.counts.iter().map(|(what, count)| (what.to_string(), *count)).collect();
        list.sort_by(|one, two| two.1.cmp(&one.1).then_with(|| one.0.cmp(&two.0)));
        list
    }
}
