//! pcapng blocks (draft-ietf-opsawg-pcapng), little-endian, appended to a buffer.

use crate::decode::LinkType;
use crate::note;

/// The longest packet that Wireshark takes.
pub(super) const LONGEST_PACKET: usize = 262_144;

const END_OF_OPTIONS: u16 = 0;
const COMMENT: u16 = 1;
const APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const TIME_RESOLUTION: u16 = 9;
const STATISTICS_START: u16 = 2;
const STATISTICS_END: u16 = 3;
const STATISTICS_RECEIVED: u16 = 4;
const STATISTICS_DROPPED: u16 = 7;

/// A section header of unknown length.
pub(super) fn section(to: &mut Vec<u8>, application: &str) {
    block(to, 0x0a0d_0d0a, |body| {
        body.extend_from_slice(&0x1a2b_3c4du32.to_le_bytes());
        body.extend_from_slice(&[1, 0, 0, 0]);
        body.extend_from_slice(&u64::MAX.to_le_bytes());
        option(body, APPLICATION, application.as_bytes());
        option(body, END_OF_OPTIONS, &[]);
    });
}

/// An interface with time stamps in nanoseconds.
pub(super) fn interface(to: &mut Vec<u8>, name: &str, comment: &str) {
    block(to, 1, |body| {
        body.extend_from_slice(&(LinkType::RAW.0 as u16).to_le_bytes());
        body.extend_from_slice(&[0, 0]);
        body.extend_from_slice(&(LONGEST_PACKET as u32).to_le_bytes());
        option(body, INTERFACE_NAME, name.as_bytes());
        option(body, TIME_RESOLUTION, &[9]);
        option(body, COMMENT, comment.as_bytes());
        option(body, END_OF_OPTIONS, &[]);
    });
}

/// A packet, given in two parts; `length` is what it had on the wire.
pub(super) fn packet(to: &mut Vec<u8>, interface: u32, at: u64, [head, tail]: [&[u8]; 2], length: u32, comment: &str) {
    block(to, 6, |body| {
        body.extend_from_slice(&interface.to_le_bytes());
        time(body, at);
        body.extend_from_slice(&((head.len() + tail.len()) as u32).to_le_bytes());
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(head);
        body.extend_from_slice(tail);
        pad(body, head.len() + tail.len());
        if !comment.is_empty() {
            option(body, COMMENT, comment.as_bytes());
            option(body, END_OF_OPTIONS, &[]);
        }
    });
}

/// A custom block that tools may copy.
pub(super) fn custom(to: &mut Vec<u8>, text: &str) {
    block(to, 0x0bad, |body| {
        body.extend_from_slice(&note::ENTERPRISE.to_le_bytes());
        body.extend_from_slice(text.as_bytes());
        pad(body, text.len());
    });
}

/// What an interface counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Statistics {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) received: u64,
    pub(super) dropped: u64,
}

/// Interface statistics.
pub(super) fn statistics(to: &mut Vec<u8>, interface: u32, statistics: Statistics) {
    block(to, 5, |body| {
        body.extend_from_slice(&interface.to_le_bytes());
        time(body, statistics.last);
        for (code, at) in [(STATISTICS_START, statistics.first), (STATISTICS_END, statistics.last)] {
            let mut bytes = Vec::with_capacity(8);
            time(&mut bytes, at);
            option(body, code, &bytes);
        }
        option(body, STATISTICS_RECEIVED, &statistics.received.to_le_bytes());
        option(body, STATISTICS_DROPPED, &statistics.dropped.to_le_bytes());
        option(body, END_OF_OPTIONS, &[]);
    });
}

/// The upper half of a time stamp comes first, whatever the byte order.
fn time(body: &mut Vec<u8>, at: u64) {
    body.extend_from_slice(&((at >> 32) as u32).to_le_bytes());
    body.extend_from_slice(&(at as u32).to_le_bytes());
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..usize::from(u16::MAX) - 3).unwrap_or(value);
    body.extend_from_slice(&code.to_le_bytes());
    body.extend_from_slice(&(value.len() as u16).to_le_bytes());
    body.extend_from_slice(value);
    pad(body, value.len());
}

fn pad(body: &mut Vec<u8>, length: usize) {
    body.extend_from_slice(&[0; 3][..(4 - length % 4) % 4]);
}

/// Type, length, what `fill` appends (a multiple of 4 bytes), length again.
fn block(to: &mut Vec<u8>, kind: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = to.len();
    to.extend_from_slice(&kind.to_le_bytes());
    to.extend_from_slice(&[0; 4]);
    fill(to);
    let length = ((to.len() - start + 4) as u32).to_le_bytes();
    if let Some(place) = to.get_mut(start + 4..start + 8) {
        place.copy_from_slice(&length);
    }
    to.extend_from_slice(&length);
}
