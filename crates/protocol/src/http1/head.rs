//! Header blocks: where they end, and what their fields say (RFC 9112, sections 2 and 5).

use memchr::{memchr, memchr_iter};

use super::start_line::{is_space, is_token, trim, without_returns};
use crate::bytes::{are_plain, are_printable, line_feed};
use crate::lines::KnownLines;
use crate::secrets::is_secret_field;
use crate::{Field, Message, Span};

/// How far a header block that is not all there was searched, so that no byte is searched twice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// Where the line that has no end yet begins.
    pub(super) line: usize,
    /// Up to where there is no line end.
    searched: usize,
    /// Whether the line before was nothing but spaces, so that this one has still to say whether the
    /// block goes on.
    blank: bool,
    /// Whether the first line was found to be a start line.
    pub(super) checked: bool,
}

impl Scan {
    /// Whether nothing was searched yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.searched == 0
    }

    /// The end of the first line, with its line feed.
    pub(super) fn first_line(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.line == 0 {
            self.line = self.next_line(bytes)?;
        }
        Some(self.line)
    }

    /// The end of the block: after its first empty line, or a line of spaces that no text follows. Such
    /// a line folds the one before it where the block goes on, but some take it for the end.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        loop {
            if self.blank {
                let next = *bytes.get(self.line)?;
                if next.is_ascii_control() && !next.is_ascii_whitespace() || !next.is_ascii() {
                    return Some(self.line);
                }
                self.blank = false;
            }
            let start = self.line;
            let end = self.next_line(bytes)?;
            self.line = end;
            match &bytes[start..end] {
                b"\n" | b"\r\n" => return Some(end),
                line if line[0] == b'\r' && without_returns(&line[..line.len() - 1]).is_empty() => return Some(end),
                line if matches!(line[0], b' ' | b'\t') && line.iter().all(u8::is_ascii_whitespace) => {
                    self.blank = true
                }
                _ => {}
            }
        }
    }

    /// The end of the next line.
    pub(super) fn next_line(&mut self, bytes: &[u8]) -> Option<usize> {
        let from = self.searched.max(self.line);
        match line_feed(bytes.get(from..)?) {
            Some(at) => {
                self.searched = from + at + 1;
                Some(self.searched)
            }
            None => {
                self.searched = bytes.len();
                None
            }
        }
    }
}

/// What the fields of a head say of the message's framing.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) length: Length,
    pub(super) lengths: u32,
    pub(super) transfer: Transfer,
    pub(super) connection_upgrade: bool,
    pub(super) upgrade: Option<Span>,
    pub(super) expects: bool,
}

/// What Content-Length says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Length {
    /// Nothing.
    #[default]
    Absent,
    /// A number, as often as it may stand there.
    Known(u64),
    /// Several numbers; the last of them.
    Conflicting(u64),
    /// Something that is no number.
    Invalid,
}

/// What Transfer-Encoding says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Transfer {
    /// Nothing.
    #[default]
    Absent,
    /// The last coding is `chunked`, and it is the only one.
    Chunked,
    /// The last coding is `chunked`, after others.
    CodedChunked,
    /// `identity`.
    Identity,
    /// The last coding is not `chunked`.
    Other,
}

/// Where the fields go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    Headers,
    Trailers,
}

/// Reads a block of field lines (up to its empty line, where that is there) into the message.
/// `span` is where `block` already stands in the message. Lines that `known` has are not read again.
pub(super) fn read_fields(
    block: &[u8],
    span: Span,
    into: Block,
    message: &mut Message,
    known: &mut KnownLines,
) -> Fields {
    let mut fields = Fields::default();
    let mut odd = false;
    let mut list = match into {
        Block::Headers => std::mem::take(&mut message.headers),
        Block::Trailers => std::mem::take(&mut message.trailers),
    };
    let mut at = 0;
    while at < block.len() {
        let end = line_end(block, at);
        let line = &block[at..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut next = end + 1;
        let is_folded = matches!(block.get(next), Some(b' ' | b'\t'));
        if !is_folded && let Some(line) = known.find(line) {
            if into == Block::Headers
                && let Some((name, value)) = line.meaning()
            {
                read_field(name, value, line.value(span, at), message, &mut fields);
            }
            list.push(line.field(span, at));
            at = next;
            continue;
        }
        odd |= is_odd(line);
        let line = without_returns(line);
        if line.is_empty() {
            break;
        }
        if is_folded {
            let mut value = value_of(line).to_vec();
            while matches!(block.get(next), Some(b' ' | b'\t')) {
                let end = line_end(block, next);
                let more = &block[next..end];
                odd |= is_odd(more.strip_suffix(b"\r").unwrap_or(more));
                fold(&mut value, without_returns(more));
                next = end + 1;
            }
            message.note("folded header line");
            let value = (&value[..], message.put(&value));
            read_line(line, at, span, Some(value), into, &mut list, message, &mut fields, known);
        } else {
            read_line(line, at, span, None, into, &mut list, message, &mut fields, known);
        }
        at = next;
    }
    if odd {
        note_odd_bytes(block, message);
    }
    match into {
        Block::Headers => message.headers = list,
        Block::Trailers => message.trailers = list,
    }
    fields
}

fn line_end(block: &[u8], at: usize) -> usize {
    line_feed(&block[at..]).map_or(block.len(), |feed| at + feed)
}

/// What stands behind the colon of a field's first line.
fn value_of(line: &[u8]) -> &[u8] {
    let from = memchr(b':', line).map_or(line.len(), |colon| colon + 1);
    let (from, to) = trim(line, (from, line.len()));
    &line[from..to]
}

/// Adds a folded line (RFC 9112, section 5.2) to the value before it.
fn fold(value: &mut Vec<u8>, line: &[u8]) {
    let (from, to) = trim(line, (0, line.len()));
    if !value.is_empty() && from < to {
        value.push(b' ');
    }
    value.extend_from_slice(&line[from..to]);
}

/// Reads a field from its first line; `folded` is its value, and where that stands in the message,
/// where more lines belong to it.
#[expect(clippy::too_many_arguments, reason = "one step of the function above, which has all of them at hand")]
fn read_line(
    line: &[u8],
    at: usize,
    span: Span,
    folded: Option<(&[u8], Span)>,
    into: Block,
    list: &mut Vec<Field>,
    message: &mut Message,
    fields: &mut Fields,
    known: &mut KnownLines,
) {
    if matches!(line[0], b' ' | b'\t') {
        message.note("space before a header name");
    }
    let Some(colon) = memchr(b':', line) else {
        message.note("header line without a colon");
        let nothing = span.part(at + line.len(), at + line.len());
        list.push(Field {
            name: Some(span.part(at, at + line.len())),
            value: Some(folded.map_or(nothing, |(_, span)| span)),
            secret: false,
            plain: false,
        });
        return;
    };
    let name = trim(line, (0, colon));
    let mut value = (colon + 1, line.len());
    // As it mostly is: one space.
    if line.get(value.0) == Some(&b' ') {
        value.0 += 1;
    }
    let plain = |byte: Option<&u8>| byte.is_none_or(|byte| !is_space(*byte));
    if !plain(line.get(value.0)) || !plain(line.last()) {
        value = trim(line, value);
    }
    let name_bytes = &line[name.0..name.1];
    let (value_bytes, value_span) = match folded {
        Some(folded) => folded,
        None => (&line[value.0..value.1], span.part(at + value.0, at + value.1)),
    };
    if name.1 != colon {
        message.note("space before the colon of a header");
    }
    if into == Block::Headers {
        read_field(name_bytes, value_bytes, value_span, message, fields);
    }
    let field = Field {
        name: Some(span.part(at + name.0, at + name.1)),
        value: Some(value_span),
        secret: is_secret_field(name_bytes),
        plain: are_plain(name_bytes) && are_plain(value_bytes),
    };
    list.push(field);
    if name_bytes.is_empty() {
        message.note("header without a name");
    } else if folded.is_none() && name == (0, colon) && !is_odd(line) {
        known.keep(line, colon, value, &field, matters(name_bytes));
    }
}

/// Whether [`read_field`] may do something with a field of this name.
fn matters(name: &[u8]) -> bool {
    let names = ["host", "expect", "upgrade", "connection", "content-length", "transfer-encoding"];
    names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Reads the fields that matter here.
fn read_field(name: &[u8], value: &[u8], span: Span, message: &mut Message, fields: &mut Fields) {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    match name.len() {
        4 if is("host") => match message.host {
            None => message.host = Some(span),
            Some(host) if message.text(host) != value => message.note("several Host headers: the first counts"),
            Some(_) => {}
        },
        6 if is("expect") => fields.expects = value.eq_ignore_ascii_case(b"100-continue"),
        7 if is("upgrade") => fields.upgrade = fields.upgrade.or(Some(span)),
        10 if is("connection") => fields.connection_upgrade |= lists(value, b"upgrade"),
        14 if is("content-length") => {
            fields.lengths += 1;
            for part in value.split(|byte| *byte == b',') {
                fields.length = fields.length.and(part.trim_ascii());
            }
        }
        17 if is("transfer-encoding") => {
            for coding in value.split(|byte| *byte == b',') {
                fields.transfer = fields.transfer.and(coding.trim_ascii());
            }
        }
        _ => {}
    }
}

/// Whether a comma-separated list has this word.
fn lists(value: &[u8], word: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(word))
}

impl Length {
    fn and(self, digits: &[u8]) -> Length {
        let number = if digits.is_empty() || digits.len() > 18 {
            None
        } else {
            digits
                .iter()
                .try_fold(0u64, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
        };
        match (self, number) {
            (Length::Absent, Some(number)) => Length::Known(number),
            (Length::Known(known), Some(number)) if known == number => self,
            (Length::Known(_) | Length::Conflicting(_) | Length::Invalid, Some(number)) => Length::Conflicting(number),
            (Length::Known(known) | Length::Conflicting(known), None) => Length::Conflicting(known),
            (Length::Absent | Length::Invalid, None) => Length::Invalid,
        }
    }
}

impl Transfer {
    fn and(self, coding: &[u8]) -> Transfer {
        if coding.is_empty() {
            return self;
        }
        let coded = !matches!(self, Transfer::Absent | Transfer::Identity);
        if coding.eq_ignore_ascii_case(b"chunked") {
            if coded { Transfer::CodedChunked } else { Transfer::Chunked }
        } else if coding.eq_ignore_ascii_case(b"identity") {
            if coded { self } else { Transfer::Identity }
        } else {
            Transfer::Other
        }
    }
}

/// Whether a line, without its line end, has bytes that do not belong there: controls other than
/// tabs, or bytes beyond ASCII.
pub(super) fn is_odd(line: &[u8]) -> bool {
    !are_printable(line) && line.iter().any(|byte| !matches!(byte, 0x20..0x7f | b'\t'))
}

/// Says which odd bytes there are.
pub(super) fn note_odd_bytes(block: &[u8], message: &mut Message) {
    if block.contains(&0) {
        message.note("NUL bytes in the head");
    }
    if block.iter().any(|byte| *byte != 0 && byte.is_ascii_control() && !matches!(byte, b'\n' | b'\r' | b'\t')) {
        message.note("control bytes in the head");
    }
    if !block.is_ascii() {
        message.note("bytes beyond ASCII in the head");
    }
    if memchr_iter(b'\r', block).any(|at| block.get(at + 1).is_some_and(|next| *next != b'\n')) {
        message.note("carriage return without a line feed in the head");
    }
}

/// Whether `line` can stand in a header block: a field, or nothing.
pub(super) fn is_field_line(line: &[u8]) -> bool {
    let line = without_returns(line);
    line.is_empty()
        || memchr(b':', line).is_some_and(|colon| colon > 0 && line[..colon].iter().all(|byte| is_token(*byte)))
}

/// Notes line ends that are bare line feeds, by a block's first line with its line end.
pub(super) fn note_line_ends(line: &[u8], message: &mut Message) {
    if !line.ends_with(b"\r\n") {
        message.note("line ends without a carriage return");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_end_of_a_head_however_it_comes() {
        for (head, rest) in [
            ("a\r\nb\r\n\r\n", "x\r\n\r\n"),
            ("a\nb\n\n", ""),
            ("a\n\r\n", "\n"),
            ("a\r\n\n", ""),
            ("a\r\r\n\r\r\n", "x"),
        ] {
            let bytes = [head.as_bytes(), rest.as_bytes()].concat();
            assert_eq!(Scan::default().end(&bytes), Some(head.len()), "{head:?}");
            let mut scan = Scan::default();
            for length in 0..head.len() {
                assert_eq!(scan.end(&bytes[..length]), None, "{head:?} {length}");
            }
            assert_eq!(scan.end(&bytes[..head.len()]), Some(head.len()), "{head:?}");
        }
    }

    #[test]
    fn a_line_of_spaces_ends_a_head_that_no_text_follows() {
        for (rest, ends) in [
            ("\x1f\n\n", true),
            ("é\n\n", true),
            ("B: 1\n\n", false),
            ("more\n\n", false),
            (" more\n\n", false),
            ("\n", false),
            ("\r\n", false),
        ] {
            let bytes = ["A: 1\n \t\r\n", rest].concat().into_bytes();
            let blank = bytes.len() - rest.len();
            let expected = if ends { blank } else { bytes.len() };
            assert_eq!(Scan::default().end(&bytes), Some(expected), "{rest:?}");
            let mut scan = Scan::default();
            let ended = (0..=bytes.len()).find_map(|length| scan.end(&bytes[..length]));
            assert_eq!(ended, Some(expected), "{rest:?} byte by byte");
        }
    }

    #[test]
    fn reads_lengths() {
        let read = |values: &[&str]| values.iter().fold(Length::Absent, |length, value| length.and(value.as_bytes()));
        assert_eq!(read(&["12"]), Length::Known(12));
        assert_eq!(read(&["12", "12"]), Length::Known(12));
        assert_eq!(read(&["12", "13"]), Length::Conflicting(13));
        assert_eq!(read(&["-1"]), Length::Invalid);
        assert_eq!(read(&["9999999999999999999999"]), Length::Invalid);
        assert_eq!(read(&["x", "7"]), Length::Conflicting(7));
    }
}
