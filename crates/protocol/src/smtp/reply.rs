//! A reply: one or more lines with one code.

/// The most that is kept of a reply's text.
const MOST_OF_TEXT: usize = 16 << 10;

/// A reply that is being put together.
#[derive(Default)]
pub(super) struct Reply {
    pub(super) code: u16,
    /// The text of each line, without the code.
    pub(super) lines: Vec<Vec<u8>>,
    kept: usize,
}

/// What one line of a server is.
pub(super) enum Line<'a> {
    /// A code, whether more lines follow, and the text.
    Reply(u16, bool, &'a [u8]),
    /// Not a reply.
    Other,
}

impl<'a> Line<'a> {
    /// Takes a line apart, without its line end.
    pub(super) fn parse(line: &'a [u8]) -> Line<'a> {
        let Some((digits, rest)) = line.split_at_checked(3) else { return Line::Other };
        if !(b'2'..=b'5').contains(&digits[0]) || !digits.iter().all(u8::is_ascii_digit) {
            return Line::Other;
        }
        let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        match rest.split_first() {
            None => Line::Reply(code, false, b""),
            Some((b' ', text)) => Line::Reply(code, false, text),
            Some((b'-', text)) => Line::Reply(code, true, text),
            Some(_) => Line::Other,
        }
    }
}

impl Reply {
    /// Adds a line's text, within limits.
    pub(super) fn add(&mut self, code: u16, text: &[u8]) {
        self.code = code;
        if self.kept + text.len() <= MOST_OF_TEXT {
            self.kept += text.len() + 1;
            self.lines.push(text.to_vec());
        }
    }

    /// RFC 3463's code at the beginning of the text (`5.7.1`).
    pub(super) fn enhanced(&self) -> Option<&str> {
        let first = self.lines.first()?;
        let end = first.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.').unwrap_or(first.len());
        let code = std::str::from_utf8(&first[..end]).ok()?;
        let mut parts = code.split('.');
        let class = parts.next()?;
        let valid = matches!(class, "2" | "4" | "5") && class.parse() == Ok(self.code / 100);
        let numbers = parts.filter(|part| (1..=3).contains(&part.len())).count();
        (valid && numbers == 2 && code.matches('.').count() == 2).then_some(code)
    }
}
