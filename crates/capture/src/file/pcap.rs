use l7trace_event::Timestamp;

use super::format::{LONGEST_RECORD, Order, Parsed, Wrong, packet, unknown_link};
use super::frame::{Frame, Span};
use crate::decode::LinkType;

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Alexey Kuznetsov's patched libpcap: records have 8 bytes more of header.
const KUZNETSOV: u32 = 0xa1b2_cd34;

/// The classic format (draft-ietf-opsawg-pcap): a file header of 24 bytes; records of seconds,
/// fraction, captured length and length on the wire, then the packet.
#[derive(Debug)]
pub(super) struct Pcap {
    order: Order,
    /// Nanoseconds in a unit of the fraction.
    unit: u64,
    record_header: usize,
    /// Versions before 2.4 have the two lengths the other way round, some of the time.
    may_swap_lengths: bool,
    link: LinkType,
}

impl Pcap {
    pub(super) fn is_magic(magic: [u8; 4]) -> bool {
        order(magic).is_some()
    }

    pub(super) fn new(header: &[u8; 24]) -> Result<Pcap, Wrong> {
        let [m0, m1, m2, m3, ..] = *header;
        let wrong = || Wrong::Broken("its header cannot be read".to_owned());
        let (order, magic) = order([m0, m1, m2, m3]).ok_or_else(wrong)?;
        let minor = order.u16(header, 6).ok_or_else(wrong)?;
        // The uppermost bits tell of the frame check sequence.
        let link = LinkType(order.u32(header, 20).ok_or_else(wrong)? & 0x03ff_ffff);
        if !link.is_known() {
            return Err(unknown_link(link));
        }
        Ok(Pcap {
            order,
            unit: if magic == NANOSECONDS { 1 } else { 1000 },
            record_header: if magic == KUZNETSOV { 24 } else { 16 },
            may_swap_lengths: minor < 4,
            link,
        })
    }

    pub(super) fn parse(&mut self, bytes: &[u8], at: usize, frames: &mut Vec<Frame>) -> Result<Parsed, Wrong> {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(header) = rest.first_chunk::<16>() else {
            return Ok(Parsed::Needs(self.record_header));
        };
        let number = |at| self.order.u32(header, at).unwrap_or(0);
        let (seconds, fraction, mut captured, mut length) = (number(0), number(4), number(8), number(12));
        if self.may_swap_lengths && captured > length {
            std::mem::swap(&mut captured, &mut length);
        }
        let taken = captured as usize;
        if taken > LONGEST_RECORD {
            return Err(Wrong::Broken(format!("a record claims {captured} bytes")));
        }
        let whole = self.record_header + taken;
        if rest.len() < whole {
            return Ok(Parsed::Needs(whole));
        }
        let time = Timestamp(u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.unit);
        let span = Span::new(at + self.record_header, taken);
        frames.push(packet(self.link, 0, time, span, length.max(captured)));
        Ok(Parsed::Took(whole))
    }
}

fn order(magic: [u8; 4]) -> Option<(Order, u32)> {
    let known = |magic: &u32| matches!(*magic, MICROSECONDS | NANOSECONDS | KUZNETSOV);
    let little = Some(u32::from_le_bytes(magic)).filter(known).map(|magic| (Order::Little, magic));
    little.or_else(|| Some(u32::from_be_bytes(magic)).filter(known).map(|magic| (Order::Big, magic)))
}
