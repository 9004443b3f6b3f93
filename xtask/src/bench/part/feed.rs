//! A capture of downloads that is written to standard output and was never a file: one block of
//! packets, again and again, each time with other addresses and later times.

use std::io::Write;

use anyhow::Context;

/// What one segment carries.
const SEGMENT: usize = 1_448;
/// The length of each body.
const BODY: usize = 1 << 20;
/// Downloads in a block: it stays in the cache of the processor that writes it.
const DOWNLOADS: usize = 2;
/// Of the first packet: 2026-11-22T10:00:00Z.
const START: u64 = 1_795_341_600_000_000_000;
/// Of the frame in front of the segment: Ethernet, IPv4, TCP.
const HEADERS: usize = 14 + 20 + 20;
const SYN: u8 = 2;
const FIN: u8 = 1;
const ACK: u8 = 16;

/// Writes at least so many bytes of capture, in whole downloads, and says on standard error how many
/// bytes and downloads it were.
pub(super) fn play(least: u64) -> anyhow::Result<()> {
    let mut block = Block::default();
    for number in 0..DOWNLOADS {
        block.download(number);
    }
    let mut output = std::io::stdout().lock();
    // The bigger the pipe, the less often its two ends wait for one another.
    let _ = rustix::pipe::fcntl_setpipe_size(&output, 1 << 20);
    output.write_all(&header())?;
    let (mut written, mut downloads) = (0, 0);
    for round in 0.. {
        if written >= least {
            break;
        }
        block.set_round(u16::try_from(round + 1).context("too many bytes")?);
        output.write_all(&block.bytes)?;
        written += block.bytes.len() as u64;
        downloads += DOWNLOADS;
    }
    output.flush()?;
    eprintln!("{written} {downloads}");
    Ok(())
}

/// Of a pcap file with nanoseconds.
fn header() -> [u8; 24] {
    let mut header = [0; 24];
    let words = [0xa1b2_3c4d, 0x0004_0002, 0, 0, 262_144, 1];
    for (place, word) in header.chunks_mut(4).zip(words) {
        place.copy_from_slice(&u32::to_le_bytes(word));
    }
    header
}

#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    /// Where each packet begins.
    packets: Vec<usize>,
}

impl Block {
    /// A connection with one download. Its client is `10.0.x.y`, of which a round sets x and y.
    fn download(&mut self, number: usize) {
        let client = 20_000 + number as u16;
        let request = format!("GET /download/{number} HTTP/1.1\r\nHost: load.example\r\n\r\n");
        let mut response = format!("HTTP/1.1 200 OK\r\nServer: load\r\nContent-Length: {BODY}\r\n\r\n").into_bytes();
        response.extend((0..BODY).map(|index| b'a' + (index % 26) as u8));
        let mut next = [1_000u32, 9_000];
        let mut say = |from: usize, bits: u8, payload: &[u8]| {
            self.packet(from, client, [next[from], next[1 - from]], bits, payload);
            next[from] = next[from].wrapping_add(payload.len() as u32 + u32::from(bits & (SYN | FIN) != 0));
        };
        say(0, SYN, &[]);
        say(1, SYN | ACK, &[]);
        say(0, ACK, &[]);
        say(0, ACK, request.as_bytes());
        for (index, part) in response.chunks(SEGMENT).enumerate() {
            say(1, ACK, part);
            if index % 2 == 1 {
                say(0, ACK, &[]);
            }
        }
        say(1, FIN | ACK, &[]);
        say(0, FIN | ACK, &[]);
        say(1, ACK, &[]);
    }

    fn packet(&mut self, from: usize, client: u16, [sequence, acknowledgement]: [u32; 2], bits: u8, payload: &[u8]) {
        self.packets.push(self.bytes.len());
        let length = (HEADERS + payload.len()) as u32;
        for word in [0, 0, length, length] {
            self.bytes.extend_from_slice(&u32::to_le_bytes(word));
        }
        self.bytes.extend_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0]);
        self.bytes.extend_from_slice(&((length - 14) as u16).to_be_bytes());
        self.bytes.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0]);
        let addresses = [[10, 0, 0, 0], [10, 200, 0, 1]];
        let ports = [client, 80];
        self.bytes.extend_from_slice(&addresses[from]);
        self.bytes.extend_from_slice(&addresses[1 - from]);
        self.bytes.extend_from_slice(&ports[from].to_be_bytes());
        self.bytes.extend_from_slice(&ports[1 - from].to_be_bytes());
        self.bytes.extend_from_slice(&sequence.to_be_bytes());
        let acknowledgement = if bits & ACK == 0 { 0 } else { acknowledgement };
        self.bytes.extend_from_slice(&acknowledgement.to_be_bytes());
        self.bytes.extend_from_slice(&[0x50, bits, 0xff, 0xff, 0, 0, 0, 0]);
        self.bytes.extend_from_slice(payload);
    }

    /// Makes other connections of the block's.
    fn set_round(&mut self, round: u16) {
        let [high, low] = round.to_be_bytes();
        let mut at = START + u64::from(round) * self.packets.len() as u64 * 1_000;
        for &start in &self.packets {
            at += 1_000;
            let packet = &mut self.bytes[start..start + 16 + HEADERS];
            packet[..4].copy_from_slice(&((at / 1_000_000_000) as u32).to_le_bytes());
            packet[4..8].copy_from_slice(&((at % 1_000_000_000) as u32).to_le_bytes());
            let source = 16 + 14 + 12;
            // The client's address is 10.0.x.y, the server's is not.
            let client = if packet[source + 1] == 0 { source } else { source + 4 };
            packet[client + 2] = high;
            packet[client + 3] = low;
        }
    }
}
