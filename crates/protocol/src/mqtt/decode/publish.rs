//! What stands before the payload of a PUBLISH (section 3.3 of each version).

use super::{Decoded, Packet, packet_id, properties};
use crate::Message;
use crate::mqtt::cursor::{Cursor, Malformed};
use crate::mqtt::packet::Header;
use crate::mqtt::version::Level;

/// How many bytes of the body come before the payload, told from `body` as far as it is there;
/// short where more of it is needed to tell.
pub(crate) fn header_length(header: &Header, body: &[u8], level: Level) -> Result<usize, Malformed> {
    let within = |length: usize| match u32::try_from(length) {
        Ok(short) if short <= header.length => Ok(length),
        _ => Err(Malformed::Wrong("a field runs past the end of the packet")),
    };
    within(2)?;
    let mut cursor = Cursor::new(body);
    let topic = usize::from(cursor.two_bytes()?);
    let id = if header.qos() > 0 { 2 } else { 0 };
    let before = within(2 + topic + id)?;
    if level != Level::Five {
        return Ok(before);
    }
    within(before + 1)?;
    let mut cursor = Cursor::new(body.get(before..).ok_or(Malformed::Short)?);
    let length = cursor.variable();
    if length == Err(Malformed::Short) {
        // What is missing must at least lie within the packet.
        within(body.len() + 1)?;
    }
    within(before + length? as usize + cursor.consumed())
}

pub(super) fn header(
    packet: &Packet<'_>,
    cursor: &mut Cursor<'_>,
    message: &mut Message,
    decoded: &mut Decoded,
) -> Result<(), Malformed> {
    let header = &packet.header;
    message.fact("qos", u64::from(header.qos()));
    message.attribute("dup", header.is_duplicate());
    message.attribute("retain", header.is_retained());
    match header.qos() {
        0 if header.is_duplicate() => message.note("a QoS 0 message is marked as sent before"),
        3 => message.note("QoS 3 is not allowed"),
        _ => {}
    }
    let topic = cursor.data()?;
    if !topic.is_empty() {
        message.set_resource(topic);
        decoded.has_topic = true;
        if let Some(wrong) = wrong_in_topic(topic) {
            message.note(wrong);
        }
    }
    if header.qos() > 0 {
        packet_id(cursor, message, decoded)?;
        message.fact("packet_id", u64::from(decoded.packet_id.unwrap_or_default()));
    }
    decoded.payload_at = cursor.consumed();
    properties(packet, cursor, message, decoded)?;
    decoded.payload_at = cursor.consumed();
    if decoded.topic_alias == Some(0) {
        message.note("topic alias 0 is not allowed");
        decoded.topic_alias = None;
    }
    if !decoded.has_topic && decoded.topic_alias.is_none() {
        message.note("an empty topic");
    }
    Ok(())
}

fn wrong_in_topic(topic: &[u8]) -> Option<&'static str> {
    if std::str::from_utf8(topic).is_err() {
        return Some("the topic is not UTF-8");
    }
    if topic.contains(&0) {
        return Some("a NUL in the topic");
    }
    memchr::memchr2(b'+', b'#', topic).map(|_| "a wildcard in the topic of a PUBLISH")
}
