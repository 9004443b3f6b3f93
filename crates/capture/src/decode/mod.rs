//! Packets become TCP events: one decoder for live packets and for capture files.
//!
//! Each layer is a function from a `Wire` (captured bytes with their length on the wire) to the
//! `Next` layer within it. [`PacketDecoder`] walks from layer to layer in a loop, so that nesting
//! costs no stack and is limited by one number. Headers are read leniently: what is there counts,
//! whatever else is wrong with the packet; checksums are not verified, since sending hosts leave
//! them to their network cards.
//!
//! Own code rather than etherparse, which gives up on what a capture cut, has no link types but
//! Ethernet and Linux cooked, no tunnels, and takes three times as long; the tests hold the two
//! against each other.

mod count;
mod ethernet;
mod fragments;
mod ip;
mod link;
mod pseudo;
mod tcp;
#[cfg(test)]
mod tests;
mod tunnel;
mod udp;
mod wifi;
mod wire;

pub use link::LinkType;

use std::net::IpAddr;

use l7trace_event::{Event, Packet, Timestamp, Witness};

pub(crate) use count::{Counts, Unread};
use fragments::Fragments;
pub(crate) use fragments::header_checksum;
use wire::Wire;

/// How many headers deep a packet is followed.
const DEPTH: u8 = 24;

/// Who saw a packet, and when.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// When it was seen.
    pub at: Timestamp,
    /// Who saw it; its place is also the interface of the [`Packet`] in the event.
    pub witness: Witness,
    /// The network namespace that it was seen in; 0 where there is none to name.
    pub namespace: u32,
}

/// Reads packets down to TCP, through tunnels, and puts IP fragments together.
#[derive(Debug, Default)]
pub struct PacketDecoder {
    fragments: Fragments,
    counts: Counts,
}

impl PacketDecoder {
    /// Reads a packet from its IPv4 or IPv6 header on. `length` is what it had on the wire from
    /// there; where fewer bytes were captured, the rest is missing (`capture_limit`).
    pub fn network(&mut self, seen: Seen, bytes: &[u8], length: u32, each: &mut dyn FnMut(&Event<'_>)) {
        self.ip(seen, Wire::new(bytes, length as usize), each);
    }

    /// Reads a packet from its link-layer header on.
    pub fn link(&mut self, link: LinkType, seen: Seen, bytes: &[u8], length: u32, each: &mut dyn FnMut(&Event<'_>)) {
        let wire = Wire::new(bytes, length as usize);
        match ethernet::plain(link, wire) {
            Some(packet) => self.ip(seen, packet, each),
            None => self.walk(seen, Layer::Link(link), wire, DEPTH, each),
        }
    }

    /// What no TCP segment was read from, by what it was, with counts, most frequent first.
    /// Ordinary traffic of other kinds begins with `not TCP: `.
    pub fn not_understood(&self) -> Vec<(String, u64)> {
        let mut counts = self.counts.clone();
        self.fragments.account(&mut counts);
        counts.list()
    }

    /// Counts something that the caller met and could not read.
    pub(crate) fn count(&mut self, what: Unread) {
        self.counts.count(what);
    }

    /// Nearly every packet is TCP right behind its IP header: that way is straight.
    #[inline]
    fn ip(&mut self, seen: Seen, wire: Wire<'_>, each: &mut dyn FnMut(&Event<'_>)) {
        match ip::read(wire) {
            Ok((ends, (Layer::Protocol(6), segment))) => {
                if let Err(what) = tcp::read(seen, &ends, segment, each) {
                    self.counts.count(what);
                }
            }
            _ => self.walk(seen, Layer::Ip, wire, DEPTH, each),
        }
    }

    #[inline(never)]
    fn walk(&mut self, seen: Seen, layer: Layer, wire: Wire<'_>, depth: u8, each: &mut dyn FnMut(&Event<'_>)) {
        let (mut layer, mut wire) = (layer, wire);
        let mut ends: Option<Ends<'_>> = None;
        for left in (0..depth).rev() {
            let step = match layer {
                Layer::Link(link) => link::read(link, wire),
                Layer::Ethernet => ethernet::read(wire),
                Layer::Ethertype(number) => ethernet::ethertype(number, wire),
                Layer::Llc => ethernet::llc(wire),
                Layer::Ppp => tunnel::ppp(wire),
                Layer::Mpls => tunnel::mpls(wire),
                Layer::WifiSubframes => {
                    wifi::subframes(wire, &mut |inner| self.walk(seen, Layer::Llc, inner, left, each));
                    return;
                }
                Layer::Ip => ip::read(wire).map(|(read, next)| {
                    ends = Some(read);
                    next
                }),
                Layer::Protocol(6) => {
                    let Some(ends) = ends else { return };
                    if let Err(what) = tcp::read(seen, &ends, wire, each) {
                        self.counts.count(what);
                    }
                    return;
                }
                Layer::Protocol(number) => tunnel::protocol(number, wire),
                Layer::Fragment(part) => {
                    let Some(ends) = ends else { return };
                    if let Some(whole) = self.fragments.add(seen, &ends, part, wire) {
                        let packet = Wire::new(&whole.bytes, whole.length);
                        self.walk(seen, Layer::Ip, packet, left, each);
                    }
                    return;
                }
            };
            match step {
                Ok((next, rest)) => (layer, wire) = (next, rest),
                Err(what) => return self.counts.count(what),
            }
        }
        self.counts.count(Unread::Bad("nested too deeply"));
    }
}

/// The kind of header that comes next.
#[derive(Clone, Copy, Debug)]
enum Layer {
    Link(LinkType),
    Ethernet,
    Ethertype(u16),
    Llc,
    Ppp,
    Mpls,
    /// IPv4 or IPv6, by the version in its first byte.
    Ip,
    /// What an IP protocol number says, within the last IP header.
    Protocol(u8),
    /// Part of an IP packet.
    Fragment(fragments::Part),
    /// Several 802.11 subframes in one frame.
    WifiSubframes,
}

/// What a layer leads to, and its bytes; or why it ends here.
type Next<'a> = Result<(Layer, Wire<'a>), Unread>;

/// The innermost IP header read so far.
#[derive(Clone, Copy, Debug)]
struct Ends<'a> {
    source: IpAddr,
    destination: IpAddr,
    /// The packet from that header on, without padding.
    packet: Wire<'a>,
}

impl Ends<'_> {
    fn packet(&self, interface: u32) -> Packet<'_> {
        let length = u32::try_from(self.packet.length).unwrap_or(u32::MAX);
        Packet { bytes: self.packet.bytes, length, interface }
    }
}
