//! Whether a connection speaks HTTP/1, told from its bytes alone.

use l7trace_event::Side;

use super::search::{is_status_start, known_method};
use super::start_line::{is_space, is_token, is_version_1, line_of, request_line, starts_with_name, status_line};
use super::switch::PREFACE;
use crate::{Prefix, Recognition, Sample};

/// What one side's bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// It asks.
    Request,
    /// It answers.
    Response,
    /// It may be either, or something else.
    Perhaps,
    /// It says nothing yet.
    Nothing,
    /// It is no HTTP/1.
    Other,
}

/// Recognises HTTP/1 by the first line of either side.
pub(super) fn recognise(sample: &Sample<'_>) -> Recognition {
    let says = Side::BOTH.map(|side| says(sample.side(side)));
    let client_if = |which: Says, client: fn(Side) -> Side| {
        let mut sides = Side::BOTH.into_iter().filter(|side| says[side.index()] == which);
        match (sides.next(), sides.next()) {
            // Both say the same: who opened the connection asks.
            (Some(side), Some(_)) => Some(sample.initiator.unwrap_or(client(side))),
            (Some(side), None) => Some(client(side)),
            _ => None,
        }
    };
    if let Some(client) = client_if(Says::Request, |side| side).or(client_if(Says::Response, Side::other)) {
        return Recognition::Yes { client };
    }
    if says.contains(&Says::Perhaps) { Recognition::More } else { Recognition::No }
}

fn says(prefix: Prefix<'_>) -> Says {
    let empty = prefix.bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let bytes = &prefix.bytes[empty..];
    if bytes.is_empty() {
        return if prefix.bytes.is_empty() || prefix.ended { Says::Nothing } else { Says::Perhaps };
    }
    let as_response = response(bytes, prefix);
    if as_response != Says::Other { as_response } else { request(bytes, prefix) }
}

/// `HTTP/1.1 200`: told by its first bytes.
fn response(bytes: &[u8], prefix: Prefix<'_>) -> Says {
    let ended = prefix.ended;
    const NAME: &[u8] = b"HTTP/1.";
    if is_status_start(bytes) {
        return Says::Response;
    }
    let shown = bytes.len().min(NAME.len());
    if bytes[..shown].eq_ignore_ascii_case(&NAME[..shown]) {
        return match line_of(bytes) {
            // In the middle of a connection, `HTTP/1.1` alone is the end of a request line.
            Some((line, _))
                if status_line(line).is_some_and(|line| {
                    line.version.1 - line.version.0 < 32 && (prefix.from_start || line.status.is_some())
                }) =>
            {
                Says::Response
            }
            Some(_) => Says::Other,
            None if shown == NAME.len() && prefix.from_start && (ended || bytes.len() > NAME.len() + 64) => {
                Says::Response
            }
            None if ended || bytes.len() > 256 => Says::Other,
            None => Says::Perhaps,
        };
    }
    // `HTTP/2.0 200`, `HTTP /1.1 200`, ` HTTP/1.1 200`: odd, and still answers.
    let start = bytes.iter().take_while(|byte| **byte == b' ').count();
    if !starts_with_name(&bytes[start..]) {
        return Says::Other;
    }
    match line_of(bytes) {
        Some((line, _)) => match status_line(line) {
            Some(line) if line.code >= 100 => Says::Response,
            _ => Says::Other,
        },
        None if bytes.len() > 256 || ended => Says::Other,
        None => Says::Perhaps,
    }
}

/// `GET /x HTTP/1.1`: told by the end of its first line.
fn request(bytes: &[u8], prefix: Prefix<'_>) -> Says {
    if let Some((text, length)) = line_of(bytes) {
        let Some(line) = request_line(text) else { return Says::Other };
        let Some((from, to)) = line.version else {
            return simple_request(bytes, length, prefix);
        };
        let version = &text[from..to];
        // Controls in a target are an evil client's, and do not hide its request.
        let text_like = text.iter().all(|byte| *byte >= 0x20 || is_space(*byte) || *byte == 0)
            || (known_method(text).is_some() && is_version_1(version));
        return if text == PREFACE || version.len() > 16 || !text_like { Says::Other } else { Says::Request };
    }
    if !may_be_request(bytes) {
        Says::Other
    } else if prefix.ended || bytes.len() > SHORT_LINE {
        // The first line breaks off, or goes on and on: what there is of it must be beyond doubt.
        let beyond_doubt = known_method(bytes).is_some_and(|method| {
            matches!(bytes.get(method.len() + 1), Some(b'/' | b'*' | b'h')) || method == "CONNECT"
        });
        match (beyond_doubt, prefix.ended) {
            (true, _) => Says::Request,
            (false, true) => Says::Other,
            (false, false) => Says::Perhaps,
        }
    } else {
        Says::Perhaps
    }
}

/// A line of so many bytes has its end soon, or is a request's long target.
const SHORT_LINE: usize = 4 << 10;

/// A request line without a version: HTTP/0.9's `GET /x`, or one that lacks it by mistake and has
/// header fields. Other protocols have a GET too (Redis, memcached): its target tells.
fn simple_request(bytes: &[u8], length: usize, prefix: Prefix<'_>) -> Says {
    let is_path = bytes.starts_with(b"GET /") || bytes.starts_with(b"GET http://");
    if !is_path || !prefix.from_start {
        return Says::Other;
    }
    match line_of(&bytes[length..]) {
        Some((next, _)) if next.is_empty() || super::head::is_field_line(next) => Says::Request,
        Some(_) => Says::Other,
        None if bytes.len() == length => Says::Request,
        None => Says::Perhaps,
    }
}

/// Whether bytes without a line end may begin a request line.
fn may_be_request(bytes: &[u8]) -> bool {
    const LONGEST: usize = 32;
    let method = bytes.iter().take_while(|byte| is_token(**byte)).count();
    match bytes.get(method) {
        None => method <= LONGEST,
        Some(b' ') => {
            (1..=LONGEST).contains(&method)
                && bytes[method..].iter().all(|byte| *byte >= 0x20 || *byte == b'\t' || *byte == b'\r')
        }
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(a: &[u8], b: &[u8], ended: bool, expected: Recognition) {
        let prefix = |bytes| Prefix { bytes, from_start: true, since_start: true, ended };
        let sample = Sample { sides: [prefix(a), prefix(b)], initiator: None };
        assert_eq!(recognise(&sample), expected, "{} / {}", a.escape_ascii(), b.escape_ascii());
    }

    #[test]
    fn either_side_tells() {
        let yes = |client| Recognition::Yes { client };
        check(b"GET / HTTP/1.1\r\n", b"", false, yes(Side::A));
        check(b"", b"FROB /a b HTTP/1.0\r\n", false, yes(Side::B));
        check(b"HTTP/1.1 200 OK\r\n", b"", false, yes(Side::B));
        check(b"HTTP/1.1 200", b"", false, yes(Side::B));
        check(b"\r\n\r\nGET / HTTP/1.1\r\n", b"", false, yes(Side::A));
        check(b"GET /x\r\n", b"", false, yes(Side::A));
        check(b"CONNECT a:1 HTTP/1.1\n", b"\x16\x03", false, yes(Side::A));
        check(b"GET /looooong", b"", true, yes(Side::A));
        check(b"GET /\x1b[31m\x07 HTTP/1.1\r\n", b"", false, yes(Side::A));
        check(&[&b"GET /"[..], &[b'o'; SHORT_LINE]].concat(), b"", false, yes(Side::A));
    }

    #[test]
    fn waits_for_what_may_become_http() {
        for bytes in [&b"G"[..], b"GET", b"GET /", b"HT", b"HTTP/1.", b"INVENTED /x HTT", b"\r\n"] {
            check(bytes, b"", false, Recognition::More);
        }
    }

    #[test]
    fn leaves_other_protocols_alone() {
        for bytes in [
            &b"EHLO example.org\r\n"[..],
            b"220 mail ready\r\n",
            b"USER anonymous\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"OPTIONS rtsp://a/b RTSP/1.0\r\n",
            b"INVITE sip:a@b SIP/2.0\r\n",
            b"RTSP/1.0 200 OK\r\n",
            b"PRI * HTTP/2.0\r\n",
            b"GET key\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"\x16\x03\x01\x02\x00",
            b"\x00\x00\x12\x04",
            b"AMQP\x00\x00\x09\x01",
            b"\x10\x0c\x00\x04MQTT",
            b"a1 LOGIN x y\r\n",
            b"NICK x\r\n",
        ] {
            check(bytes, b"", false, Recognition::No);
            check(b"", bytes, true, Recognition::No);
        }
        check(b"GET", b"", true, Recognition::No);
    }

    #[test]
    fn the_end_of_a_request_line_is_no_status_line() {
        let prefix = |bytes| Prefix { bytes, ..Prefix::default() };
        let sides = [prefix(b"HTTP/1.1\r\nHost: a\r\n\r\n"), prefix(b"HTTP/1.1 200 OK\r\n")];
        let sample = Sample { sides, initiator: None };
        assert_eq!(recognise(&sample), Recognition::Yes { client: Side::A });
    }
}
