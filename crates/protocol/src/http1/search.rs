//! The next start of a message in bytes whose place is not known: after a gap, after a start in the
//! middle, and after bytes that are no HTTP.
//!
//! Only what is unmistakable counts: a whole start line of HTTP/1, followed by a field line or an
//! empty one. It is looked for in the bytes themselves and not at the starts of chunks, so that how
//! they are cut makes no difference.

use l7trace_event::Direction;
use memchr::memmem;

use super::head::{Scan, is_field_line};
use super::start_line::{is_version_1, request_line, without_returns};
use super::switch::PREFACE;

/// Where a search stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Search {
    scan: Scan,
    /// The line that is being read began before what is known of it.
    in_line: bool,
    /// The line that is being read may have begun before what is known of it.
    perhaps_in_line: bool,
}

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A message starts here.
    Start(usize),
    /// None starts in so many bytes; the rest waits for more.
    Nothing(usize),
}

/// The longest start line that is found again, in bytes.
const LONGEST_LINE: usize = 64 << 10;

/// How much of a longer line is kept, as the end of a body may stand before a start line.
const KEPT_OF_LINE: usize = 16 << 10;

impl Search {
    /// A search that begins in the middle of a line.
    pub(super) fn in_line() -> Search {
        Search { in_line: true, ..Search::default() }
    }

    /// A search from where a connection was joined: messages mostly begin there.
    pub(super) fn joined() -> Search {
        Search { perhaps_in_line: true, ..Search::default() }
    }

    /// Searches on in `bytes`, from where the last call consumed. `last`: nothing will follow them.
    pub(super) fn next(&mut self, bytes: &[u8], direction: Direction, last: bool) -> Found {
        let mut from = 0;
        loop {
            let rest = &bytes[from..];
            let Some(end) = self.scan.first_line(rest) else {
                if rest.len() <= LONGEST_LINE {
                    return Found::Nothing(from);
                }
                *self = Search::in_line();
                return Found::Nothing(bytes.len() - KEPT_OF_LINE);
            };
            let line = without_returns(&rest[..end - 1]);
            let start = match direction {
                Direction::ClientToServer => request_start(line, self.in_line, self.perhaps_in_line),
                Direction::ServerToClient => response_start(line),
            };
            if let Some(start) = start {
                let mut after = self.scan;
                match after.next_line(rest) {
                    Some(next) if is_field_line(&rest[end..next - 1]) => return Found::Start(from + start),
                    Some(_) => {}
                    None if last || rest.len() - end > LONGEST_LINE => return Found::Start(from + start),
                    None => {
                        self.scan = after;
                        return Found::Nothing(from);
                    }
                }
            }
            *self = Search::default();
            from += end;
        }
    }
}

/// Where a request begins in a line, if one does.
fn request_start(line: &[u8], in_line: bool, perhaps_in_line: bool) -> Option<usize> {
    let text = line.trim_ascii_end();
    if text.ends_with(PREFACE) {
        return Some(text.len() - PREFACE.len());
    }
    let version = text.len().checked_sub(8)?;
    if !is_version_1(&text[version..]) || !line[..version].ends_with(b" ") {
        return None;
    }
    if !in_line
        && let Some(it) = request_line(line)
        && it.target.0 < it.target.1
        && is_method(&line[it.method.0..it.method.1])
        && !(perhaps_in_line && is_odd_end_of_method(&line[it.method.0..it.method.1]))
    {
        return Some(0);
    }
    // Something stands before it: then only a method that is known tells where it begins.
    (0..version).find(|start| {
        let Some(method) = known_method(&line[*start..]) else { return false };
        let target = start + method.len() + 1;
        matches!(line.get(target), Some(b'/' | b'*' | b'h' | b'H')) || method == "CONNECT"
    })
}

/// Where a response begins in a line, if one does.
fn response_start(line: &[u8]) -> Option<usize> {
    memmem::find_iter(line, b"HTTP/1.").find(|start| is_status_start(&line[*start..]))
}

/// Whether bytes begin with a status line that cannot be mistaken.
pub(super) fn is_status_start(bytes: &[u8]) -> bool {
    match bytes {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor, b' ', a, b, c, rest @ ..] => {
            minor.is_ascii_digit()
                && [a, b, c].iter().all(|digit| digit.is_ascii_digit())
                && matches!(rest.first(), None | Some(b' ' | b'\r' | b'\n'))
        }
        _ => false,
    }
}

/// Whether a method, of whatever name, is written as methods are.
fn is_method(method: &[u8]) -> bool {
    method.iter().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_') || byte.is_ascii_digit())
}

/// Whether a method that nobody knows is the end of one that is known, or ends with one.
fn is_odd_end_of_method(method: &[u8]) -> bool {
    let known = || KNOWN_METHODS.iter().map(|known| known.as_bytes());
    !known().any(|known| known == method) && known().any(|known| known.ends_with(method) || method.ends_with(known))
}

/// The known method that bytes begin with, followed by a space.
pub(super) fn known_method(bytes: &[u8]) -> Option<&'static str> {
    KNOWN_METHODS
        .iter()
        .copied()
        .find(|method| bytes.get(method.len()) == Some(&b' ') && bytes.starts_with(method.as_bytes()))
}

/// Whether bytes could go on to begin with a known method and a space.
pub(super) fn begins_known_method(bytes: &[u8]) -> bool {
    KNOWN_METHODS.iter().any(|method| method.as_bytes().starts_with(bytes)) || known_method(bytes).is_some()
}

/// Those of the IANA registry that are met, and what else is common: RPC over HTTP, BITS, UPnP,
/// caches, Icecast.
static KNOWN_METHODS: &[&str] = &[
    "GET",
    "POST",
    "HEAD",
    "PUT",
    "DELETE",
    "OPTIONS",
    "CONNECT",
    "PATCH",
    "TRACE",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "SEARCH",
    "REPORT",
    "MKCALENDAR",
    "MKACTIVITY",
    "CHECKOUT",
    "CHECKIN",
    "UNCHECKOUT",
    "VERSION-CONTROL",
    "BASELINE-CONTROL",
    "MERGE",
    "LABEL",
    "UPDATE",
    "ACL",
    "BIND",
    "UNBIND",
    "REBIND",
    "LINK",
    "UNLINK",
    "ORDERPATCH",
    "QUERY",
    "NOTIFY",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "M-SEARCH",
    "PURGE",
    "BAN",
    "REFRESH",
    "SOURCE",
    "STATS",
    "RPC_IN_DATA",
    "RPC_OUT_DATA",
    "BITS_POST",
    "POLL",
    "DEBUG",
    "TRACK",
    "PRI",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(direction: Direction, mut search: Search, bytes: &str, expected: Option<&str>) {
        let found = match search.next(bytes.as_bytes(), direction, true) {
            Found::Start(at) => Some(&bytes[at..]),
            Found::Nothing(_) => None,
        };
        assert_eq!(found, expected, "{bytes:?}");
    }

    #[test]
    fn finds_the_next_request() {
        let check = |search, bytes, expected| check(Direction::ClientToServer, search, bytes, expected);
        check(Search::default(), "X: y\r\n\r\nFROB /x HTTP/1.1\r\nA: b\r\n", Some("FROB /x HTTP/1.1\r\nA: b\r\n"));
        check(Search::joined(), "FROB /x HTTP/1.1\r\n\r\n", Some("FROB /x HTTP/1.1\r\n\r\n"));
        check(Search::joined(), "OST /x HTTP/1.1\r\n\r\n", None);
        check(Search::joined(), "1GET /x HTTP/1.1\r\n\r\n", Some("GET /x HTTP/1.1\r\n\r\n"));
        check(Search::in_line(), "GET /x HTTP/1.1\r\n\r\n", Some("GET /x HTTP/1.1\r\n\r\n"));
        check(Search::in_line(), "ET /x HTTP/1.1\r\n\r\n", None);
        check(Search::in_line(), "a=bGET /x HTTP/1.1\r\n\r\n", Some("GET /x HTTP/1.1\r\n\r\n"));
        check(Search::default(), "GET /x HTTP/1.1\r\nno field\r\n", None);
        check(Search::in_line(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        check(Search::default(), "GET /x RTSP/1.0\r\n\r\n", None);
    }

    #[test]
    fn finds_the_next_response() {
        let check = |bytes, expected| check(Direction::ServerToClient, Search::in_line(), bytes, expected);
        check("</html>HTTP/1.1 200 OK\r\nA: b\r\n", Some("HTTP/1.1 200 OK\r\nA: b\r\n"));
        check("over HTTP/1.1\nHTTP/1.0 404\r\n\r\n", Some("HTTP/1.0 404\r\n\r\n"));
        check("TTP/1.1 200 OK\r\nA: b\r\n", None);
    }
}
