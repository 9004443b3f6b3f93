//! PUBACK, PUBREC, PUBREL and PUBCOMP; DISCONNECT and AUTH.

use super::{Decoded, Packet, packet_id, properties, tell_reason};
use crate::Message;
use crate::mqtt::cursor::{Cursor, Malformed};
use crate::mqtt::packet::Kind;
use crate::mqtt::version::Level;

/// Sections 3.4 to 3.7 of each version: a reason code and properties may be left out where the code
/// is 0.
pub(super) fn of_publish(
    packet: &Packet<'_>,
    cursor: &mut Cursor<'_>,
    message: &mut Message,
    decoded: &mut Decoded,
) -> Result<(), Malformed> {
    packet_id(cursor, message, decoded)?;
    if packet.level != Level::Five {
        return Ok(());
    }
    let code = if cursor.is_empty() { 0 } else { cursor.byte()? };
    tell_reason(packet, code, message, decoded);
    let known = match packet.header.kind {
        Kind::Puback | Kind::Pubrec => matches!(code, 0 | 0x10 | 0x80..),
        _ => matches!(code, 0 | 0x92),
    };
    if !known {
        message.note("a reason code that this packet must not carry");
    }
    if cursor.is_empty() { Ok(()) } else { properties(packet, cursor, message, decoded) }
}

/// MQTT 5.0, 3.14 and 3.15; before, DISCONNECT says nothing and AUTH does not exist.
pub(super) fn of_connection(
    packet: &Packet<'_>,
    cursor: &mut Cursor<'_>,
    message: &mut Message,
    decoded: &mut Decoded,
) -> Result<(), Malformed> {
    if packet.level != Level::Five {
        if packet.header.kind == Kind::Auth {
            message.note("AUTH came with MQTT 5.0");
        }
        return Ok(());
    }
    let code = if cursor.is_empty() { 0 } else { cursor.byte()? };
    tell_reason(packet, code, message, decoded);
    let known = match packet.header.kind {
        Kind::Auth => matches!(code, 0 | 0x18 | 0x19),
        _ => matches!(code, 0 | 0x04 | 0x80..),
    };
    if !known {
        message.note("a reason code that this packet must not carry");
    }
    if cursor.is_empty() { Ok(()) } else { properties(packet, cursor, message, decoded) }
}
