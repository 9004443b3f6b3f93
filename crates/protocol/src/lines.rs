//! Header lines lately read: a host's traffic says the same few lines over and over.

use crate::{Field, Span};

/// What reading a header line gave, by the line itself, for the lines that came last.
///
/// A small table without order: a line has one place, and takes it from whichever line had it.
#[derive(Default)]
pub(crate) struct KnownLines {
    /// Made when the first line is kept.
    places: Vec<Known>,
}

/// A line that could be read without a remark, and what it says.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    length: u8,
    name_end: u8,
    value: (u8, u8),
    secret: bool,
    plain: bool,
    /// Whether the field means something to who reads the message.
    matters: bool,
    bytes: [u8; LONGEST],
}

/// The longest line that is kept: nearly all are shorter.
const LONGEST: usize = 120;
const PLACES: usize = 256;
/// Shorter lines are not worth it, and have no two words of bytes.
const SHORTEST: usize = 8;

const NONE: Known =
    Known { length: 0, name_end: 0, value: (0, 0), secret: false, plain: false, matters: false, bytes: [0; LONGEST] };

impl KnownLines {
    /// What this line, without its line end, was found to say.
    #[inline]
    pub(crate) fn find(&self, line: &[u8]) -> Option<&Known> {
        let known = self.places.get(place_of(line)?)?;
        (known.length as usize == line.len() && known.bytes[..line.len()] == *line).then_some(known)
    }

    /// Keeps what a line says: `name_end` and `value` are places in it. Not for lines that need a
    /// remark, which nothing would make again.
    pub(crate) fn keep(&mut self, line: &[u8], name_end: usize, value: (usize, usize), field: &Field, matters: bool) {
        let Some(place) = place_of(line) else { return };
        if self.places.is_empty() {
            self.places.resize(PLACES, NONE);
        }
        let Some(known) = self.places.get_mut(place) else { return };
        let Some(bytes) = known.bytes.get_mut(..line.len()) else { return };
        bytes.copy_from_slice(line);
        // All of them are at most `LONGEST`.
        known.length = line.len() as u8;
        known.name_end = name_end as u8;
        known.value = (value.0 as u8, value.1 as u8);
        known.secret = field.secret;
        known.plain = field.plain;
        known.matters = matters;
    }
}

impl Known {
    /// The field, for a line that stands at `at` within `span`.
    #[inline]
    pub(crate) fn field(&self, span: Span, at: usize) -> Field {
        Field {
            name: Some(span.part(at, at + self.name_end as usize)),
            value: Some(self.value(span, at)),
            secret: self.secret,
            plain: self.plain,
        }
    }

    /// The field's value alone.
    #[inline]
    pub(crate) fn value(&self, span: Span, at: usize) -> Span {
        span.part(at + self.value.0 as usize, at + self.value.1 as usize)
    }

    /// The name and the value, where the field means something to who reads the message.
    #[inline]
    pub(crate) fn meaning(&self) -> Option<(&[u8], &[u8])> {
        let (from, to) = (self.value.0 as usize, self.value.1 as usize);
        self.matters.then_some((&self.bytes[..self.name_end as usize], &self.bytes[from..to]))
    }
}

/// Where a line has its place; none for lines that have none.
#[inline]
fn place_of(line: &[u8]) -> Option<usize> {
    if !(SHORTEST..=LONGEST).contains(&line.len()) {
        return None;
    }
    let first = u64::from_le_bytes(*line.first_chunk()?);
    let last = u64::from_le_bytes(*line.last_chunk()?);
    let mixed = (first ^ last.rotate_left(29) ^ line.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Some((mixed >> (u64::BITS - PLACES.trailing_zeros())) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    #[test]
    fn a_line_is_known_by_all_of_its_bytes() {
        let mut lines = KnownLines::default();
        let mut message = Message::new("test", l7trace_event::Direction::ClientToServer, crate::Role::Request);
        let line = b"Content-Length: 12345";
        let span = message.put(b"xxContent-Length: 12345");
        let field = Field { name: None, value: None, secret: false, plain: true };
        assert!(lines.find(line).is_none());
        lines.keep(line, 14, (16, 21), &field, true);
        let known = lines.find(line).expect("it was kept");
        assert_eq!(known.meaning(), Some((&b"Content-Length"[..], &b"12345"[..])));
        let field = known.field(span, 2);
        assert_eq!(message.text_of(field.name), Some(&b"Content-Length"[..]));
        assert_eq!(message.text_of(field.value), Some(&b"12345"[..]));
        // The same first and last words, and so the same place.
        for other in [&b"Content-Length: 22345"[..], b"Content-xength: 12345", b"Content-Length:  12345", b"short", b""]
        {
            assert!(lines.find(other).is_none(), "{}", other.escape_ascii());
        }
        lines.keep(&[b'a'; LONGEST + 1], 1, (2, 3), &field, false);
        assert!(lines.find(&[b'a'; LONGEST + 1]).is_none());
    }
}
