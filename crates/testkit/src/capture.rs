//! Capture files made of conversations: small ones written out as a table, large ones generated as
//! fast as they can be written.

use std::io::{self, Write};
use std::net::SocketAddr;

use crate::packet::{Tcp, flags};
use crate::script::Random;

/// Link type Ethernet.
pub const ETHERNET: u32 = 1;
/// Link type raw IP.
pub const RAW: u32 = 101;

/// Writes a pcap file with time stamps in nanoseconds.
#[derive(Debug)]
pub struct PcapWriter<W> {
    to: W,
    packets: u64,
    bytes: u64,
}

impl<W: Write> PcapWriter<W> {
    /// Writes the file's header. `to` should be buffered.
    ///
    /// # Errors
    /// Of the writer.
    pub fn new(mut to: W, link: u32) -> io::Result<PcapWriter<W>> {
        to.write_all(&0xa1b2_3c4d_u32.to_le_bytes())?;
        to.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        to.write_all(&262_144u32.to_le_bytes())?;
        to.write_all(&link.to_le_bytes())?;
        Ok(PcapWriter { to, packets: 0, bytes: 24 })
    }

    /// Writes a packet that was `length` bytes long, at a time in nanoseconds.
    ///
    /// # Errors
    /// Of the writer.
    pub fn packet(&mut self, at: u64, bytes: &[u8], length: usize) -> io::Result<()> {
        let numbers = [(at / 1_000_000_000) as u32, (at % 1_000_000_000) as u32, bytes.len() as u32, length as u32];
        let mut header = [0; 16];
        for (place, number) in header.chunks_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        self.to.write_all(&header)?;
        self.to.write_all(bytes)?;
        self.packets += 1;
        self.bytes += 16 + bytes.len() as u64;
        Ok(())
    }

    /// Flushes and gives the writer back.
    ///
    /// # Errors
    /// Of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.to.flush()?;
        Ok(self.to)
    }
}

/// A TCP connection and what is said on it.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// Who opens it.
    pub client: SocketAddr,
    /// Who answers.
    pub server: SocketAddr,
    /// What is said, in order.
    pub turns: Vec<Turn>,
}

/// Something said by one side at once.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Who says it.
    pub from: Speaker,
    /// What.
    pub bytes: Vec<u8>,
}

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// Who opened the connection.
    Client,
    /// Who answers.
    Server,
}

/// Writes conversations one after another: opening, turns in segments of at most `segment` bytes,
/// orderly close; a microsecond between packets.
///
/// # Errors
/// Of the writer.
pub fn write<W: Write>(to: W, conversations: &[Conversation], segment: usize) -> io::Result<W> {
    let mut writer = PcapWriter::new(to, ETHERNET)?;
    let mut at = START;
    let mut burst = Burst::default();
    for conversation in conversations {
        let mut link = Link::new([conversation.client, conversation.server], 1_000);
        link.open(&mut burst);
        for turn in &conversation.turns {
            link.say(turn.from, &turn.bytes, segment, &mut burst);
        }
        link.close(&mut burst);
        burst.write(&mut writer, &mut at)?;
    }
    writer.finish()
}

/// 2026-11-22T10:00:00Z.
const START: u64 = 1_795_341_600_000_000_000;

/// A capture of many HTTP/1 exchanges over interleaved connections.
#[derive(Clone, Debug)]
pub struct Load {
    /// How many exchanges in all. The n-th, from 0, asks for `/item/n`.
    pub exchanges: u64,
    /// How many connections are open at once.
    pub connections: u64,
    /// How many exchanges a connection carries before another takes its place.
    pub exchanges_per_connection: u64,
    /// The length of each response's body.
    pub body: usize,
    /// The most that a segment carries.
    pub segment: usize,
    /// Of a thousand data segments, how many were lost on their way and come again, after those that
    /// were sent with them.
    pub lost: u64,
    /// Of a thousand data segments, how many change places with the one that follows.
    pub reordered: u64,
    /// Of a thousand data segments, how many the capture lacks.
    pub missing: u64,
    /// Whether to leave out pure acknowledgements.
    pub no_acknowledgements: bool,
    /// For another capture of the same kind.
    pub seed: u64,
}

impl Default for Load {
    fn default() -> Load {
        Load {
            exchanges: 1_000,
            connections: 32,
            exchanges_per_connection: 100,
            body: 100,
            segment: 1_448,
            lost: 0,
            reordered: 0,
            missing: 0,
            no_acknowledgements: false,
            seed: 1,
        }
    }
}

/// What [`generate`] wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections opened, all of them closed.
    pub connections: u64,
    /// Packets.
    pub packets: u64,
    /// The file's length.
    pub bytes: u64,
    /// Data segments that the capture lacks.
    pub missing: u64,
}

/// Writes a load as a pcap file. Memory grows with the connections that are open at once.
///
/// # Errors
/// Of the writer.
pub fn generate<W: Write>(load: &Load, to: W) -> io::Result<Totals> {
    let mut writer = PcapWriter::new(to, ETHERNET)?;
    let mut random = Random::new(load.seed);
    let mut totals = Totals::default();
    let (mut at, mut next) = (START, 0);
    let mut burst = Burst::default();
    let mut open: Vec<Carrier> = Vec::new();
    let response_head = format!("HTTP/1.1 200 OK\r\nServer: load\r\nContent-Length: {}\r\n\r\n", load.body);
    let mut response = response_head.into_bytes();
    response.extend((0..load.body).map(|index| b'a' + (index % 26) as u8));
    while next < load.exchanges || !open.is_empty() {
        while next < load.exchanges && (open.len() as u64) < load.connections.max(1) {
            let count = load.exchanges_per_connection.max(1).min(load.exchanges - next);
            let mut link = Link::new(ends(totals.connections), random.number() as u32);
            link.quiet = load.no_acknowledgements;
            link.open(&mut burst);
            burst.write(&mut writer, &mut at)?;
            open.push(Carrier { link, next, last: next + count, asked: false });
            totals.connections += 1;
            next += count;
        }
        let index = random.below(open.len() as u64) as usize;
        let carrier = &mut open[index];
        if carrier.asked {
            carrier.link.say(Speaker::Server, &response, load.segment, &mut burst);
            carrier.next += 1;
        } else {
            let number = carrier.next;
            let request = format!(
                "GET /item/{number} HTTP/1.1\r\nHost: load.example\r\nUser-Agent: load/1\r\nAccept: */*\r\n\r\n"
            );
            carrier.link.say(Speaker::Client, request.as_bytes(), load.segment, &mut burst);
        }
        carrier.asked = !carrier.asked;
        totals.missing += burst.spoil(load, &mut random);
        burst.write(&mut writer, &mut at)?;
        if carrier.next == carrier.last {
            carrier.link.close(&mut burst);
            burst.write(&mut writer, &mut at)?;
            open.swap_remove(index);
        }
    }
    totals.packets = writer.packets;
    totals.bytes = writer.bytes;
    writer.finish()?;
    Ok(totals)
}

/// A connection with exchanges to carry.
struct Carrier {
    link: Link,
    next: u64,
    last: u64,
    asked: bool,
}

/// A four-tuple of its own for each of the first billion connections.
fn ends(number: u64) -> [SocketAddr; 2] {
    let port = 10_000 + (number % 50_000) as u16;
    let [_, _, high, low] = ((number / 50_000) as u32).to_be_bytes();
    [SocketAddr::from(([10, 1, high, low], port)), SocketAddr::from(([10, 0, 0, 1], 80))]
}

/// The state of one connection: who has sent how much.
struct Link {
    ends: [SocketAddr; 2],
    next: [u32; 2],
    quiet: bool,
}

impl Link {
    fn new(ends: [SocketAddr; 2], sequence: u32) -> Link {
        Link { ends, next: [sequence, sequence.wrapping_add(0x1234_5678)], quiet: false }
    }

    fn open(&mut self, burst: &mut Burst) {
        self.send(Speaker::Client, flags::SYN, &[], burst);
        self.send(Speaker::Server, flags::SYN | flags::ACK, &[], burst);
        self.send(Speaker::Client, flags::ACK, &[], burst);
    }

    fn say(&mut self, from: Speaker, bytes: &[u8], segment: usize, burst: &mut Burst) {
        for part in bytes.chunks(segment.max(1)) {
            self.send(from, flags::ACK | flags::PSH, part, burst);
        }
        if !self.quiet {
            self.send(from.other(), flags::ACK, &[], burst);
        }
    }

    fn close(&mut self, burst: &mut Burst) {
        self.send(Speaker::Client, flags::FIN | flags::ACK, &[], burst);
        self.send(Speaker::Server, flags::FIN | flags::ACK, &[], burst);
        self.send(Speaker::Client, flags::ACK, &[], burst);
    }

    fn send(&mut self, from: Speaker, bits: u8, payload: &[u8], burst: &mut Burst) {
        let (own, other) = (from as usize, from.other() as usize);
        let tcp = Tcp {
            source: self.ends[own],
            destination: self.ends[other],
            sequence: self.next[own],
            acknowledgement: if bits & flags::ACK != 0 { self.next[other] } else { 0 },
            flags: bits,
            payload,
        };
        let opens_or_ends = u32::from(bits & (flags::SYN | flags::FIN) != 0);
        self.next[own] = self.next[own].wrapping_add(payload.len() as u32 + opens_or_ends);
        burst.push(&tcp);
    }
}

impl Speaker {
    fn other(self) -> Speaker {
        match self {
            Speaker::Client => Speaker::Server,
            Speaker::Server => Speaker::Client,
        }
    }
}

/// Packets that are sent together.
#[derive(Default)]
struct Burst {
    bytes: Vec<u8>,
    /// Start, end and whether it carries data.
    packets: Vec<(usize, usize, bool)>,
}

impl Burst {
    fn push(&mut self, tcp: &Tcp<'_>) {
        let start = self.bytes.len();
        let ethertype = if tcp.source.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] };
        self.bytes.extend_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
        self.bytes.extend_from_slice(&ethertype);
        tcp.append_ip(&mut self.bytes);
        self.packets.push((start, self.bytes.len(), !tcp.payload.is_empty()));
    }

    /// Does to the packets what the load asks for; gives how many are gone.
    fn spoil(&mut self, load: &Load, random: &mut Random) -> u64 {
        if load.lost + load.reordered + load.missing == 0 {
            return 0;
        }
        let mut late = Vec::new();
        let mut kept: Vec<(usize, usize, bool)> = Vec::new();
        let (mut gone, mut swap) = (0, None);
        for packet in self.packets.drain(..) {
            let dice = if packet.2 { random.below(1_000) } else { 1_000 };
            if dice < load.missing {
                gone += 1;
            } else if dice < load.missing + load.lost {
                late.push(packet);
            } else if dice < load.missing + load.lost + load.reordered && swap.is_none() {
                swap = Some(packet);
            } else {
                kept.push(packet);
                kept.extend(swap.take());
            }
        }
        kept.extend(swap);
        // What comes again does so before the whole is acknowledged.
        let data = kept.iter().rposition(|packet| packet.2).map_or(0, |last| last + 1);
        kept.splice(data..data, late);
        self.packets = kept;
        gone
    }

    fn write<W: Write>(&mut self, writer: &mut PcapWriter<W>, at: &mut u64) -> io::Result<()> {
        for (start, end, _) in self.packets.drain(..) {
            *at += 1_000;
            writer.packet(*at, &self.bytes[start..end], end - start)?;
        }
        self.bytes.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_as_large_as_it_says() {
        let load = Load { exchanges: 500, connections: 20, exchanges_per_connection: 7, ..Load::default() };
        let mut file = Vec::new();
        let totals = generate(&load, &mut file).unwrap();
        assert_eq!(totals.bytes, file.len() as u64);
        assert_eq!(totals.connections, 72);
        assert_eq!(totals.packets, 72 * 6 + 500 * 4);
        let spoilt = Load { missing: 100, lost: 50, reordered: 50, ..load };
        let mut file = Vec::new();
        let less = generate(&spoilt, &mut file).unwrap();
        assert_eq!(less.packets + less.missing, totals.packets);
        assert!((50..150).contains(&less.missing));
    }
}
