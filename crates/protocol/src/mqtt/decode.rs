//! From the bytes of a packet to the fields of a message.
//!
//! One decoder serves three ends: what is shown of a packet, whether bytes are MQTT at all, and
//! which version they are of. For the latter two, a packet that needs no note is one that the
//! standard allows.

mod acknowledgement;
mod connect;
mod publish;
mod subscribe;

use l7trace_event::Direction;

use super::cursor::{Cursor, Malformed};
use super::packet::{Header, Kind};
use super::properties::{Carrier, Properties};
use super::reason;
use super::version::Level;
use crate::{Message, Role, Value};

pub(super) use publish::header_length as publish_header_length;

/// A packet, or as much of it as is there.
#[derive(Clone, Copy)]
pub(super) struct Packet<'a> {
    pub(super) header: Header,
    /// Its bytes after the fixed header; of a PUBLISH those before the payload suffice.
    pub(super) body: &'a [u8],
    /// Which version to read it as; a CONNECT says its own.
    pub(super) level: Level,
    /// How much of a payload to keep.
    pub(super) body_limit: usize,
}

/// What a packet says to the parser, beside what it says to people.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) packet_id: Option<u16>,
    /// A CONNECT's version.
    pub(super) level: Option<Level>,
    pub(super) reason: Option<u8>,
    pub(super) topic_alias: Option<u16>,
    /// Whether a PUBLISH says its topic itself.
    pub(super) has_topic: bool,
    /// Where a PUBLISH's payload begins in the body.
    pub(super) payload_at: usize,
    /// The filters of a SUBSCRIBE or UNSUBSCRIBE.
    pub(super) filters: Vec<Vec<u8>>,
    /// The reason codes of a SUBACK or UNSUBACK.
    pub(super) reasons: Vec<u8>,
}

/// Puts a packet's fields into a message. Where it breaks off or breaks the rules, what came before
/// stays.
pub(super) fn decode(packet: &Packet<'_>, message: &mut Message, decoded: &mut Decoded) -> Result<(), Malformed> {
    let mut cursor = Cursor::new(packet.body);
    if let Some(flags) = packet.header.kind.fixed_flags()
        && packet.header.flags != flags
    {
        message.note(format!("reserved flags are {:#x} where {flags:#x} is due", packet.header.flags));
    }
    match packet.header.kind {
        Kind::Connect => connect::connect(packet, &mut cursor, message, decoded)?,
        Kind::Connack => connect::connack(packet, &mut cursor, message, decoded)?,
        Kind::Publish => return publish::header(packet, &mut cursor, message, decoded),
        Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp => {
            acknowledgement::of_publish(packet, &mut cursor, message, decoded)?;
        }
        Kind::Subscribe => subscribe::subscribe(packet, &mut cursor, message, decoded)?,
        Kind::Unsubscribe => subscribe::unsubscribe(packet, &mut cursor, message, decoded)?,
        Kind::Suback | Kind::Unsuback => subscribe::answer(packet, &mut cursor, message, decoded)?,
        Kind::Disconnect | Kind::Auth => acknowledgement::of_connection(packet, &mut cursor, message, decoded)?,
        Kind::Pingreq | Kind::Pingresp => {}
        Kind::Reserved => return Err(Malformed::Wrong("packet type 0 is reserved")),
    }
    if cursor.is_empty() { Ok(()) } else { Err(Malformed::Wrong("bytes after the packet's last field")) }
}

/// Whether a packet that is all there (of a PUBLISH: its header) is what the standard allows at
/// this level; with the number of its reason codes, where it has any.
pub(super) fn is_proper(packet: &Packet<'_>, direction: Direction) -> Option<Decoded> {
    let mut scratch = Message::new("mqtt", direction, Role::OneWay);
    let mut decoded = Decoded::default();
    let done = decode(packet, &mut scratch, &mut decoded);
    (done.is_ok() && scratch.notes.is_empty()).then_some(decoded)
}

/// Reads the properties where the version has them.
fn properties(
    packet: &Packet<'_>,
    cursor: &mut Cursor<'_>,
    message: &mut Message,
    decoded: &mut Decoded,
) -> Result<(), Malformed> {
    if packet.level != Level::Five {
        return Ok(());
    }
    let properties = Properties::read(cursor, Carrier::Packet(packet.header.kind))?;
    decoded.topic_alias = properties.topic_alias;
    if let Some(wrong) = properties.wrong {
        message.note(wrong);
    }
    if !properties.named.is_empty() {
        message.attribute("properties", Value::Map(properties.named));
    }
    Ok(())
}

/// Says a reason code by number and name, and whether it is a failure.
fn tell_reason(packet: &Packet<'_>, code: u8, message: &mut Message, decoded: &mut Decoded) {
    let kind = packet.header.kind;
    decoded.reason = Some(code);
    message.attribute("reason_code", u64::from(code));
    match reason::name(kind, code, packet.level) {
        Some(name) => message.attribute("reason", name),
        None => message.note("a reason code that the standard does not know"),
    }
    message.failed |= reason::is_failure(kind, code, packet.level);
}

/// Reads a packet id, which must not be 0.
fn packet_id(cursor: &mut Cursor<'_>, message: &mut Message, decoded: &mut Decoded) -> Result<(), Malformed> {
    let id = cursor.two_bytes()?;
    decoded.packet_id = Some(id);
    if id == 0 {
        message.note("packet id 0 is not allowed");
    }
    Ok(())
}
