//! The properties of MQTT 5.0 (section 2.2.2): what each is called, what type it has, and which
//! packets may carry it.

use std::borrow::Cow;

use super::cursor::{Cursor, Malformed, text_value};
use super::packet::Kind;
use crate::Value;

/// Properties as values, with those that mean something to the parser.
#[derive(Debug, Default)]
pub(super) struct Properties {
    /// In the order of the wire; those that may repeat as one list.
    pub(super) named: Vec<(Cow<'static, str>, Value)>,
    pub(super) topic_alias: Option<u16>,
    /// What the standard does not allow.
    pub(super) wrong: Option<&'static str>,
}

/// Who carries the properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    Packet(Kind),
    Will,
}

#[derive(Clone, Copy)]
enum Type {
    Byte,
    Flag,
    TwoBytes,
    FourBytes,
    Variable,
    Text,
    Binary,
    Secret,
    Pair,
}

impl Properties {
    /// Reads the properties with their length.
    pub(super) fn read(cursor: &mut Cursor<'_>, carrier: Carrier) -> Result<Properties, Malformed> {
        let mut properties = Properties::default();
        let length = cursor.variable()?;
        let mut inner = Cursor::new(cursor.take(length as usize)?);
        while !inner.is_empty() {
            properties.one(&mut inner, carrier).map_err(|wrong| match wrong {
                Malformed::Short => Malformed::Wrong("a property runs past the properties' length"),
                wrong @ Malformed::Wrong(_) => wrong,
            })?;
        }
        Ok(properties)
    }

    fn one(&mut self, cursor: &mut Cursor<'_>, carrier: Carrier) -> Result<(), Malformed> {
        let identifier = cursor.variable()?;
        let Some((name, kind)) = meaning(identifier) else {
            return Err(Malformed::Wrong("a property that MQTT 5.0 does not know"));
        };
        if !is_allowed(identifier, carrier) {
            self.wrong = Some("a property that this packet must not carry");
        }
        let value = match kind {
            Type::Byte => Value::Unsigned(cursor.byte()?.into()),
            Type::Flag => match cursor.byte()? {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                other => Value::Unsigned(other.into()),
            },
            Type::TwoBytes => {
                let value = cursor.two_bytes()?;
                if identifier == TOPIC_ALIAS {
                    self.topic_alias = Some(value);
                }
                Value::Unsigned(value.into())
            }
            Type::FourBytes => Value::Unsigned(cursor.four_bytes()?.into()),
            Type::Variable => Value::Unsigned(cursor.variable()?.into()),
            Type::Text => text_value(cursor.data()?),
            Type::Binary => Value::Bytes(cursor.data()?.to_vec()),
            Type::Secret => Value::Secret(cursor.data()?.to_vec()),
            Type::Pair => Value::List(vec![text_value(cursor.data()?), text_value(cursor.data()?)]),
        };
        if may_repeat(identifier) {
            self.add_to_list(name, value);
        } else if self.named.iter().any(|(known, _)| *known == name) {
            self.wrong = Some("a property that stands twice");
        } else {
            self.named.push((Cow::Borrowed(name), value));
        }
        Ok(())
    }

    fn add_to_list(&mut self, name: &'static str, value: Value) {
        let list = self.named.iter_mut().find(|(known, _)| *known == name);
        if let Some((_, Value::List(values))) = list {
            values.push(value);
        } else {
            self.named.push((Cow::Borrowed(name), Value::List(vec![value])));
        }
    }
}

const SUBSCRIPTION_IDENTIFIER: u32 = 11;
const TOPIC_ALIAS: u32 = 35;
const USER_PROPERTY: u32 = 38;

fn may_repeat(identifier: u32) -> bool {
    matches!(identifier, SUBSCRIPTION_IDENTIFIER | USER_PROPERTY)
}

fn meaning(identifier: u32) -> Option<(&'static str, Type)> {
    Some(match identifier {
        1 => ("payload_format_indicator", Type::Byte),
        2 => ("message_expiry_interval", Type::FourBytes),
        3 => ("content_type", Type::Text),
        8 => ("response_topic", Type::Text),
        9 => ("correlation_data", Type::Binary),
        SUBSCRIPTION_IDENTIFIER => ("subscription_identifiers", Type::Variable),
        17 => ("session_expiry_interval", Type::FourBytes),
        18 => ("assigned_client_identifier", Type::Text),
        19 => ("server_keep_alive", Type::TwoBytes),
        21 => ("authentication_method", Type::Text),
        22 => ("authentication_data", Type::Secret),
        23 => ("request_problem_information", Type::Flag),
        24 => ("will_delay_interval", Type::FourBytes),
        25 => ("request_response_information", Type::Flag),
        26 => ("response_information", Type::Text),
        28 => ("server_reference", Type::Text),
        31 => ("reason_string", Type::Text),
        33 => ("receive_maximum", Type::TwoBytes),
        34 => ("topic_alias_maximum", Type::TwoBytes),
        TOPIC_ALIAS => ("topic_alias", Type::TwoBytes),
        36 => ("maximum_qos", Type::Byte),
        37 => ("retain_available", Type::Flag),
        USER_PROPERTY => ("user_properties", Type::Pair),
        39 => ("maximum_packet_size", Type::FourBytes),
        40 => ("wildcard_subscription_available", Type::Flag),
        41 => ("subscription_identifiers_available", Type::Flag),
        42 => ("shared_subscription_available", Type::Flag),
        _ => return None,
    })
}

/// The table of MQTT 5.0, 2.2.2.2.
fn is_allowed(identifier: u32, carrier: Carrier) -> bool {
    let Carrier::Packet(kind) = carrier else {
        return matches!(identifier, 1 | 2 | 3 | 8 | 9 | 24 | USER_PROPERTY);
    };
    match identifier {
        1 | 2 | 3 | 8 | 9 | TOPIC_ALIAS => kind == Kind::Publish,
        SUBSCRIPTION_IDENTIFIER => matches!(kind, Kind::Publish | Kind::Subscribe),
        17 => matches!(kind, Kind::Connect | Kind::Connack | Kind::Disconnect),
        18 | 19 | 26 | 36 | 37 | 40 | 41 | 42 => kind == Kind::Connack,
        21 | 22 => matches!(kind, Kind::Connect | Kind::Connack | Kind::Auth),
        23 | 25 => kind == Kind::Connect,
        24 => false,
        28 => matches!(kind, Kind::Connack | Kind::Disconnect),
        31 => !matches!(kind, Kind::Connect | Kind::Publish | Kind::Subscribe | Kind::Unsubscribe),
        33 | 34 | 39 => matches!(kind, Kind::Connect | Kind::Connack),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_and_typed() {
        let bytes =
            [&[21, 35, 0, 7, 11, 0x80, 1, 11, 2, 38, 0, 1][..], b"a", &[0, 1], b"b", &[38, 0, 0, 0, 1], b"c"].concat();
        let mut cursor = Cursor::new(&bytes);
        let properties = Properties::read(&mut cursor, Carrier::Packet(Kind::Publish)).unwrap();
        assert!(cursor.is_empty());
        assert_eq!((properties.topic_alias, properties.wrong), (Some(7), None));
        let names: Vec<_> = properties.named.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!(names, ["topic_alias", "subscription_identifiers", "user_properties"]);
        assert_eq!(properties.named[1].1, Value::List(vec![Value::Unsigned(128), Value::Unsigned(2)]));
    }

    #[test]
    fn a_length_beyond_the_packet_is_malformed() {
        assert_eq!(Properties::read(&mut Cursor::new(&[5, 1]), Carrier::Will).err(), Some(Malformed::Short));
        let wrong = Properties::read(&mut Cursor::new(&[1, 2]), Carrier::Will).err();
        assert_eq!(wrong, Some(Malformed::Wrong("a property runs past the properties' length")));
    }
}
