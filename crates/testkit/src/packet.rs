//! Packets, built layer by layer from the inside out.

use std::net::{IpAddr, SocketAddr};

/// The flags of a TCP header.
pub mod flags {
    /// Nothing follows.
    pub const FIN: u8 = 1;
    /// The direction opens.
    pub const SYN: u8 = 2;
    /// The connection breaks off.
    pub const RST: u8 = 4;
    /// Hand it to the application.
    pub const PSH: u8 = 8;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 16;
}

/// One TCP segment and who sends it to whom.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a> {
    /// The sender.
    pub source: SocketAddr,
    /// The receiver, whose address is of the same family.
    pub destination: SocketAddr,
    /// The sequence number.
    pub sequence: u32,
    /// The acknowledgement number.
    pub acknowledgement: u32,
    /// See [`flags`].
    pub flags: u8,
    /// What it carries.
    pub payload: &'a [u8],
}

impl Tcp<'_> {
    /// Appends the segment in an IPv4 or IPv6 packet, without a TCP checksum.
    pub fn append_ip(&self, to: &mut Vec<u8>) {
        let length = 20 + self.payload.len();
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                append_ipv4(to, source.octets(), destination.octets(), 6, length);
            }
            (source, destination) => append_ipv6(to, octets(source), octets(destination), 6, length),
        }
        self.append(to);
    }

    /// Appends the TCP header and what it carries.
    pub fn append(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.source.port().to_be_bytes());
        to.extend_from_slice(&self.destination.port().to_be_bytes());
        to.extend_from_slice(&self.sequence.to_be_bytes());
        to.extend_from_slice(&self.acknowledgement.to_be_bytes());
        to.extend_from_slice(&[0x50, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        to.extend_from_slice(self.payload);
    }

    /// The segment in an IPv4 or IPv6 packet.
    pub fn ip(&self) -> Vec<u8> {
        let mut packet = Vec::with_capacity(60 + self.payload.len());
        self.append_ip(&mut packet);
        packet
    }

    /// The segment without an IP header.
    pub fn bare(&self) -> Vec<u8> {
        let mut segment = Vec::with_capacity(20 + self.payload.len());
        self.append(&mut segment);
        segment
    }
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn append_ipv4(to: &mut Vec<u8>, source: [u8; 4], destination: [u8; 4], protocol: u8, length: usize) {
    let start = to.len();
    let total = (20 + length) as u16;
    to.extend_from_slice(&[0x45, 0]);
    to.extend_from_slice(&total.to_be_bytes());
    to.extend_from_slice(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
    to.extend_from_slice(&source);
    to.extend_from_slice(&destination);
    let sum: u32 = to[start..].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded + (folded >> 16)) as u16);
    to[start + 10..start + 12].copy_from_slice(&checksum.to_be_bytes());
}

fn append_ipv6(to: &mut Vec<u8>, source: [u8; 16], destination: [u8; 16], protocol: u8, length: usize) {
    to.extend_from_slice(&[0x60, 0, 0, 0]);
    to.extend_from_slice(&(length as u16).to_be_bytes());
    to.extend_from_slice(&[protocol, 64]);
    to.extend_from_slice(&source);
    to.extend_from_slice(&destination);
}

/// An IPv4 packet from 192.0.2.1 to 192.0.2.2.
pub fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(20 + payload.len());
    append_ipv4(&mut packet, [192, 0, 2, 1], [192, 0, 2, 2], protocol, payload.len());
    packet.extend_from_slice(payload);
    packet
}

/// An IPv6 packet from 2001:db8::1 to 2001:db8::2.
pub fn ipv6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let address = |last| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    let mut packet = Vec::with_capacity(40 + payload.len());
    append_ipv6(&mut packet, address(1), address(2), protocol, payload.len());
    packet.extend_from_slice(payload);
    packet
}

/// A UDP datagram.
pub fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    [&source.to_be_bytes()[..], &destination.to_be_bytes(), &length.to_be_bytes(), &[0, 0], payload].concat()
}

/// An Ethernet frame, not padded.
pub fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let addresses = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    [&addresses[..], &ethertype.to_be_bytes(), payload].concat()
}
