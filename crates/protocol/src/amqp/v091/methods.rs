//! Every method with its arguments (specification, section 1.3ff; RabbitMQ's extensions marked R).

use super::super::cursor::{Cursor, name, text};
use super::values::table;
use crate::Value;

/// How an argument is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Octet,
    Short,
    Long,
    LongLong,
    ShortString,
    LongString,
    /// A long string that is a secret.
    Secret,
    Table,
    /// A bit; consecutive ones share an octet.
    Bit,
    /// A reserved field of that type, read over.
    ReservedShort,
    ReservedShortString,
    ReservedLongString,
    ReservedBit,
}

/// Who may send a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    Client,
    Server,
    Either,
}

/// What a method does to pairing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Asks, and is answered by one of these.
    Asks,
    /// Answers the method of this number in its class.
    Answers(u16),
    /// Carries content.
    Publish,
    Return,
    Deliver,
    /// Answers basic.get, with content.
    GetOk,
    /// Settles deliveries (client) or confirms publishes (server).
    Settles,
    /// Neither asks nor answers.
    Alone,
}

pub(super) struct Method {
    pub(super) class: u16,
    pub(super) id: u16,
    pub(super) name: &'static str,
    pub(super) sender: Sender,
    pub(super) part: Part,
    arguments: &'static [(&'static str, Type)],
}

use Part::{Alone, Answers, Asks, Deliver, GetOk, Publish, Return, Settles};
use Sender::{Client, Either, Server};
use Type::{
    Bit, Long, LongLong, LongString, Octet, ReservedBit, ReservedLongString, ReservedShort, ReservedShortString,
    Secret, Short, ShortString, Table,
};

const fn method(
    class: u16,
    id: u16,
    name: &'static str,
    sender: Sender,
    part: Part,
    arguments: &'static [(&'static str, Type)],
) -> Method {
    Method { class, id, name, sender, part, arguments }
}

const CLOSE: &[(&str, Type)] =
    &[("reply_code", Short), ("reply_text", ShortString), ("class_id", Short), ("method_id", Short)];
const BINDING: &[(&str, Type)] = &[
    ("", ReservedShort),
    ("destination", ShortString),
    ("source", ShortString),
    ("routing_key", ShortString),
    ("no_wait", Bit),
    ("arguments", Table),
];

/// In the order of their numbers.
#[rustfmt::skip]
pub(super) static METHODS: &[Method] = &[
    method(10, 10, "connection.start", Server, Asks, &[("version_major", Octet), ("version_minor", Octet), ("server_properties", Table), ("mechanisms", LongString), ("locales", LongString)]),
    method(10, 11, "connection.start-ok", Client, Answers(10), &[("client_properties", Table), ("mechanism", ShortString), ("response", Secret), ("locale", ShortString)]),
    method(10, 20, "connection.secure", Server, Asks, &[("challenge", Secret)]),
    method(10, 21, "connection.secure-ok", Client, Answers(20), &[("response", Secret)]),
    method(10, 30, "connection.tune", Server, Asks, &[("channel_max", Short), ("frame_max", Long), ("heartbeat", Short)]),
    method(10, 31, "connection.tune-ok", Client, Answers(30), &[("channel_max", Short), ("frame_max", Long), ("heartbeat", Short)]),
    method(10, 40, "connection.open", Client, Asks, &[("virtual_host", ShortString), ("", ReservedShortString), ("", ReservedBit)]),
    method(10, 41, "connection.open-ok", Server, Answers(40), &[("", ReservedShortString)]),
    method(10, 50, "connection.close", Either, Asks, CLOSE),
    method(10, 51, "connection.close-ok", Either, Answers(50), &[]),
    method(10, 60, "connection.blocked", Server, Alone, &[("reason", ShortString)]), // R
    method(10, 61, "connection.unblocked", Server, Alone, &[]), // R
    method(10, 70, "connection.update-secret", Client, Asks, &[("new_secret", Secret), ("reason", ShortString)]), // R
    method(10, 71, "connection.update-secret-ok", Server, Answers(70), &[]), // R
    method(20, 10, "channel.open", Client, Asks, &[("", ReservedShortString)]),
    method(20, 11, "channel.open-ok", Server, Answers(10), &[("", ReservedLongString)]),
    method(20, 20, "channel.flow", Either, Asks, &[("active", Bit)]),
    method(20, 21, "channel.flow-ok", Either, Answers(20), &[("active", Bit)]),
    method(20, 40, "channel.close", Either, Asks, CLOSE),
    method(20, 41, "channel.close-ok", Either, Answers(40), &[]),
    method(40, 10, "exchange.declare", Client, Asks, &[("", ReservedShort), ("exchange", ShortString), ("type", ShortString), ("passive", Bit), ("durable", Bit), ("auto_delete", Bit), ("internal", Bit), ("no_wait", Bit), ("arguments", Table)]),
    method(40, 11, "exchange.declare-ok", Server, Answers(10), &[]),
    method(40, 20, "exchange.delete", Client, Asks, &[("", ReservedShort), ("exchange", ShortString), ("if_unused", Bit), ("no_wait", Bit)]),
    method(40, 21, "exchange.delete-ok", Server, Answers(20), &[]),
    method(40, 30, "exchange.bind", Client, Asks, BINDING), // R
    method(40, 31, "exchange.bind-ok", Server, Answers(30), &[]), // R
    method(40, 40, "exchange.unbind", Client, Asks, BINDING), // R
    method(40, 51, "exchange.unbind-ok", Server, Answers(40), &[]), // R
    method(50, 10, "queue.declare", Client, Asks, &[("", ReservedShort), ("queue", ShortString), ("passive", Bit), ("durable", Bit), ("exclusive", Bit), ("auto_delete", Bit), ("no_wait", Bit), ("arguments", Table)]),
    method(50, 11, "queue.declare-ok", Server, Answers(10), &[("queue", ShortString), ("message_count", Long), ("consumer_count", Long)]),
    method(50, 20, "queue.bind", Client, Asks, &[("", ReservedShort), ("queue", ShortString), ("exchange", ShortString), ("routing_key", ShortString), ("no_wait", Bit), ("arguments", Table)]),
    method(50, 21, "queue.bind-ok", Server, Answers(20), &[]),
    method(50, 30, "queue.purge", Client, Asks, &[("", ReservedShort), ("queue", ShortString), ("no_wait", Bit)]),
    method(50, 31, "queue.purge-ok", Server, Answers(30), &[("message_count", Long)]),
    method(50, 40, "queue.delete", Client, Asks, &[("", ReservedShort), ("queue", ShortString), ("if_unused", Bit), ("if_empty", Bit), ("no_wait", Bit)]),
    method(50, 41, "queue.delete-ok", Server, Answers(40), &[("message_count", Long)]),
    method(50, 50, "queue.unbind", Client, Asks, &[("", ReservedShort), ("queue", ShortString), ("exchange", ShortString), ("routing_key", ShortString), ("arguments", Table)]),
    method(50, 51, "queue.unbind-ok", Server, Answers(50), &[]),
    method(60, 10, "basic.qos", Client, Asks, &[("prefetch_size", Long), ("prefetch_count", Short), ("global", Bit)]),
    method(60, 11, "basic.qos-ok", Server, Answers(10), &[]),
    method(60, 20, "basic.consume", Client, Asks, &[("", ReservedShort), ("queue", ShortString), ("consumer_tag", ShortString), ("no_local", Bit), ("no_ack", Bit), ("exclusive", Bit), ("no_wait", Bit), ("arguments", Table)]),
    method(60, 21, "basic.consume-ok", Server, Answers(20), &[("consumer_tag", ShortString)]),
    method(60, 30, "basic.cancel", Either, Asks, &[("consumer_tag", ShortString), ("no_wait", Bit)]), // server: R
    method(60, 31, "basic.cancel-ok", Either, Answers(30), &[("consumer_tag", ShortString)]),
    method(60, 40, "basic.publish", Client, Publish, &[("", ReservedShort), ("exchange", ShortString), ("routing_key", ShortString), ("mandatory", Bit), ("immediate", Bit)]),
    method(60, 50, "basic.return", Server, Return, &[("reply_code", Short), ("reply_text", ShortString), ("exchange", ShortString), ("routing_key", ShortString)]),
    method(60, 60, "basic.deliver", Server, Deliver, &[("consumer_tag", ShortString), ("delivery_tag", LongLong), ("redelivered", Bit), ("exchange", ShortString), ("routing_key", ShortString)]),
    method(60, 70, "basic.get", Client, Asks, &[("", ReservedShort), ("queue", ShortString), ("no_ack", Bit)]),
    method(60, 71, "basic.get-ok", Server, GetOk, &[("delivery_tag", LongLong), ("redelivered", Bit), ("exchange", ShortString), ("routing_key", ShortString), ("message_count", Long)]),
    method(60, 72, "basic.get-empty", Server, Answers(70), &[("", ReservedShortString)]),
    method(60, 80, "basic.ack", Either, Settles, &[("delivery_tag", LongLong), ("multiple", Bit)]), // server: R
    method(60, 90, "basic.reject", Client, Settles, &[("delivery_tag", LongLong), ("requeue", Bit)]),
    method(60, 100, "basic.recover-async", Client, Alone, &[("requeue", Bit)]),
    method(60, 110, "basic.recover", Client, Asks, &[("requeue", Bit)]),
    method(60, 111, "basic.recover-ok", Server, Answers(110), &[]),
    method(60, 120, "basic.nack", Either, Settles, &[("delivery_tag", LongLong), ("multiple", Bit), ("requeue", Bit)]), // R
    method(85, 10, "confirm.select", Client, Asks, &[("no_wait", Bit)]), // R
    method(85, 11, "confirm.select-ok", Server, Answers(10), &[]), // R
    method(90, 10, "tx.select", Client, Asks, &[]),
    method(90, 11, "tx.select-ok", Server, Answers(10), &[]),
    method(90, 20, "tx.commit", Client, Asks, &[]),
    method(90, 21, "tx.commit-ok", Server, Answers(20), &[]),
    method(90, 30, "tx.rollback", Client, Asks, &[]),
    method(90, 31, "tx.rollback-ok", Server, Answers(30), &[]),
];

/// The arguments of a method, by name.
#[derive(Default)]
pub(super) struct Arguments(pub(super) Vec<(&'static str, Value)>);

impl Arguments {
    pub(super) fn find(&self, wanted: &str) -> Option<&Value> {
        // Mostly their lengths or their ends tell names apart.
        let is_it = |name: &str| name.len() == wanted.len() && name.as_bytes().last() == wanted.as_bytes().last();
        self.0.iter().find(|(name, _)| is_it(name) && *name == wanted).map(|(_, value)| value)
    }

    pub(super) fn text(&self, wanted: &str) -> Option<&str> {
        match self.find(wanted)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&self, wanted: &str) -> Option<u64> {
        match self.find(wanted)? {
            Value::Unsigned(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn is_set(&self, wanted: &str) -> bool {
        self.find(wanted) == Some(&Value::Bool(true))
    }
}

impl Method {
    /// The method at the front of a method frame's payload.
    pub(super) fn of(payload: &[u8]) -> Option<&'static Method> {
        let mut cursor = Cursor(payload);
        let (class, id) = (cursor.u16()?, cursor.u16()?);
        Method::numbered(class, id)
    }

    pub(super) fn numbered(class: u16, id: u16) -> Option<&'static Method> {
        let at = METHODS.binary_search_by_key(&(class, id), |method| (method.class, method.id)).ok()?;
        METHODS.get(at)
    }

    /// Its arguments, where the payload holds them all and nothing more.
    pub(super) fn arguments(&self, payload: &[u8]) -> Option<Arguments> {
        let mut cursor = Cursor(payload.get(4..)?);
        let mut arguments = Vec::with_capacity(self.arguments.len());
        let mut bits = 0u8;
        let mut bit = 8u32;
        for (key, kind) in self.arguments {
            if matches!(kind, Bit | ReservedBit) {
                if bit == 8 {
                    bits = cursor.u8()?;
                    bit = 0;
                }
                if *kind == Bit {
                    arguments.push((*key, Value::Bool(bits >> bit & 1 == 1)));
                }
                bit += 1;
                continue;
            }
            bit = 8;
            let value = match kind {
                Octet => Value::from(u64::from(cursor.u8()?)),
                Short => Value::from(u64::from(cursor.u16()?)),
                Long => Value::from(u64::from(cursor.u32()?)),
                LongLong => Value::from(cursor.u64()?),
                // Names are compared: a name that is not UTF-8 is Latin-1.
                ShortString => Value::from(name(cursor.short()?)),
                LongString => text(cursor.long()?),
                Secret => Value::Secret(cursor.long()?.to_vec()),
                Table => table(&mut cursor)?,
                ReservedShort => {
                    cursor.u16()?;
                    continue;
                }
                ReservedShortString => {
                    cursor.short()?;
                    continue;
                }
                ReservedLongString => {
                    cursor.long()?;
                    continue;
                }
                Bit | ReservedBit => continue,
            };
            arguments.push((*key, value));
        }
        cursor.is_empty().then_some(Arguments(arguments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_found_by_its_number() {
        for method in METHODS {
            assert_eq!(Method::numbered(method.class, method.id).map(|found| found.name), Some(method.name));
        }
        assert!(Method::numbered(60, 81).is_none());
    }
}
