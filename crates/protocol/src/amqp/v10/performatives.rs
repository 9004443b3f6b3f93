//! The performatives, their fields by name, and the sections of a message.

use super::super::cursor::Cursor;
use super::types::described;
use crate::Value;

pub(super) const OPEN: u64 = 0x10;
pub(super) const BEGIN: u64 = 0x11;
pub(super) const ATTACH: u64 = 0x12;
pub(super) const FLOW: u64 = 0x13;
pub(super) const TRANSFER: u64 = 0x14;
pub(super) const DISPOSITION: u64 = 0x15;
pub(super) const DETACH: u64 = 0x16;
pub(super) const END: u64 = 0x17;
pub(super) const CLOSE: u64 = 0x18;
pub(super) const SASL_MECHANISMS: u64 = 0x40;
pub(super) const SASL_INIT: u64 = 0x41;
pub(super) const SASL_CHALLENGE: u64 = 0x42;
pub(super) const SASL_RESPONSE: u64 = 0x43;
pub(super) const SASL_OUTCOME: u64 = 0x44;

/// A performative's name and the names of its fields, in order (parts 2 and 5).
fn shape(code: u64) -> Option<(&'static str, &'static [&'static str])> {
    Some(match code {
        OPEN => (
            "open",
            &[
                "container_id",
                "hostname",
                "max_frame_size",
                "channel_max",
                "idle_time_out",
                "outgoing_locales",
                "incoming_locales",
                "offered_capabilities",
                "desired_capabilities",
                "properties",
            ],
        ),
        BEGIN => (
            "begin",
            &[
                "remote_channel",
                "next_outgoing_id",
                "incoming_window",
                "outgoing_window",
                "handle_max",
                "offered_capabilities",
                "desired_capabilities",
                "properties",
            ],
        ),
        ATTACH => (
            "attach",
            &[
                "name",
                "handle",
                "role",
                "snd_settle_mode",
                "rcv_settle_mode",
                "source",
                "target",
                "unsettled",
                "incomplete_unsettled",
                "initial_delivery_count",
                "max_message_size",
                "offered_capabilities",
                "desired_capabilities",
                "properties",
            ],
        ),
        FLOW => ("flow", &[]),
        TRANSFER => (
            "transfer",
            &[
                "handle",
                "delivery_id",
                "delivery_tag",
                "message_format",
                "settled",
                "more",
                "rcv_settle_mode",
                "state",
                "resume",
                "aborted",
                "batchable",
            ],
        ),
        DISPOSITION => ("disposition", &["role", "first", "last", "settled", "state", "batchable"]),
        DETACH => ("detach", &["handle", "closed", "error"]),
        END => ("end", &["error"]),
        CLOSE => ("close", &["error"]),
        SASL_MECHANISMS => ("sasl-mechanisms", &["mechanisms"]),
        SASL_INIT => ("sasl-init", &["mechanism", "initial_response", "hostname"]),
        SASL_CHALLENGE => ("sasl-challenge", &["challenge"]),
        SASL_RESPONSE => ("sasl-response", &["response"]),
        SASL_OUTCOME => ("sasl-outcome", &["code", "additional_data"]),
        _ => return None,
    })
}

/// Fields whose values are secrets.
const SECRETS: &[&str] = &["initial_response", "challenge", "response", "additional_data"];

pub(super) struct Performative {
    pub(super) code: u64,
    pub(super) name: &'static str,
    /// Those that are there, by name.
    pub(super) fields: Vec<(&'static str, Value)>,
}

impl Performative {
    /// The performative at the front of a frame's body; the cursor stands behind it.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Option<Performative> {
        let described = described(cursor)?;
        let code = described.code?;
        let (name, names) = shape(code)?;
        let Value::List(values) = described.value else { return None };
        let mut fields = Vec::new();
        for (name, value) in names.iter().zip(values) {
            let value = match value {
                Value::Null => continue,
                Value::Bytes(secret) if SECRETS.contains(name) => Value::Secret(secret),
                Value::Text(_) | Value::List(_) | Value::Map(_) if SECRETS.contains(name) => Value::Secret(Vec::new()),
                value => value,
            };
            fields.push((*name, value));
        }
        Some(Performative { code, name, fields })
    }

    /// Whether bytes may follow it in its frame.
    pub(super) fn has_payload(&self) -> bool {
        self.code == TRANSFER
    }

    pub(super) fn field(&self, wanted: &str) -> Option<&Value> {
        self.fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value)
    }

    pub(super) fn number(&self, wanted: &str) -> Option<u64> {
        match self.field(wanted)? {
            Value::Unsigned(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn is_set(&self, wanted: &str) -> bool {
        self.field(wanted) == Some(&Value::Bool(true))
    }

    pub(super) fn text(&self, wanted: &str) -> Option<&str> {
        match self.field(wanted)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The address of a link's source or target, the first field of either.
    pub(super) fn address(&self, end: &str) -> Option<&str> {
        let Value::List(described) = self.field(end)? else { return None };
        let Some(Value::List(fields)) = described.get(1) else { return None };
        match fields.first()? {
            Value::Text(address) => Some(address),
            _ => None,
        }
    }

    /// The name of a delivery's state (`accepted`).
    pub(super) fn state(&self) -> Option<&str> {
        let Value::List(described) = self.field("state")? else { return None };
        match described.first()? {
            Value::Text(name) => Some(name),
            _ => None,
        }
    }
}

/// Data of four bytes of length, and of one, without the length.
const DATA: [&[u8]; 2] = [&[0, 0x53, 0x75, 0xb0], &[0, 0x53, 0x75, 0xa0]];

/// The data at the front, though its end was not kept.
fn cut_data(rest: &[u8]) -> Option<&[u8]> {
    let [wide, narrow] = DATA;
    let wide = rest.strip_prefix(wide).and_then(|data| data.get(4..));
    wide.or_else(|| rest.strip_prefix(narrow).and_then(|data| data.get(1..)))
}

/// The sections of a message (part 3), named. Of one whose end is missing, what is there.
pub(super) fn sections(message: &[u8]) -> Vec<(&'static str, Value)> {
    let mut cursor = Cursor(message);
    let mut sections = Vec::new();
    while !cursor.is_empty() && sections.len() < 64 {
        let rest = cursor.0;
        let Some(section) = described(&mut cursor) else {
            sections.extend(cut_data(rest).map(|data| ("data", Value::Bytes(data.to_vec()))));
            break;
        };
        let name = match section.code {
            Some(0x70) => "header",
            Some(0x71) => "delivery_annotations",
            Some(0x72) => "message_annotations",
            Some(0x73) => "properties",
            Some(0x74) => "application_properties",
            Some(0x75) => "data",
            Some(0x76) => "amqp_sequence",
            Some(0x77) => "amqp_value",
            Some(0x78) => "footer",
            _ => break,
        };
        let value = match (name, section.value) {
            ("header", value) => fields(value, &["durable", "priority", "ttl", "first_acquirer", "delivery_count"]),
            ("properties", value) => fields(
                value,
                &[
                    "message_id",
                    "user_id",
                    "to",
                    "subject",
                    "reply_to",
                    "correlation_id",
                    "content_type",
                    "content_encoding",
                    "absolute_expiry_time",
                    "creation_time",
                    "group_id",
                    "group_sequence",
                    "reply_to_group_id",
                ],
            ),
            (_, value) => value,
        };
        sections.push((name, value));
    }
    sections
}

fn fields(value: Value, names: &[&'static str]) -> Value {
    let Value::List(values) = value else { return value };
    let named = names.iter().zip(values).filter(|(_, value)| *value != Value::Null);
    Value::Map(named.map(|(name, value)| ((*name).into(), value)).collect())
}
