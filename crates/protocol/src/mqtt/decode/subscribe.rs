//! SUBSCRIBE, UNSUBSCRIBE and their answers (sections 3.8 to 3.11 of each version).

use std::borrow::Cow;

use super::{Decoded, Packet, packet_id, properties};
use crate::mqtt::cursor::{Cursor, Malformed, text_value};
use crate::mqtt::packet::Kind;
use crate::mqtt::reason;
use crate::mqtt::version::Level;
use crate::{Message, Value};

pub(super) fn subscribe(
    packet: &Packet<'_>,
    cursor: &mut Cursor<'_>,
    message: &mut Message,
    decoded: &mut Decoded,
) -> Result<(), Malformed> {
    packet_id(cursor, message, decoded)?;
    message.fact("packet_id", u64::from(decoded.packet_id.unwrap_or_default()));
    properties(packet, cursor, message, decoded)?;
    let mut subscriptions = Vec::new();
    let done = loop {
        if cursor.is_empty() {
            break Ok(());
        }
        match subscription(packet, cursor, message) {
            Ok((filter, subscription)) => {
                decoded.filters.push(filter);
                subscriptions.push(subscription);
            }
            Err(wrong) => break Err(wrong),
        }
    };
    if subscriptions.is_empty() && done.is_ok() {
        message.note("no topic filter");
    }
    message.attribute("subscriptions", Value::List(subscriptions));
    done?;
    name_filters(message, decoded);
    Ok(())
}

fn subscription(
    packet: &Packet<'_>,
    cursor: &mut Cursor<'_>,
    message: &mut Message,
) -> Result<(Vec<u8>, Value), Malformed> {
    let filter = filter(cursor, message)?;
    let options = cursor.byte()?;
    let mut subscription: Vec<(Cow<'static, str>, Value)> =
        vec![("filter".into(), text_value(filter)), ("qos".into(), Value::Unsigned(u64::from(options & 3)))];
    if let Some(group) = share_of(filter) {
        subscription.push(("share".into(), text_value(group)));
    }
    if packet.level == Level::Five {
        subscription.push(("no_local".into(), Value::Bool(options & 4 != 0)));
        subscription.push(("retain_as_published".into(), Value::Bool(options & 8 != 0)));
        subscription.push(("retain_handling".into(), Value::Unsigned(u64::from((options >> 4) & 3))));
    }
    let reserved = if packet.level == Level::Five { 0xc0 } else { 0xfc };
    if options & reserved != 0 || options & 3 == 3 || options & 0x30 == 0x30 {
        message.note("subscription options that are not allowed");
    }
    Ok((filter.to_vec(), Value::Map(subscription)))
}

/// The group of a shared subscription: `$share/group/filter`.
fn share_of(filter: &[u8]) -> Option<&[u8]> {
    let rest = filter.strip_prefix(b"$share/")?;
    rest.split(|byte| *byte == b'/').next().filter(|group| !group.is_empty() && group.len() < rest.len())
}

pub(super) fn unsubscribe(
    packet: &Packet<'_>,
    cursor: &mut Cursor<'_>,
    message: &mut Message,
    decoded: &mut Decoded,
) -> Result<(), Malformed> {
    packet_id(cursor, message, decoded)?;
    message.fact("packet_id", u64::from(decoded.packet_id.unwrap_or_default()));
    properties(packet, cursor, message, decoded)?;
    if cursor.is_empty() {
        message.note("no topic filter");
    }
    let mut filters = Vec::new();
    while !cursor.is_empty() {
        let filter = filter(cursor, message)?;
        decoded.filters.push(filter.to_vec());
        filters.push(text_value(filter));
    }
    message.attribute("filters", Value::List(filters));
    name_filters(message, decoded);
    Ok(())
}

fn filter<'a>(cursor: &mut Cursor<'a>, message: &mut Message) -> Result<&'a [u8], Malformed> {
    let filter = cursor.data()?;
    if filter.is_empty() {
        message.note("an empty topic filter");
    } else if std::str::from_utf8(filter).is_err() {
        message.note("a topic filter is not UTF-8");
    } else if filter.contains(&0) {
        message.note("a NUL in a topic filter");
    }
    Ok(filter)
}

/// The filters as the resource: told only where all of them are known.
fn name_filters(message: &mut Message, decoded: &Decoded) {
    if !decoded.filters.is_empty() {
        message.set_resource(&decoded.filters.join(&b','));
    }
}

/// SUBACK and UNSUBACK: a reason code for each filter (UNSUBACK: from version 5 on).
pub(super) fn answer(
    packet: &Packet<'_>,
    cursor: &mut Cursor<'_>,
    message: &mut Message,
    decoded: &mut Decoded,
) -> Result<(), Malformed> {
    packet_id(cursor, message, decoded)?;
    properties(packet, cursor, message, decoded)?;
    let kind = packet.header.kind;
    if kind == Kind::Unsuback && packet.level != Level::Five {
        return Ok(());
    }
    if cursor.is_empty() {
        message.note("no reason code");
    }
    while !cursor.is_empty() {
        let code = cursor.byte()?;
        decoded.reasons.push(code);
        message.failed |= reason::is_failure(kind, code, packet.level);
        let known = match reason::name(kind, code, packet.level) {
            // Success is an UNSUBACK's word, and that there was no subscription too.
            Some(_) if packet.level == Level::Five => match kind {
                Kind::Suback => code <= 2 || code >= 0x80,
                _ => matches!(code, 0 | 0x11) || code >= 0x80,
            },
            known => known.is_some(),
        };
        if !known {
            message.note("a reason code that the standard does not know");
        }
    }
    Ok(())
}
