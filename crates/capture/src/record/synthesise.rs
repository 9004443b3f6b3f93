use std::net::{IpAddr, Ipv6Addr};

use l7trace_event::{Endpoint, Flags, Segment, Tuple};

use crate::decode::header_checksum;
use crate::note::unix_stand_in;

/// How many payload bytes a made packet stands for at most.
const STEP: usize = 65_000;

/// One packet made of a segment.
pub(super) struct Made<'a> {
    /// IP and TCP headers.
    pub(super) headers: Vec<u8>,
    /// The payload.
    pub(super) bytes: &'a [u8],
    /// How long the packet would have been.
    pub(super) length: u32,
}

/// Makes the packets that would have carried a segment: a SYN by itself, the bytes and what is
/// missing after them in steps below 64 KB, FIN with the last of them, a RST by itself.
///
/// IPv4 headers have their checksum; TCP's is left 0, as it cannot be known where bytes are missing.
pub(super) fn packets<'a>(tuple: Tuple, segment: &Segment<'a>, mut each: impl FnMut(Made<'a>)) {
    let headers = Headers::of(tuple);
    let flags = segment.flags;
    let mut position = segment.position;
    let acknowledged = segment.acknowledged;
    if flags.has(Flags::OPEN) {
        each(headers.packet(position, acknowledged, SYN, &[], 0));
        position = position.wrapping_add(1);
    }
    let (mut bytes, mut missing) = (segment.bytes, segment.missing as usize);
    let end = if flags.has(Flags::END) { FIN } else { 0 };
    let only_opens = flags.has(Flags::OPEN) && end == 0;
    let only_resets = flags.has(Flags::RESET) && end == 0;
    loop {
        let (now, rest) = bytes.split_at(bytes.len().min(STEP));
        let gap = missing.min(STEP - now.len());
        (bytes, missing) = (rest, missing - gap);
        let moved = now.len() + gap;
        let last = bytes.is_empty() && missing == 0;
        if moved > 0 || !(only_opens || only_resets) {
            each(headers.packet(position, acknowledged, if last { end } else { 0 }, now, gap));
        }
        position = position.wrapping_add(moved as u32);
        if last {
            break;
        }
    }
    if flags.has(Flags::RESET) {
        let position = if end == 0 { position } else { position.wrapping_add(1) };
        each(headers.packet(position, acknowledged, RST, &[], 0));
    }
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PUSH: u8 = 8;
const ACK: u8 = 16;

/// What all packets of a direction have in common.
struct Headers {
    source: IpAddr,
    destination: IpAddr,
    ports: [u16; 2],
}

impl Headers {
    fn of(tuple: Tuple) -> Headers {
        let (mut source, mut destination) = (address(tuple.source), address(tuple.destination));
        if source.is_ipv4() != destination.is_ipv4() {
            (source, destination) = (IpAddr::V6(mapped(source)), IpAddr::V6(mapped(destination)));
        }
        Headers { source, destination, ports: [tuple.source.port(), tuple.destination.port()] }
    }

    fn packet<'a>(&self, position: u32, acknowledged: Option<u32>, flags: u8, bytes: &'a [u8], gap: usize) -> Made<'a> {
        let payload = bytes.len() + gap;
        let mut headers = Vec::with_capacity(60);
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let total = ((40 + payload) as u16).to_be_bytes();
                headers.extend_from_slice(&[0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, 6, 0, 0]);
                headers.extend_from_slice(&source.octets());
                headers.extend_from_slice(&destination.octets());
                let checksum = header_checksum(&headers);
                headers[10..12].copy_from_slice(&checksum.to_be_bytes());
            }
            (source, destination) => {
                let length = ((20 + payload) as u16).to_be_bytes();
                headers.extend_from_slice(&[0x60, 0, 0, 0, length[0], length[1], 6, 64]);
                headers.extend_from_slice(&mapped(source).octets());
                headers.extend_from_slice(&mapped(destination).octets());
            }
        }
        let bits = flags | if acknowledged.is_some() { ACK } else { 0 } | if payload > 0 { PUSH } else { 0 };
        headers.extend_from_slice(&self.ports[0].to_be_bytes());
        headers.extend_from_slice(&self.ports[1].to_be_bytes());
        headers.extend_from_slice(&position.to_be_bytes());
        headers.extend_from_slice(&acknowledged.unwrap_or(0).to_be_bytes());
        headers.extend_from_slice(&[0x50, bits, 0xff, 0xff, 0, 0, 0, 0]);
        let length = (headers.len() + payload) as u32;
        Made { headers, bytes, length }
    }
}

fn address(end: Endpoint) -> IpAddr {
    match (end.ip(), end.unix_identity()) {
        (Some(ip), _) => ip,
        (None, identity) => IpAddr::V6(Ipv6Addr::from(unix_stand_in(identity.unwrap_or(0)))),
    }
}

fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}
