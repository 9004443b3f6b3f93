//! CONNECT and CONNACK (section 3.1 and 3.2 of each version).

use std::borrow::Cow;

use super::{Decoded, Packet, properties, tell_reason};
use crate::mqtt::cursor::{Cursor, Malformed, text_value};
use crate::mqtt::properties::{Carrier, Properties};
use crate::mqtt::version::Level;
use crate::{Message, Value};

pub(super) fn connect(
    packet: &Packet<'_>,
    cursor: &mut Cursor<'_>,
    message: &mut Message,
    decoded: &mut Decoded,
) -> Result<(), Malformed> {
    let name = cursor.data()?;
    message.attribute("protocol_name", text_value(name));
    let byte = cursor.byte()?;
    // Bridges between brokers (of mosquitto's kind) set the highest bit.
    let level = Level::of(name, byte & 0x7f);
    match level {
        Some(level) => message.attribute("version", level.name()),
        None => {
            message.attribute("level", u64::from(byte));
            message.note("a protocol name or level that no version of MQTT has");
        }
    }
    decoded.level = level;
    if byte & 0x80 != 0 {
        message.attribute("bridge", true);
    }
    let flags = Flags(cursor.byte()?);
    let five = level == Some(Level::Five);
    message.attribute(if five { "clean_start" } else { "clean_session" }, flags.has(0x02));
    message.attribute("keep_alive", u64::from(cursor.two_bytes()?));
    if flags.has(0x01) {
        message.note("the reserved connect flag is set");
    }
    let packet = Packet { level: level.unwrap_or(Level::FourOrThree), ..*packet };
    properties(&packet, cursor, message, decoded)?;
    let client_id = cursor.data()?;
    if !client_id.is_empty() {
        message.set_resource(client_id);
    }
    if flags.has(0x04) {
        let will = will(&packet, flags, cursor)?;
        message.attribute("will", will);
    } else if flags.0 & 0x38 != 0 {
        message.note("the will's flags are set without a will");
    }
    if flags.has(0x80) {
        message.attribute("username", text_value(cursor.data()?));
    }
    if flags.has(0x40) {
        message.attribute("password", Value::Secret(cursor.data()?.to_vec()));
        if !flags.has(0x80) && !five {
            message.note("a password without a user name");
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Flags(u8);

impl Flags {
    fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
}

fn will(packet: &Packet<'_>, flags: Flags, cursor: &mut Cursor<'_>) -> Result<Value, Malformed> {
    let properties = match packet.level {
        Level::Five => Properties::read(cursor, Carrier::Will)?.named,
        _ => Vec::new(),
    };
    let topic = cursor.data()?;
    let payload = cursor.data()?;
    let mut will: Vec<(Cow<'static, str>, Value)> = vec![
        ("topic".into(), text_value(topic)),
        ("qos".into(), Value::Unsigned(u64::from((flags.0 >> 3) & 3))),
        ("retain".into(), Value::Bool(flags.has(0x20))),
        ("body_bytes".into(), Value::Unsigned(payload.len() as u64)),
    ];
    if packet.body_limit > 0 {
        let kept = payload.get(..packet.body_limit).unwrap_or(payload);
        will.push(("body".into(), Value::Bytes(kept.to_vec())));
    }
    if !properties.is_empty() {
        will.push(("properties".into(), Value::Map(properties)));
    }
    Ok(Value::Map(will))
}

pub(super) fn connack(
    packet: &Packet<'_>,
    cursor: &mut Cursor<'_>,
    message: &mut Message,
    decoded: &mut Decoded,
) -> Result<(), Malformed> {
    let flags = cursor.byte()?;
    message.attribute("session_present", flags & 1 != 0);
    if flags > 1 {
        message.note("reserved acknowledge flags are set");
    }
    let code = cursor.byte()?;
    // A server that does not speak version 5 says so in the terms of what it does speak.
    if packet.level == Level::Five && cursor.is_empty() {
        message.note("no properties: an answer in the terms of an earlier version");
        tell_reason(&Packet { level: Level::FourOrThree, ..*packet }, code, message, decoded);
        return Ok(());
    }
    tell_reason(packet, code, message, decoded);
    properties(packet, cursor, message, decoded)
}
