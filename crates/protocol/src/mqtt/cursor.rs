//! Every field of MQTT is read through here, so that no length in a packet is ever trusted.

use std::borrow::Cow;

use crate::Value;

/// Why something could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// The bytes end before the field does.
    Short,
    /// The field is not what the standard allows.
    Wrong(&'static str),
}

impl Malformed {
    /// What to tell a person about a packet that is all there.
    pub(super) fn why(self) -> &'static str {
        match self {
            Malformed::Short => "a field runs past the end of the packet",
            Malformed::Wrong(why) => why,
        }
    }
}

/// Reads the fields of a packet one after another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    consumed: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { rest: bytes, consumed: 0 }
    }

    /// How many bytes were read.
    pub(super) fn consumed(&self) -> usize {
        self.consumed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed::Short)?;
        self.rest = rest;
        self.consumed += count;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn two_bytes(&mut self) -> Result<u16, Malformed> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn four_bytes(&mut self) -> Result<u32, Malformed> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A variable byte integer: seven bits a byte, the lowest first, at most four bytes
    /// (MQTT 5.0, 1.5.5).
    pub(super) fn variable(&mut self) -> Result<u32, Malformed> {
        let mut value = 0;
        for index in 0..4 {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Wrong("a length of more than four bytes"))
    }

    /// Text or binary data behind its two-byte length.
    pub(super) fn data(&mut self) -> Result<&'a [u8], Malformed> {
        let before = *self;
        let length = self.two_bytes()?;
        let data = self.take(usize::from(length));
        if data.is_err() {
            *self = before;
        }
        data
    }
}

/// Text as a value; bytes where it is not UTF-8.
pub(super) fn text_value(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::Text(Cow::Owned(text.to_owned())),
        Err(_) => Value::Bytes(bytes.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_byte_integers() {
        let check = |bytes: &[u8], expected| assert_eq!(Cursor::new(bytes).variable(), expected, "{bytes:?}");
        check(&[0], Ok(0));
        check(&[0x7f], Ok(127));
        check(&[0x80, 1], Ok(128));
        check(&[0xff, 0xff, 0xff, 0x7f], Ok(268_435_455));
        check(&[0xff, 0xff, 0xff, 0xff, 1], Err(Malformed::Wrong("a length of more than four bytes")));
        check(&[0x80], Err(Malformed::Short));
        check(&[], Err(Malformed::Short));
    }

    #[test]
    fn data_that_runs_past_the_end_is_not_consumed() {
        let mut cursor = Cursor::new(&[0, 2, b'a']);
        assert_eq!(cursor.data(), Err(Malformed::Short));
        assert_eq!(cursor.consumed(), 0);
    }
}
