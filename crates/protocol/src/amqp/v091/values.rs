//! Field tables and content properties, with every type (as RabbitMQ and its clients write them).

use super::super::cursor::{Cursor, name, text};
use crate::Value;

/// How deep tables and arrays may nest.
const DEEPEST: u32 = 16;

/// How many fields of one table or array are kept.
const MOST_FIELDS: usize = 1024;

/// A field table with its length.
pub(super) fn table(cursor: &mut Cursor<'_>) -> Option<Value> {
    table_within(cursor, 0)
}

fn table_within(cursor: &mut Cursor<'_>, depth: u32) -> Option<Value> {
    let mut fields = Cursor(cursor.long()?);
    let mut map = Vec::new();
    while !fields.is_empty() && map.len() < MOST_FIELDS {
        let key = name(fields.short()?);
        map.push((key.into(), value(&mut fields, depth)?));
    }
    Some(Value::Map(map))
}

fn value(cursor: &mut Cursor<'_>, depth: u32) -> Option<Value> {
    if depth > DEEPEST {
        return None;
    }
    let signed = |number: i64| Value::Integer(number);
    Some(match cursor.u8()? {
        b't' => Value::Bool(cursor.u8()? != 0),
        b'b' => signed(i64::from(cursor.u8()? as i8)),
        b'B' => Value::from(u64::from(cursor.u8()?)),
        b's' | b'U' => signed(i64::from(cursor.u16()? as i16)),
        b'u' => Value::from(u64::from(cursor.u16()?)),
        b'I' => signed(i64::from(cursor.u32()? as i32)),
        b'i' => Value::from(u64::from(cursor.u32()?)),
        b'l' | b'L' => signed(cursor.u64()? as i64),
        b'f' => Value::Float(f64::from(f32::from_bits(cursor.u32()?))),
        b'd' => Value::Float(f64::from_bits(cursor.u64()?)),
        b'D' => {
            let scale = cursor.u8()?;
            let number = i64::from(cursor.u32()? as i32);
            Value::from(decimal(number, usize::from(scale)))
        }
        b'S' => text(cursor.long()?),
        b'x' => Value::Bytes(cursor.long()?.to_vec()),
        b'T' => Value::from(cursor.u64()?),
        b'F' => table_within(cursor, depth + 1)?,
        b'A' => {
            let mut items = Cursor(cursor.long()?);
            let mut list = Vec::new();
            while !items.is_empty() && list.len() < MOST_FIELDS {
                list.push(value(&mut items, depth + 1)?);
            }
            Value::List(list)
        }
        b'V' => Value::Null,
        _ => return None,
    })
}

/// The properties of a content header, in the order of their flags (specification, section 1.8).
pub(super) fn properties(cursor: &mut Cursor<'_>) -> Option<Vec<(&'static str, Value)>> {
    const NAMES: [&str; 14] = [
        "content_type",
        "content_encoding",
        "headers",
        "delivery_mode",
        "priority",
        "correlation_id",
        "reply_to",
        "expiration",
        "message_id",
        "timestamp",
        "type",
        "user_id",
        "app_id",
        "cluster_id",
    ];
    let flags = cursor.u16()?;
    let mut found = Vec::new();
    for (index, property) in NAMES.into_iter().enumerate() {
        if flags >> (15 - index) & 1 == 0 {
            continue;
        }
        let value = match property {
            "headers" => table(cursor)?,
            "delivery_mode" | "priority" => Value::from(u64::from(cursor.u8()?)),
            "timestamp" => Value::from(cursor.u64()?),
            _ => text(cursor.short()?),
        };
        found.push((property, value));
    }
    Some(found)
}

/// `number` with so many digits behind the point.
fn decimal(number: i64, scale: usize) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_their_point() {
        let check = |number, scale, expected: &str| assert_eq!(decimal(number, scale), expected);
        check(1234, 2, "12.34");
        check(-5, 3, "-0.005");
        check(7, 0, "7");
        check(0, 1, "0.0");
        check(-1200, 2, "-12.00");
    }
}
