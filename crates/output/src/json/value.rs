//! Attributes and their values.

use std::borrow::Cow;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use l7trace_protocol::{Attribute, Value};

use super::escape::string;
use super::keys::{Unique, is_reserved};
use super::number::{boolean, float, integer};
use crate::disclose::{Disclosure, Placeholder, Shown};

/// Values nested deeper than this read [`TOO_DEEP`].
const MOST_DEPTH: usize = 32;
const TOO_DEEP: &[u8] = b"<nested too deeply>";
/// Up to so many members are compared with each other; more are put into a table.
const FEW: usize = 16;

/// Appends `,"name":value` for each attribute, whatever the names are: none of the contract's keys
/// is repeated, nor any other.
pub(super) fn attributes<'a>(
    to: &mut Vec<u8>,
    attributes: impl Iterator<Item = &'a Attribute> + Clone,
    protocol: Option<&str>,
    disclosure: Disclosure,
) {
    let members = attributes.map(|attribute| (&*attribute.name, &attribute.value));
    let Some(_) = members.clone().next() else { return };
    if are_plain(members.clone()) && !members.clone().any(|(name, _)| is_reserved(name)) {
        for (name, value) in members {
            to.push(b',');
            member(to, name, value, disclosure, 0);
        }
        return;
    }
    let mut unique = Unique::default();
    for (name, value) in members {
        let mut name = Cow::Borrowed(name);
        if is_reserved(&name) {
            name = format!("{}_{name}", protocol.unwrap_or("own")).into();
        }
        to.push(b',');
        unique_member(to, &mut unique, name, value, disclosure, 0);
    }
}

/// Appends bytes as base64, without quotes.
pub(super) fn base64(to: &mut Vec<u8>, bytes: &[u8]) {
    let start = to.len();
    // Four characters for each three bytes begun.
    to.resize(start + bytes.len().div_ceil(3) * 4, b'=');
    let written = STANDARD.encode_slice(bytes, &mut to[start..]).unwrap_or_default();
    to.truncate(start + written);
}

/// Appends a value, `depth` levels down.
pub(super) fn write(to: &mut Vec<u8>, value: &Value, disclosure: Disclosure, depth: usize) {
    match value {
        Value::Null => to.extend_from_slice(b"null"),
        Value::Bool(value) => boolean(to, *value),
        Value::Integer(number) => integer(to, *number),
        Value::Unsigned(number) => integer(to, *number),
        Value::Float(number) => float(to, *number),
        Value::Text(text) => string(to, text.as_bytes()),
        Value::Bytes(bytes) => plain_or_base64(to, bytes),
        Value::Secret(bytes) => match disclosure.secret(bytes) {
            Shown::Plain(bytes) => plain_or_base64(to, bytes),
            Shown::Redacted(length) => placeholder(to, length),
        },
        Value::List(_) | Value::Map(_) if depth == MOST_DEPTH => string(to, TOO_DEEP),
        Value::List(list) => {
            to.push(b'[');
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    to.push(b',');
                }
                write(to, item, disclosure, depth + 1);
            }
            to.push(b']');
        }
        Value::Map(map) => self::map(to, map, disclosure, depth + 1),
    }
}

fn map(to: &mut Vec<u8>, map: &[(Cow<'static, str>, Value)], disclosure: Disclosure, depth: usize) {
    to.push(b'{');
    let mut unique =
        if are_plain(map.iter().map(|(name, value)| (&**name, value))) { None } else { Some(Unique::default()) };
    for (index, (name, value)) in map.iter().enumerate() {
        if index > 0 {
            to.push(b',');
        }
        match &mut unique {
            None => member(to, name, value, disclosure, depth),
            Some(unique) => unique_member(to, unique, Cow::Borrowed(name), value, disclosure, depth),
        }
    }
    to.push(b'}');
}

/// Whether the names can stand as they are: few, each once, no value in need of `_base64`.
fn are_plain<'a>(members: impl Iterator<Item = (&'a str, &'a Value)> + Clone) -> bool {
    let mut rest = members.clone();
    let mut count = 0;
    while let Some((name, value)) = rest.next() {
        count += 1;
        if count > FEW || may_need_base64(value) || rest.clone().any(|(other, _)| same(other, name)) {
            return false;
        }
    }
    true
}

/// Whether two names are one: mostly their lengths or their ends tell.
#[inline]
fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.as_bytes().last() == other.as_bytes().last() && one == other
}

#[inline]
fn member(to: &mut Vec<u8>, name: &str, value: &Value, disclosure: Disclosure, depth: usize) {
    string(to, name.as_bytes());
    to.push(b':');
    write(to, value, disclosure, depth);
}

fn unique_member(
    to: &mut Vec<u8>,
    unique: &mut Unique,
    name: Cow<'_, str>,
    value: &Value,
    disclosure: Disclosure,
    depth: usize,
) {
    let bytes = match value {
        Value::Bytes(bytes) => Some(&bytes[..]),
        Value::Secret(bytes) => match disclosure.secret(bytes) {
            Shown::Plain(bytes) => Some(bytes),
            Shown::Redacted(_) => None,
        },
        _ => None,
    };
    let encoded = bytes.filter(|bytes| str::from_utf8(bytes).is_err());
    let name = match encoded {
        Some(_) => format!("{name}_base64").into(),
        None => name,
    };
    string(to, unique.key(name).as_bytes());
    to.push(b':');
    match encoded {
        Some(bytes) => {
            to.push(b'"');
            base64(to, bytes);
            to.push(b'"');
        }
        None => write(to, value, disclosure, depth),
    }
}

fn may_need_base64(value: &Value) -> bool {
    matches!(value, Value::Bytes(bytes) | Value::Secret(bytes) if str::from_utf8(bytes).is_err())
}

/// Bytes where there is no key to say that they are base64.
fn plain_or_base64(to: &mut Vec<u8>, bytes: &[u8]) {
    if str::from_utf8(bytes).is_ok() {
        string(to, bytes);
    } else {
        to.extend_from_slice(b"{\"base64\":\"");
        base64(to, bytes);
        to.extend_from_slice(b"\"}");
    }
}

/// Appends what stands in place of a secret, as a JSON string.
pub(super) fn placeholder(to: &mut Vec<u8>, length: usize) {
    let _ = write!(to, "\"{}\"", Placeholder(length));
}
