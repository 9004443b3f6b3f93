//! What a line says of one message.

use l7trace_protocol::{Completeness, Field, Message, Note};

use super::escape::{inside, string};
use super::number::integer;
use super::value::{base64, placeholder};
use crate::disclose::{Disclosure, Shown};
use crate::text::body_text;

/// Appends `"bytes":…` and what else there is of the message, all but its attributes.
pub(super) fn members(to: &mut Vec<u8>, message: &Message, disclosure: Disclosure) {
    to.extend_from_slice(b"\"bytes\":");
    integer(to, message.bytes);
    to.extend_from_slice(b",\"headers\":");
    fields(to, message, &message.headers, disclosure);
    if let Some(bytes) = message.body_bytes {
        to.extend_from_slice(b",\"body_bytes\":");
        integer(to, bytes);
    }
    if !message.trailers.is_empty() {
        to.extend_from_slice(b",\"trailers\":");
        fields(to, message, &message.trailers, disclosure);
    }
    body(to, message);
    let completeness = match message.completeness {
        Completeness::Whole => None,
        Completeness::Cut => Some("cut"),
        Completeness::Partial => Some("partial"),
        Completeness::Unfinished => Some("unfinished"),
    };
    if let Some(completeness) = completeness {
        to.extend_from_slice(b",\"completeness\":\"");
        to.extend_from_slice(completeness.as_bytes());
        to.push(b'"');
    }
}

/// Appends `,"notes":[…]`; nothing without notes.
pub(super) fn notes<'n>(to: &mut Vec<u8>, notes: impl Iterator<Item = &'n Note>) {
    let mut lead: &[u8] = b",\"notes\":[";
    for note in notes {
        to.extend_from_slice(lead);
        string(to, note.as_bytes());
        lead = b",";
    }
    if lead == b"," {
        to.push(b']');
    }
}

fn fields(to: &mut Vec<u8>, message: &Message, fields: &[Field], disclosure: Disclosure) {
    let mut lead = b"[[";
    for field in fields {
        to.extend_from_slice(lead);
        match disclosure.field(message, field) {
            // What nearly every field is.
            (Some(name), Some(Shown::Plain(value))) if field.plain => {
                to.reserve(name.len() + value.len() + 8);
                to.push(b'"');
                to.extend_from_slice(name);
                to.extend_from_slice(b"\",\"");
                to.extend_from_slice(value);
                to.push(b'"');
            }
            (Some(name), Some(Shown::Plain(value))) => {
                to.push(b'"');
                inside(to, name);
                to.extend_from_slice(b"\",\"");
                inside(to, value);
                to.push(b'"');
            }
            (name, value) => {
                match name {
                    Some(name) => string(to, name),
                    None => to.extend_from_slice(b"null"),
                }
                to.push(b',');
                match value {
                    Some(Shown::Plain(value)) => string(to, value),
                    Some(Shown::Redacted(length)) => placeholder(to, length),
                    None => to.extend_from_slice(b"null"),
                }
            }
        }
        to.push(b']');
        lead = b",[";
    }
    to.extend_from_slice(if fields.is_empty() { b"[]" } else { b"]" });
}

fn body(to: &mut Vec<u8>, message: &Message) {
    if !message.body.is_empty() {
        match body_text(&message.body, message.body_truncated) {
            Some(text) => {
                to.extend_from_slice(b",\"body\":");
                string(to, text.as_bytes());
            }
            None => {
                to.extend_from_slice(b",\"body_base64\":\"");
                base64(to, &message.body);
                to.push(b'"');
            }
        }
    }
    if message.body_truncated && !message.body.is_empty() {
        to.extend_from_slice(b",\"body_truncated\":true");
    }
}
