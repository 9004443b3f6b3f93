//! Reason codes by name (MQTT 5.0, 2.4; MQTT 3.1.1, 3.2.2.3 and 3.9.3).

use super::packet::Kind;
use super::version::Level;

/// The name of a reason code in a packet of this kind; none for one that the standard does not know.
pub(super) fn name(kind: Kind, code: u8, level: Level) -> Option<&'static str> {
    if level == Level::Five { name_in_five(kind, code) } else { name_before_five(kind, code) }
}

/// Whether a reason code says that something went wrong.
pub(super) fn is_failure(kind: Kind, code: u8, level: Level) -> bool {
    match (level, kind) {
        (Level::Five, _) => code >= 0x80,
        (_, Kind::Connack) => code != 0,
        (_, Kind::Suback) => code >= 0x80,
        _ => false,
    }
}

fn name_before_five(kind: Kind, code: u8) -> Option<&'static str> {
    Some(match (kind, code) {
        (Kind::Connack, 0) => "Connection accepted",
        (Kind::Connack, 1) => "Unacceptable protocol version",
        (Kind::Connack, 2) => "Identifier rejected",
        (Kind::Connack, 3) => "Server unavailable",
        (Kind::Connack, 4) => "Bad user name or password",
        (Kind::Connack, 5) => "Not authorized",
        (Kind::Suback, 0) => "Granted QoS 0",
        (Kind::Suback, 1) => "Granted QoS 1",
        (Kind::Suback, 2) => "Granted QoS 2",
        (Kind::Suback, 0x80) => "Failure",
        _ => return None,
    })
}

fn name_in_five(kind: Kind, code: u8) -> Option<&'static str> {
    Some(match code {
        0x00 => match kind {
            Kind::Disconnect => "Normal disconnection",
            Kind::Suback => "Granted QoS 0",
            _ => "Success",
        },
        0x01 => "Granted QoS 1",
        0x02 => "Granted QoS 2",
        0x04 => "Disconnect with Will Message",
        0x10 => "No matching subscribers",
        0x11 => "No subscription existed",
        0x18 => "Continue authentication",
        0x19 => "Re-authenticate",
        0x80 => "Unspecified error",
        0x81 => "Malformed Packet",
        0x82 => "Protocol Error",
        0x83 => "Implementation specific error",
        0x84 => "Unsupported Protocol Version",
        0x85 => "Client Identifier not valid",
        0x86 => "Bad User Name or Password",
        0x87 => "Not authorized",
        0x88 => "Server unavailable",
        0x89 => "Server busy",
        0x8a => "Banned",
        0x8b => "Server shutting down",
        0x8c => "Bad authentication method",
        0x8d => "Keep Alive timeout",
        0x8e => "Session taken over",
        0x8f => "Topic Filter invalid",
        0x90 => "Topic Name invalid",
        0x91 => "Packet Identifier in use",
        0x92 => "Packet Identifier not found",
        0x93 => "Receive Maximum exceeded",
        0x94 => "Topic Alias invalid",
        0x95 => "Packet too large",
        0x96 => "Message rate too high",
        0x97 => "Quota exceeded",
        0x98 => "Administrative action",
        0x99 => "Payload format invalid",
        0x9a => "Retain not supported",
        0x9b => "QoS not supported",
        0x9c => "Use another server",
        0x9d => "Server moved",
        0x9e => "Shared Subscriptions not supported",
        0x9f => "Connection rate exceeded",
        0xa0 => "Maximum connect time",
        0xa1 => "Subscription Identifiers not supported",
        0xa2 => "Wildcard Subscriptions not supported",
        _ => return None,
    })
}
