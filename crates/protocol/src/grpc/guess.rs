//! A message whose type is not known, read by the wire format alone: a guess.

use std::borrow::Cow;

use super::wire::{self, Wire, Wrong};
use crate::Value;

/// Messages within messages within messages.
const MOST_DEPTH: u32 = 16;
/// Fields of one message, in all its depths.
const MOST_FIELDS: usize = 10_000;

/// The message by field numbers: `{"1": "text", "2": 7, "3": {"1": …}}`; a field that comes again
/// and again is a list.
///
/// The wire format does not tell text from bytes, messages and packed numbers. Text is what is
/// printable UTF-8; a message is what reads as one to its end; packed numbers are two or more
/// varints of no more bytes than needed; all else is bytes. Text that reads as a message of nothing but
/// texts is that.
pub(super) fn message(bytes: &[u8]) -> Result<Value, Wrong> {
    let mut budget = MOST_FIELDS;
    read(bytes, 0, &mut budget)
}

fn read(bytes: &[u8], depth: u32, budget: &mut usize) -> Result<Value, Wrong> {
    let mut fields: Vec<(u32, Vec<Value>)> = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (number, value, after) = wire::field(rest)?;
        rest = after;
        if *budget == 0 {
            break;
        }
        *budget -= 1;
        let value = match value {
            Wire::Varint(value) => Value::Unsigned(value),
            Wire::Fixed64(value) => float_or_integer(f64::from_le_bytes(value), u64::from_le_bytes(value)),
            Wire::Fixed32(value) => {
                float_or_integer(f32::from_le_bytes(value).into(), u32::from_le_bytes(value).into())
            }
            Wire::Bytes(value) => delimited(value, depth, budget),
        };
        // Fields mostly come in order: the last is the likeliest.
        match fields.iter_mut().rev().take(64).find(|(known, _)| *known == number) {
            Some((_, values)) => values.push(value),
            None => fields.push((number, vec![value])),
        }
    }
    let named = fields.into_iter().map(|(number, mut values)| {
        let value = if values.len() == 1 { values.remove(0) } else { Value::List(values) };
        (Cow::Owned(number.to_string()), value)
    });
    Ok(Value::Map(named.collect()))
}

fn delimited(bytes: &[u8], depth: u32, budget: &mut usize) -> Value {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !is_made_of_lengths(bytes)
        && text.chars().all(|char| !char.is_control() || matches!(char, '\n' | '\r' | '\t'))
    {
        return Value::from(text.to_owned());
    }
    let before = *budget;
    if depth < MOST_DEPTH
        && let Ok(message) = read(bytes, depth + 1, budget)
    {
        return message;
    }
    *budget = before;
    packed(bytes, budget).unwrap_or_else(|| Value::Bytes(bytes.to_vec()))
}

/// Whether printable bytes are, to the last one, fields that begin with their length, as a message of
/// longer texts is: chance seldom makes text so.
fn is_made_of_lengths(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        match wire::field(rest) {
            Ok((_, Wire::Bytes(_), after)) => rest = after,
            _ => return false,
        }
    }
    !bytes.is_empty()
}

fn packed(bytes: &[u8], budget: &mut usize) -> Option<Value> {
    let (mut numbers, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (number, after) = wire::varint(rest).ok()?;
        let taken = rest.len() - after.len();
        let needed = (64 - number.leading_zeros()).div_ceil(7).max(1) as usize;
        if taken != needed || numbers.len() >= *budget {
            return None;
        }
        numbers.push(Value::Unsigned(number));
        rest = after;
    }
    *budget -= numbers.len();
    (numbers.len() > 1).then_some(Value::List(numbers))
}

/// Floating-point numbers that people use are neither tiny nor huge; integers, read as such, are.
fn float_or_integer(float: f64, integer: u64) -> Value {
    let size = float.abs();
    if (1e-9..1e15).contains(&size) { Value::Float(float) } else { Value::Unsigned(integer) }
}
