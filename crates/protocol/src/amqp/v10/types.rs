//! The type system (part 1 of the specification).

use super::super::cursor::{Cursor, name, text};
use crate::Value;

/// How deep values may nest.
const DEEPEST: u32 = 16;

/// How many items of one compound value are kept.
const MOST_ITEMS: usize = 4096;

/// A value with a descriptor in front of it, or without.
pub(super) struct Described {
    /// The numeric descriptor; none where there is none or it is a symbol of somebody's own.
    pub(super) code: Option<u64>,
    pub(super) value: Value,
}

/// A value that may be described at its top.
pub(super) fn described(cursor: &mut Cursor<'_>) -> Option<Described> {
    described_within(cursor, 0)
}

fn described_within(cursor: &mut Cursor<'_>, depth: u32) -> Option<Described> {
    if depth > DEEPEST {
        return None;
    }
    if cursor.0.first() != Some(&0) {
        return Some(Described { code: None, value: value(cursor, depth)? });
    }
    cursor.u8()?;
    let code = match value(cursor, depth + 1)? {
        Value::Unsigned(code) => Some(code),
        Value::Text(symbol) => symbol_code(&symbol),
        _ => None,
    };
    Some(Described { code, value: value(cursor, depth + 1)? })
}

/// A value; a described one inside another becomes a list of its descriptor's code and itself.
fn value(cursor: &mut Cursor<'_>, depth: u32) -> Option<Value> {
    if depth > DEEPEST {
        return None;
    }
    if cursor.0.first() == Some(&0) {
        let inner = described_within(cursor, depth + 1)?;
        let named = inner.code.map_or(Value::Null, |code| state_name(code).map_or(Value::from(code), Value::from));
        return Some(Value::List(vec![named, inner.value]));
    }
    let code = cursor.u8()?;
    constructed(code, cursor, depth)
}

fn constructed(code: u8, cursor: &mut Cursor<'_>, depth: u32) -> Option<Value> {
    let unsigned = |number: u64| Some(Value::Unsigned(number));
    let signed = |number: i64| Some(Value::Integer(number));
    match code {
        0x40 => Some(Value::Null),
        0x41 => Some(Value::Bool(true)),
        0x42 => Some(Value::Bool(false)),
        0x56 => Some(Value::Bool(cursor.u8()? != 0)),
        0x43 | 0x44 => unsigned(0),
        0x50 | 0x52 | 0x53 => unsigned(cursor.u8()?.into()),
        0x60 => unsigned(cursor.u16()?.into()),
        0x70 => unsigned(cursor.u32()?.into()),
        0x80 => unsigned(cursor.u64()?),
        0x51 | 0x54 | 0x55 => signed((cursor.u8()? as i8).into()),
        0x61 => signed((cursor.u16()? as i16).into()),
        0x71 => signed((cursor.u32()? as i32).into()),
        0x81 | 0x83 => signed(cursor.u64()? as i64),
        0x72 => Some(Value::Float(f32::from_bits(cursor.u32()?).into())),
        0x82 => Some(Value::Float(f64::from_bits(cursor.u64()?))),
        0x73 => Some(Value::from(char::from_u32(cursor.u32()?).unwrap_or('\u{fffd}').to_string())),
        0x74 => Some(Value::Bytes(cursor.take(4)?.to_vec())),
        0x84 => Some(Value::Bytes(cursor.take(8)?.to_vec())),
        0x94 => Some(Value::Bytes(cursor.take(16)?.to_vec())),
        0x98 => Some(Value::from(uuid(cursor.take(16)?))),
        0xa0 => Some(Value::Bytes(cursor.short()?.to_vec())),
        0xb0 => Some(Value::Bytes(cursor.long()?.to_vec())),
        0xa1 => Some(text(cursor.short()?)),
        0xb1 => Some(text(cursor.long()?)),
        0xa3 => Some(Value::from(name(cursor.short()?))),
        0xb3 => Some(Value::from(name(cursor.long()?))),
        0x45 => Some(Value::List(Vec::new())),
        0xc0 => list(cursor.short()?, false, depth),
        0xd0 => list(cursor.long()?, true, depth),
        0xc1 => map(list(cursor.short()?, false, depth)?),
        0xd1 => map(list(cursor.long()?, true, depth)?),
        0xe0 => array(cursor.short()?, false, depth),
        0xf0 => array(cursor.long()?, true, depth),
        _ => None,
    }
}

fn count(cursor: &mut Cursor<'_>, wide: bool) -> Option<usize> {
    if wide { usize::try_from(cursor.u32()?).ok() } else { cursor.u8().map(usize::from) }
}

fn list(bytes: &[u8], wide: bool, depth: u32) -> Option<Value> {
    let mut cursor = Cursor(bytes);
    let count = count(&mut cursor, wide)?;
    let mut items = Vec::new();
    for _ in 0..count.min(MOST_ITEMS) {
        items.push(value(&mut cursor, depth + 1)?);
    }
    Some(Value::List(items))
}

fn map(pairs: Value) -> Option<Value> {
    let Value::List(items) = pairs else { return None };
    let mut map = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        let key = match key {
            Value::Text(key) => key,
            Value::Unsigned(number) => number.to_string().into(),
            Value::Integer(number) => number.to_string().into(),
            _ => "?".into(),
        };
        map.push((key, value));
    }
    Some(Value::Map(map))
}

fn array(bytes: &[u8], wide: bool, depth: u32) -> Option<Value> {
    let mut cursor = Cursor(bytes);
    let count = count(&mut cursor, wide)?;
    let code = cursor.u8()?;
    if code == 0 {
        // An array of described values: nothing in daily use has one.
        return Some(Value::Bytes(cursor.0.to_vec()));
    }
    let mut items = Vec::new();
    for _ in 0..count.min(MOST_ITEMS) {
        items.push(constructed(code, &mut cursor, depth + 1)?);
    }
    Some(Value::List(items))
}

fn uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Descriptors written as symbols.
fn symbol_code(symbol: &str) -> Option<u64> {
    let name = symbol.strip_prefix("amqp:")?;
    let code = match name.split(':').next()? {
        "open" => 0x10,
        "begin" => 0x11,
        "attach" => 0x12,
        "flow" => 0x13,
        "transfer" => 0x14,
        "disposition" => 0x15,
        "detach" => 0x16,
        "end" => 0x17,
        "close" => 0x18,
        "error" => 0x1d,
        "received" => 0x23,
        "accepted" => 0x24,
        "rejected" => 0x25,
        "released" => 0x26,
        "modified" => 0x27,
        "source" => 0x28,
        "target" => 0x29,
        "sasl-mechanisms" => 0x40,
        "sasl-init" => 0x41,
        "sasl-challenge" => 0x42,
        "sasl-response" => 0x43,
        "sasl-outcome" => 0x44,
        _ => return None,
    };
    Some(code)
}

/// The names of described values that stand inside others.
fn state_name(code: u64) -> Option<&'static str> {
    Some(match code {
        0x1d => "error",
        0x23 => "received",
        0x24 => "accepted",
        0x25 => "rejected",
        0x26 => "released",
        0x27 => "modified",
        0x28 => "source",
        0x29 => "target",
        0x30 => "coordinator",
        0x33 => "declared",
        0x34 => "transactional-state",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_kind() {
        let check = |bytes: &[u8], expected: Value| {
            let mut cursor = Cursor(bytes);
            assert_eq!(described(&mut cursor).map(|it| it.value), Some(expected), "{bytes:x?}");
            assert!(cursor.is_empty(), "{bytes:x?}");
            for length in 0..bytes.len() {
                described(&mut Cursor(&bytes[..length]));
            }
        };
        check(&[0x40], Value::Null);
        check(&[0x52, 7], Value::Unsigned(7));
        check(&[0x71, 0xff, 0xff, 0xff, 0xfe], Value::Integer(-2));
        check(&[0xa1, 2, b'h', b'i'], Value::from("hi"));
        check(&[0xc0, 4, 2, 0x41, 0x52, 9], Value::List(vec![Value::Bool(true), Value::Unsigned(9)]));
        check(&[0xc1, 6, 2, 0xa1, 1, b'k', 0x52, 1], Value::Map(vec![("k".into(), Value::Unsigned(1))]));
        check(&[0xe0, 4, 2, 0x50, 1, 2], Value::List(vec![Value::Unsigned(1), Value::Unsigned(2)]));
        check(&[0, 0x53, 0x24, 0x45], Value::List(vec![]));
        assert!(described(&mut Cursor(&[0; 100])).is_none(), "endless descriptors end");
    }
}
