//! Request lines and status lines (RFC 9112, sections 3 and 4), as strangers write them.

use memchr::{memchr, memrchr};

use crate::bytes::line_feed;

/// A part of a line: from, to.
pub(super) type Part = (usize, usize);

/// What the first line of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine {
    pub(super) method: Part,
    /// What stands between the method and the last ` HTTP/`, without the space around it.
    pub(super) target: Part,
    /// `HTTP/1.1`; none: HTTP/0.9.
    pub(super) version: Option<Part>,
    /// Whether there is space where none belongs.
    pub(super) spacious: bool,
}

/// What the first line of a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StatusLine {
    pub(super) version: Part,
    /// The code as a number's digits: what stands in the three characters of the status code, up to
    /// the first that is no digit, without leading zeros (`0200` is 020, hence 20); none where there
    /// is no digit.
    pub(super) status: Option<Part>,
    /// The same as a number; 0 where there is none.
    pub(super) code: u16,
    /// All that stands where the code should be.
    pub(super) word: Part,
}

/// The longest method, in bytes.
pub(super) const LONGEST_METHOD: usize = 256;

/// Reads a request line, given without its line end. None where it cannot be one.
pub(super) fn request_line(line: &[u8]) -> Option<RequestLine> {
    let start = line.iter().position(|byte| !is_space(*byte))?;
    let method_end = start + line[start..].iter().position(|byte| !is_token(*byte))?;
    if method_end - start > LONGEST_METHOD || !is_space(line[method_end]) {
        return None;
    }
    let version = version_of(line);
    let rest = (method_end, version.map_or(line.len(), |(from, _)| from));
    let target = trim(line, rest);
    let spacious = start > 0
        || target.0 != method_end + 1
        || line[method_end] != b' '
        || version.is_some_and(|(from, to)| target.1 + 1 != from || to != line.len());
    // `GET HTTP/1.1`: a request without a target.
    let target = if target.0 >= target.1 { (target.0.min(rest.1), target.0.min(rest.1)) } else { target };
    Some(RequestLine { method: (start, method_end), target, version, spacious })
}

/// Reads a status line, given without its line end. None where it cannot be one: it begins with
/// `HTTP`, in capitals, or with the `ICY` of old radio streams.
pub(super) fn status_line(line: &[u8]) -> Option<StatusLine> {
    // As it nearly always is.
    if let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', digits @ ..] = line
        && let [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9', rest @ ..] = digits
        && matches!(rest, [] | [b' ', ..])
    {
        let code = digits[..3].iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        return Some(StatusLine { version: (0, 8), status: Some((9, 12)), code, word: (9, 12) });
    }
    if !line.starts_with(b"HTTP") && !line.starts_with(b"ICY ") {
        return None;
    }
    let version_end = next_space(line, 0);
    let word = version_end + line[version_end..].iter().take_while(|byte| **byte == b' ').count();
    let word_end = next_space(line, word);
    // RFC 9112, section 4: three characters. A carriage return in the version ends the line for many.
    let clean = !line[..version_end].contains(&b'\r');
    let field = if clean { line[word..word_end].first_chunk::<3>() } else { None };
    let (blank, digits) = field.map_or((0, 0), |field| {
        let blank = field.iter().take_while(|byte| is_space(**byte)).count();
        (blank, field[blank..].iter().take_while(|byte| byte.is_ascii_digit()).count())
    });
    let (from, to) = (word + blank, word + blank + digits);
    let zeros = line[from..to].iter().take_while(|byte| **byte == b'0').count().min(digits.saturating_sub(1));
    let code = line[from..to].iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    let status = (digits > 0).then_some((from + zeros, to));
    Some(StatusLine { version: (0, version_end), status, code, word: (word, word_end) })
}

/// The next space (and no other blank), or the end.
fn next_space(line: &[u8], from: usize) -> usize {
    memchr(b' ', &line[from..]).map_or(line.len(), |space| from + space)
}

/// Whether the bytes begin with `HTTP`, in any case.
pub(super) fn starts_with_name(bytes: &[u8]) -> bool {
    bytes.len() >= 4 && bytes[..4].eq_ignore_ascii_case(b"HTTP")
}

/// Where the last ` HTTP/…` of a request line stands, without its space.
fn version_of(line: &[u8]) -> Option<Part> {
    const LONGEST: usize = " HTTP/1.1".len();
    // As it mostly is.
    if let Some(tail) = line.len().checked_sub(LONGEST).and_then(|at| line.get(at..))
        && tail[..8] == *b" HTTP/1."
    {
        return Some((line.len() - LONGEST + 1, line.len()));
    }
    let mut end = line.len();
    while let Some(space) = line[..end].iter().rposition(|byte| is_space(*byte)) {
        let word = &line[space + 1..];
        if starts_with_name(word) && word.get(4) == Some(&b'/') {
            return Some((space + 1, trim(line, (space + 1, line.len())).1));
        }
        end = space;
    }
    None
}

/// Whether a version is of HTTP/1: `HTTP/1.1`, `http/1.0`.
pub(super) fn is_version_1(version: &[u8]) -> bool {
    version.len() == 8 && starts_with_name(version) && version[4..7] == *b"/1." && version[7].is_ascii_digit()
}

/// Whether a byte may stand in a method or a field name (RFC 9110, section 5.6.2).
#[inline]
pub(super) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Looked up, as it is asked for every byte of every method.
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = (byte as u8).is_ascii_alphanumeric()
            || matches!(
                byte as u8,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte += 1;
    }
    table
};

/// Space within a line. Servers take vertical tabs, form feeds and lone carriage returns for it too.
#[inline]
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0b | 0x0c | b'\r')
}

/// The line that begins `bytes`, without its line end, and how long it is with it; none where its
/// end is not there. Any number of carriage returns belong to the line end.
#[inline]
pub(super) fn line_of(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = line_feed(bytes)?;
    Some((without_returns(&bytes[..end]), end + 1))
}

/// The same bytes without the carriage returns at their end.
#[inline]
pub(super) fn without_returns(line: &[u8]) -> &[u8] {
    match line {
        [rest @ .., b'\r'] if rest.last() != Some(&b'\r') => rest,
        [.., b'\r'] => {
            let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
            &line[..end]
        }
        _ => line,
    }
}

/// Where the last line of `bytes` begins.
pub(super) fn last_line(bytes: &[u8]) -> usize {
    memrchr(b'\n', bytes).map_or(0, |end| end + 1)
}

/// The part without space at its ends.
#[inline]
pub(super) fn trim(line: &[u8], (mut from, mut to): Part) -> Part {
    while from < to && is_space(line[from]) {
        from += 1;
    }
    while to > from && is_space(line[to - 1]) {
        to -= 1;
    }
    (from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn request(line: &str, expected: Option<(&str, &str, &str)>) {
        let given = request_line(line.as_bytes());
        let text = |(from, to): Part| &line[from..to];
        let given = given.map(|it| (text(it.method), text(it.target), it.version.map_or("", text)));
        assert_eq!(given, expected, "{line}");
    }

    #[test]
    fn reads_request_lines() {
        request("GET /x HTTP/1.1", Some(("GET", "/x", "HTTP/1.1")));
        request("GET / a HTTP/1.1 b HTTP/1.0", Some(("GET", "/ a HTTP/1.1 b", "HTTP/1.0")));
        request("GET  /x\t HTTP/1.1 ", Some(("GET", "/x", "HTTP/1.1")));
        request("M-SEARCH * http/1.1", Some(("M-SEARCH", "*", "http/1.1")));
        request("CONNECT a:443 HTTP/11.23", Some(("CONNECT", "a:443", "HTTP/11.23")));
        request("GET HTTP/1.1", Some(("GET", "", "HTTP/1.1")));
        request("GET /", Some(("GET", "/", "")));
        request(" GET /", Some(("GET", "/", "")));
        request("GET", None);
        request("", None);
        request("G\u{1}T / HTTP/1.1", None);
    }

    #[track_caller]
    fn status(line: &str, expected: Option<(&str, &str)>) {
        let text = |(from, to): Part| &line[from..to];
        let given = status_line(line.as_bytes());
        assert_eq!(given.map(|it| (it.status.map_or("", text), text(it.word))), expected, "{line}");
    }

    #[test]
    fn reads_status_lines() {
        status("HTTP/1.1 200 OK", Some(("200", "200")));
        status("HTTP/1.1 200", Some(("200", "200")));
        status("HTTP/1.0  404  x", Some(("404", "404")));
        status("HTTP/1.1 \t200 OK", Some(("20", "\t200")));
        status("HTTP/1.1\u{b}200\u{b}OK", Some(("", "")));
        status("HTTP/1.1\r 200 OK", Some(("", "200")));
        status("HTTP/1.1 20 OK", Some(("", "20")));
        status("http/1.1 200 OK", None);
        status(" HTTP/1.1 200 OK", None);
        status("HTTP/1.1 0200 OK", Some(("20", "0200")));
        status("HTTP/1.1 2xx OK", Some(("2", "2xx")));
        status("HTTP/1.1 000 OK", Some(("0", "000")));
        status("HTTP/1.1 ok", Some(("", "ok")));
        status("HTTP/1.1", Some(("", "")));
        status("ICY 200 OK", Some(("200", "200")));
        status("220 ready", None);
    }
}
