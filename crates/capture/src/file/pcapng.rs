use std::collections::BTreeMap;

use l7trace_event::{SourceKind, Timestamp, Witness};

use super::format::{LONGEST_RECORD, Order, Parsed, Wrong, packet, unknown_link};
use super::frame::{Frame, Kind, Span};
use crate::decode::LinkType;
use crate::note::{self, INTERFACE_LIMIT, InterfaceNote};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const CUSTOM: [u32; 2] = [0x0000_0bad, 0x4000_0bad];

const COMMENT: u16 = 1;
const STATISTICS_DROPPED: [u16; 2] = [5, 7];
const TIME_RESOLUTION: u16 = 9;
const TIME_OFFSET: u16 = 14;

/// pcapng (draft-ietf-opsawg-pcapng): blocks of type, length, body and length again. Blocks that
/// tell nothing about packets (names, secrets, journals) are passed over.
#[derive(Debug, Default)]
pub(super) struct Pcapng {
    /// Of the current section; none before the first.
    section: Option<Order>,
    interfaces: Vec<Interface>,
    /// Time stamps are missing in simple packet blocks: they are as late as the one before.
    last: Timestamp,
    read: Read,
    /// Packets that the capturing tool dropped, as it says, by place.
    dropped: BTreeMap<u32, u64>,
}

/// Which link types were met.
#[derive(Debug, Default)]
struct Read {
    known: bool,
    unknown: Option<LinkType>,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    snap_length: u32,
    resolution: Resolution,
    /// Seconds to add.
    offset: i64,
    witness: Witness,
    /// What a recording of l7trace says of it.
    own: Option<InterfaceNote>,
}

/// The unit of an interface's time stamps.
#[derive(Clone, Copy, Debug)]
enum Resolution {
    /// 10 to the minus so many.
    Decimal(u8),
    /// 2 to the minus so many.
    Binary(u8),
}

impl Resolution {
    fn nanoseconds(self, units: u64) -> u64 {
        match self {
            Resolution::Decimal(digits @ 0..=9) => units.saturating_mul(10u64.pow(9 - u32::from(digits))),
            Resolution::Decimal(digits) => 10u64.checked_pow(u32::from(digits) - 9).map_or(0, |by| units / by),
            Resolution::Binary(bits) => {
                let shifted = (u128::from(units) * 1_000_000_000).checked_shr(u32::from(bits)).unwrap_or(0);
                u64::try_from(shifted).unwrap_or(u64::MAX)
            }
        }
    }
}

/// What a packet block says before its bytes.
struct Packet {
    interface: u32,
    at: Option<u64>,
    captured: u32,
    length: u32,
    /// How many bytes of the body come before those of the packet.
    before: usize,
}

impl Pcapng {
    pub(super) fn parse(&mut self, bytes: &[u8], at: usize, frames: &mut Vec<Frame>) -> Result<Parsed, Wrong> {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(head) = rest.first_chunk::<12>() else { return Ok(Parsed::Needs(12)) };
        let section = section_order(head);
        let order = match (section, self.section) {
            (Some(order), _) | (None, Some(order)) => order,
            (None, None) => return Err(Wrong::Broken("its first block names no byte order".to_owned())),
        };
        let broken = |what: &str| Err(Wrong::Broken(what.to_owned()));
        let (Some(kind), Some(length)) = (order.u32(head, 0), order.u32(head, 4)) else {
            return broken("a block has no header");
        };
        if kind == SECTION && section.is_none() {
            return broken("a section header names no byte order");
        }
        let whole = length as usize;
        if whole < 12 || !whole.is_multiple_of(4) {
            return Err(Wrong::Broken(format!("a block of type {kind:#010x} claims a length of {length} bytes")));
        }
        if whole > LONGEST_RECORD {
            if matches!(kind, ENHANCED_PACKET | SIMPLE_PACKET | OBSOLETE_PACKET | SECTION) {
                return Err(Wrong::Broken(format!("a block of type {kind:#010x} claims {length} bytes")));
            }
            return Ok(Parsed::Passes(u64::from(length)));
        }
        let Some(block) = rest.get(..whole) else { return Ok(Parsed::Needs(whole)) };
        if order.u32(block, whole - 4) != Some(length) {
            return Err(Wrong::Broken(format!("a block of type {kind:#010x} has two different lengths")));
        }
        let body = block.get(8..whole - 4).unwrap_or_default();
        self.block(order, kind, body, at + 8, frames)?;
        Ok(Parsed::Took(whole))
    }

    fn block(&mut self, order: Order, kind: u32, body: &[u8], at: usize, frames: &mut Vec<Frame>) -> Result<(), Wrong> {
        let short = || Wrong::Broken(format!("a block of type {kind:#010x} is too short"));
        match kind {
            SECTION => {
                let major = order.u16(body, 4).ok_or_else(short)?;
                if major != 1 {
                    return Err(Wrong::Broken(format!("a section has version {major} of the format, not 1")));
                }
                self.section = Some(order);
                self.interfaces.clear();
            }
            INTERFACE => self.interface(order, body).ok_or_else(short)??,
            ENHANCED_PACKET | OBSOLETE_PACKET | SIMPLE_PACKET => {
                let frame = match self.packet(order, kind, body, at) {
                    Some(frame) => frame,
                    None => not_a_packet(Kind::Bad, self.last),
                };
                frames.push(frame);
            }
            STATISTICS => self.statistics(order, body),
            _ if CUSTOM.contains(&kind) && order.u32(body, 0) == Some(note::ENTERPRISE) => {
                let text = body.get(4..).unwrap_or_default();
                if note::is_ours(text) {
                    let note = Span::new(at + 4, text.len());
                    frames.push(Frame { note, ..not_a_packet(Kind::Fact, self.last) });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn interface(&mut self, order: Order, body: &[u8]) -> Option<Result<(), Wrong>> {
        let link = LinkType(u32::from(order.u16(body, 0)?));
        let place = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        if place >= INTERFACE_LIMIT {
            return Some(Err(Wrong::Broken(format!("a section has more than {INTERFACE_LIMIT} interfaces"))));
        }
        let mut interface = Interface {
            link,
            snap_length: order.u32(body, 4)?,
            resolution: Resolution::Decimal(6),
            offset: 0,
            witness: Witness { source: SourceKind::File, place },
            own: None,
        };
        for (code, start, value) in options(order, body, 8) {
            match (code, value) {
                (TIME_RESOLUTION, [base, ..]) if base & 0x80 != 0 => {
                    interface.resolution = Resolution::Binary(base & 0x7f);
                }
                (TIME_RESOLUTION, [base, ..]) => interface.resolution = Resolution::Decimal(*base),
                (TIME_OFFSET, _) => {
                    interface.offset = order.u64(body, start).map_or(0, |offset| offset as i64);
                }
                (COMMENT, text) => {
                    if let Some(note) = InterfaceNote::parse(text) {
                        interface.witness = note.witness;
                        interface.own = Some(note);
                    }
                }
                _ => {}
            }
        }
        match link.is_known() {
            true => self.read.known = true,
            false => self.read.unknown = self.read.unknown.or(Some(link)),
        }
        self.interfaces.push(interface);
        Some(Ok(()))
    }

    fn packet(&mut self, order: Order, kind: u32, body: &[u8], at: usize) -> Option<Frame> {
        let number = |at| order.u32(body, at);
        let time = || Some(u64::from(number(4)?) << 32 | u64::from(number(8)?));
        let packet = match kind {
            ENHANCED_PACKET => Packet {
                interface: number(0)?,
                at: Some(time()?),
                captured: number(12)?,
                length: number(16)?,
                before: 20,
            },
            OBSOLETE_PACKET => Packet {
                interface: u32::from(order.u16(body, 0)?),
                at: Some(time()?),
                captured: number(12)?,
                length: number(16)?,
                before: 20,
            },
            _ => {
                let length = number(0)?;
                let snap_length = self.interfaces.first()?.snap_length;
                let most = u32::try_from(body.len() - 4).ok()?;
                let limit = if snap_length == 0 { most } else { snap_length.min(most) };
                Packet { interface: 0, at: None, captured: length.min(limit), length, before: 4 }
            }
        };
        let interface = self.interfaces.get(packet.interface as usize)?;
        let captured = packet.captured as usize;
        let end = packet.before.checked_add(captured)?;
        if end > body.len() {
            return None;
        }
        if let Some(units) = packet.at {
            let nanoseconds = interface.resolution.nanoseconds(units);
            let offset = interface.offset.saturating_mul(1_000_000_000);
            self.last = Timestamp(nanoseconds.saturating_add_signed(offset));
        }
        let span = Span::new(at + packet.before, captured);
        let mut frame = super::format::packet(
            interface.link,
            packet.interface,
            self.last,
            span,
            packet.length.max(packet.captured),
        );
        frame.witness = interface.witness;
        if let Some(own) = interface.own {
            frame.namespace = own.namespace;
            frame.unix = own.unix;
            let comments = options(order, body, end.next_multiple_of(4)).filter(|(code, ..)| *code == COMMENT);
            for (_, start, value) in comments {
                if note::is_ours(value) {
                    frame.note = Span::new(at + start, value.len());
                }
            }
        }
        Some(frame)
    }

    /// How many packets the capturing tool says that it dropped; its last word counts. What
    /// l7trace's own recordings dropped stands in them where it happened.
    fn statistics(&mut self, order: Order, body: &[u8]) {
        let Some(id) = order.u32(body, 0) else { return };
        let Some(interface) = self.interfaces.get(id as usize) else { return };
        if interface.own.is_none() {
            let drops = options(order, body, 12).filter(|(code, ..)| STATISTICS_DROPPED.contains(code));
            let dropped = drops.filter_map(|(_, start, _)| order.u64(body, start)).fold(0u64, u64::saturating_add);
            self.dropped.insert(id, dropped);
        }
    }

    pub(super) fn end(&self) -> Result<(), Wrong> {
        match self.read.unknown {
            Some(link) if !self.read.known => Err(unknown_link(link)),
            _ => Ok(()),
        }
    }

    pub(super) fn remarks(&self) -> Vec<String> {
        let dropped = self.dropped.values().fold(0u64, |sum, count| sum.saturating_add(*count));
        match dropped {
            0 => Vec::new(),
            count => vec![format!("says that {count} packets were dropped while it was captured")],
        }
    }
}

fn not_a_packet(kind: Kind, at: Timestamp) -> Frame {
    Frame { kind, ..packet(LinkType::RAW, 0, at, Span::default(), 0) }
}

/// The byte order that a section header names: its magic number stands after type and length.
fn section_order(head: &[u8; 12]) -> Option<Order> {
    let [0x0a, 0x0d, 0x0d, 0x0a, _, _, _, _, magic @ ..] = *head else { return None };
    match magic {
        [0x4d, 0x3c, 0x2b, 0x1a] => Some(Order::Little),
        [0x1a, 0x2b, 0x3c, 0x4d] => Some(Order::Big),
        _ => None,
    }
}

/// The options at `body[at..]`: code, where the value begins, and the value.
fn options(order: Order, body: &[u8], at: usize) -> impl Iterator<Item = (u16, usize, &[u8])> {
    let mut at = at;
    std::iter::from_fn(move || {
        let (code, length) = (order.u16(body, at)?, usize::from(order.u16(body, at + 2)?));
        let start = at + 4;
        let value = body.get(start..start + length)?;
        at = (start + length).next_multiple_of(4);
        (code != 0).then_some((code, start, value))
    })
}
