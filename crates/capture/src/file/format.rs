use l7trace_event::{SourceKind, Timestamp, Witness};

use super::frame::{Frame, Kind, Span};
use super::pcap::Pcap;
use super::pcapng::Pcapng;
use crate::decode::LinkType;

/// The longest record that is taken for one. Longer ones are skipped where the format allows it.
pub(super) const LONGEST_RECORD: usize = 16 << 20;

/// A capture file's format, with what was read of it so far.
#[derive(Debug)]
pub(super) enum Format {
    /// Nothing was read yet.
    Unknown,
    Pcap(Pcap),
    Pcapng(Box<Pcapng>),
}

/// What became of the bytes at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// So many bytes were taken.
    Took(usize),
    /// Nothing was taken; so many bytes must be there to go on.
    Needs(usize),
    /// So many bytes, more than can be held, are to be passed over.
    Passes(u64),
}

/// Why it cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The file is no capture, or one that cannot be read.
    NoCapture(String),
    /// What comes here makes no sense.
    Broken(String),
}

/// Both byte orders of a capture's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Order::Little => u16::from_le_bytes(bytes),
            Order::Big => u16::from_be_bytes(bytes),
        })
    }

    pub(super) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Order::Little => u32::from_le_bytes(bytes),
            Order::Big => u32::from_be_bytes(bytes),
        })
    }

    pub(super) fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Order::Little => u64::from_le_bytes(bytes),
            Order::Big => u64::from_be_bytes(bytes),
        })
    }
}

impl Format {
    /// Takes what it can of the record at `bytes[at..]`.
    pub(super) fn parse(&mut self, bytes: &[u8], at: usize, frames: &mut Vec<Frame>) -> Result<Parsed, Wrong> {
        match self {
            Format::Pcap(pcap) => pcap.parse(bytes, at, frames),
            Format::Pcapng(pcapng) => pcapng.parse(bytes, at, frames),
            Format::Unknown => {
                let rest = bytes.get(at..).unwrap_or_default();
                let Some(magic) = rest.first_chunk::<4>() else { return Ok(Parsed::Needs(4)) };
                if *magic == [0x0a, 0x0d, 0x0d, 0x0a] {
                    *self = Format::Pcapng(Box::default());
                    return Ok(Parsed::Took(0));
                }
                if !Pcap::is_magic(*magic) {
                    let [a, b, c, d] = magic;
                    return Err(Wrong::NoCapture(format!(
                        "is no capture: it begins with the bytes {a:02x} {b:02x} {c:02x} {d:02x}; \
                         l7trace reads pcap and pcapng files"
                    )));
                }
                let Some(header) = rest.first_chunk::<24>() else { return Ok(Parsed::Needs(24)) };
                *self = Format::Pcap(Pcap::new(header)?);
                Ok(Parsed::Took(24))
            }
        }
    }

    /// What is wrong with a file that ends here, where `left` bytes of a record are over.
    pub(super) fn end(&self, left: usize) -> Result<(), Wrong> {
        match self {
            Format::Unknown if left == 0 => Err(Wrong::NoCapture("is empty: no capture".to_owned())),
            Format::Unknown if left < 4 => {
                Err(Wrong::NoCapture("is no capture: it is shorter than a capture's first field".to_owned()))
            }
            Format::Unknown => Err(Wrong::Broken(format!("its header is cut off after {left} bytes"))),
            Format::Pcapng(pcapng) => {
                pcapng.end()?;
                cut(left, "block")
            }
            Format::Pcap(_) => cut(left, "record"),
        }
    }

    /// What the file says of itself that is worth a warning.
    pub(super) fn remarks(&self) -> Vec<String> {
        match self {
            Format::Pcapng(pcapng) => pcapng.remarks(),
            _ => Vec::new(),
        }
    }
}

fn cut(left: usize, what: &str) -> Result<(), Wrong> {
    match left {
        0 => Ok(()),
        _ => Err(Wrong::Broken(format!("the last {what} is cut off after {left} bytes"))),
    }
}

pub(super) fn unknown_link(link: LinkType) -> Wrong {
    Wrong::NoCapture(format!(
        "has link type {link}, which l7trace cannot read; it reads Ethernet, Linux cooked, loopback, raw IP, PPP, \
         802.11 and their like"
    ))
}

/// A packet of somebody else's capture.
pub(super) fn packet(link: LinkType, place: u32, at: Timestamp, bytes: Span, length: u32) -> Frame {
    Frame {
        kind: Kind::Packet(link),
        at,
        witness: Witness { source: SourceKind::File, place },
        namespace: 0,
        unix: false,
        bytes,
        length,
        note: Span::default(),
    }
}
