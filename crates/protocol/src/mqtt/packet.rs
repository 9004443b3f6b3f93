//! The fixed header of a packet: its type, flags and length (MQTT 3.1.1 and 5.0, section 2).

use l7trace_event::Direction;

use super::cursor::{Cursor, Malformed};

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Reserved,
    Connect,
    Connack,
    Publish,
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
    Subscribe,
    Suback,
    Unsubscribe,
    Unsuback,
    Pingreq,
    Pingresp,
    Disconnect,
    Auth,
}

/// By the number on the wire.
const KINDS: [Kind; 16] = [
    Kind::Reserved,
    Kind::Connect,
    Kind::Connack,
    Kind::Publish,
    Kind::Puback,
    Kind::Pubrec,
    Kind::Pubrel,
    Kind::Pubcomp,
    Kind::Subscribe,
    Kind::Suback,
    Kind::Unsubscribe,
    Kind::Unsuback,
    Kind::Pingreq,
    Kind::Pingresp,
    Kind::Disconnect,
    Kind::Auth,
];

impl Kind {
    /// The packet's name, as operation or status.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Reserved => "RESERVED",
            Kind::Connect => "CONNECT",
            Kind::Connack => "CONNACK",
            Kind::Publish => "PUBLISH",
            Kind::Puback => "PUBACK",
            Kind::Pubrec => "PUBREC",
            Kind::Pubrel => "PUBREL",
            Kind::Pubcomp => "PUBCOMP",
            Kind::Subscribe => "SUBSCRIBE",
            Kind::Suback => "SUBACK",
            Kind::Unsubscribe => "UNSUBSCRIBE",
            Kind::Unsuback => "UNSUBACK",
            Kind::Pingreq => "PINGREQ",
            Kind::Pingresp => "PINGRESP",
            Kind::Disconnect => "DISCONNECT",
            Kind::Auth => "AUTH",
        }
    }

    /// Whether this end may send it.
    pub(super) fn may_go(self, direction: Direction) -> bool {
        match self {
            Kind::Reserved => false,
            Kind::Connect | Kind::Subscribe | Kind::Unsubscribe | Kind::Pingreq => {
                direction == Direction::ClientToServer
            }
            Kind::Connack | Kind::Suback | Kind::Unsuback | Kind::Pingresp => direction == Direction::ServerToClient,
            Kind::Publish
            | Kind::Puback
            | Kind::Pubrec
            | Kind::Pubrel
            | Kind::Pubcomp
            | Kind::Disconnect
            | Kind::Auth => true,
        }
    }

    /// The flags it must carry; a PUBLISH's mean something.
    pub(super) fn fixed_flags(self) -> Option<u8> {
        match self {
            Kind::Publish => None,
            Kind::Pubrel | Kind::Subscribe | Kind::Unsubscribe => Some(2),
            _ => Some(0),
        }
    }

    /// Lengths that the body of no packet of this kind falls short of or exceeds.
    fn lengths(self) -> (u32, u32) {
        match self {
            Kind::Reserved | Kind::Disconnect | Kind::Auth => (0, u32::MAX),
            Kind::Pingreq | Kind::Pingresp => (0, 0),
            Kind::Connect => (10, u32::MAX),
            Kind::Subscribe => (6, u32::MAX),
            Kind::Unsubscribe => (5, u32::MAX),
            Kind::Suback => (3, u32::MAX),
            Kind::Publish
            | Kind::Connack
            | Kind::Puback
            | Kind::Pubrec
            | Kind::Pubrel
            | Kind::Pubcomp
            | Kind::Unsuback => (2, u32::MAX),
        }
    }
}

/// The first bytes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// The low four bits of the first byte.
    pub(super) flags: u8,
    /// How many bytes the header itself took.
    pub(super) size: usize,
    /// How many bytes follow it.
    pub(super) length: u32,
}

impl Header {
    /// The header that `bytes` begin with.
    pub(super) fn read(bytes: &[u8]) -> Result<Header, Malformed> {
        let mut cursor = Cursor::new(bytes);
        let first = cursor.byte()?;
        let length = cursor.variable()?;
        Ok(Header { kind: KINDS[usize::from(first >> 4)], flags: first & 0x0f, size: cursor.consumed(), length })
    }

    /// The whole packet's length.
    pub(super) fn total(&self) -> u64 {
        self.size as u64 + u64::from(self.length)
    }

    /// A PUBLISH's quality of service; 3 is not allowed.
    pub(super) fn qos(&self) -> u8 {
        (self.flags >> 1) & 3
    }

    /// Whether a PUBLISH says that it was sent before.
    pub(super) fn is_duplicate(&self) -> bool {
        self.flags & 8 != 0
    }

    /// Whether a PUBLISH is to be, or was, retained.
    pub(super) fn is_retained(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Whether the standard allows such a header from this end: for telling MQTT from noise.
    pub(super) fn is_plausible(&self, direction: Direction) -> bool {
        let (least, most) = self.kind.lengths();
        let flags = match self.kind.fixed_flags() {
            Some(flags) => self.flags == flags,
            // QoS 3 does not exist, and a QoS 0 message is never sent again.
            None => self.qos() != 3 && !(self.qos() == 0 && self.is_duplicate()),
        };
        flags && self.kind.may_go(direction) && (least..=most).contains(&self.length)
    }
}
