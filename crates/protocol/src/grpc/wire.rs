//! The wire format of Protocol Buffers, field by field.

/// A field as the wire has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error("it ends within a field")]
    Truncated,
    #[error("a number of more than ten bytes")]
    LongVarint,
    #[error("a field number of 0, or beyond the largest")]
    FieldNumber,
    #[error("a wire type that is not known or no longer used")]
    WireType,
}

/// Reads the field that `bytes` begin with: its number, its value, and what follows it.
pub(super) fn field(bytes: &[u8]) -> Result<(u32, Wire<'_>, &[u8]), Wrong> {
    let (tag, rest) = varint(bytes)?;
    let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number));
    let number = number.ok_or(Wrong::FieldNumber)?;
    let (value, rest) = match tag & 7 {
        0 => {
            let (value, rest) = varint(rest)?;
            (Wire::Varint(value), rest)
        }
        1 => {
            let (value, rest) = rest.split_first_chunk::<8>().ok_or(Wrong::Truncated)?;
            (Wire::Fixed64(*value), rest)
        }
        2 => {
            let (length, rest) = varint(rest)?;
            let length = usize::try_from(length).map_err(|_| Wrong::Truncated)?;
            let (value, rest) = rest.split_at_checked(length).ok_or(Wrong::Truncated)?;
            (Wire::Bytes(value), rest)
        }
        5 => {
            let (value, rest) = rest.split_first_chunk::<4>().ok_or(Wrong::Truncated)?;
            (Wire::Fixed32(*value), rest)
        }
        _ => return Err(Wrong::WireType),
    };
    Ok((number, value, rest))
}

/// Reads the number that `bytes` begin with, and what follows it.
pub(super) fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), Wrong> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index).min(63);
        if byte & 0x80 == 0 {
            return Ok((value, &bytes[index + 1..]));
        }
    }
    Err(if bytes.len() >= 10 { Wrong::LongVarint } else { Wrong::Truncated })
}
