//! A command line, taken apart.

/// What a command line says.
pub(super) struct Command<'a> {
    /// The verb as sent.
    pub(super) verb: &'a [u8],
    /// What it is about: a path, a name, a mechanism, a size.
    pub(super) resource: Option<&'a [u8]>,
    /// ESMTP parameters of MAIL and RCPT; other arguments elsewhere.
    pub(super) parameters: &'a [u8],
    pub(super) kind: Kind,
}

/// How a command changes what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Hello,
    /// LHLO: replies to the message come one for each recipient.
    LocalHello,
    Mail,
    Recipient,
    Data,
    /// BDAT with its chunk's length and whether it is the last.
    Chunk(u64, bool),
    Authenticate,
    StartTls,
    Reset,
    Quit,
    Other,
}

/// The longest word that is taken for a verb.
const MOST_OF_VERB: usize = 32;

impl<'a> Command<'a> {
    /// Takes a line apart, without its line end. None where it has no verb.
    pub(super) fn parse(line: &'a [u8]) -> Option<Command<'a>> {
        let line = line.trim_ascii();
        let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
        let (verb, rest) = line.split_at(end);
        if verb.is_empty() || verb.len() > MOST_OF_VERB || !verb.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let rest = rest.trim_ascii();
        let some = |text: &'a [u8]| (!text.is_empty()).then_some(text);
        let upper = verb.to_ascii_uppercase();
        let (kind, resource, parameters) = match upper.as_slice() {
            b"HELO" | b"EHLO" => (Kind::Hello, some(rest), &b""[..]),
            b"LHLO" => (Kind::LocalHello, some(rest), &b""[..]),
            b"MAIL" => {
                let (path, parameters) = path(rest, b"FROM");
                (Kind::Mail, some(path), parameters)
            }
            b"RCPT" => {
                let (path, parameters) = path(rest, b"TO");
                (Kind::Recipient, some(path), parameters)
            }
            b"DATA" => (Kind::Data, some(rest), &b""[..]),
            b"BDAT" => match chunk(rest) {
                Some((length, last)) => (Kind::Chunk(length, last), some(rest), &b""[..]),
                None => (Kind::Other, some(rest), &b""[..]),
            },
            b"AUTH" => {
                let (mechanism, initial) = first_word(rest);
                (Kind::Authenticate, some(mechanism), initial)
            }
            b"STARTTLS" => (Kind::StartTls, some(rest), &b""[..]),
            b"RSET" => (Kind::Reset, some(rest), &b""[..]),
            b"QUIT" => (Kind::Quit, some(rest), &b""[..]),
            _ => (Kind::Other, some(rest), &b""[..]),
        };
        Some(Command { verb, resource, parameters, kind })
    }
}

/// `FROM:<a@b> SIZE=5`: the path with its angle brackets, and what follows.
fn path<'a>(rest: &'a [u8], word: &[u8]) -> (&'a [u8], &'a [u8]) {
    let after_word = match rest.get(..word.len()) {
        Some(start) if start.eq_ignore_ascii_case(word) => rest[word.len()..].trim_ascii_start(),
        _ => rest,
    };
    let path = after_word.strip_prefix(b":").unwrap_or(after_word).trim_ascii_start();
    if path.first() != Some(&b'<') {
        return first_word(path);
    }
    // A quoted local part may hold anything, a closing bracket too.
    let (mut quoted, mut escaped) = (false, false);
    for (index, byte) in path.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return (&path[..=index], path[index + 1..].trim_ascii()),
            _ => {}
        }
    }
    first_word(path)
}

fn first_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii())
}

/// `1000 LAST`: RFC 3030, section 2. A word other than LAST is refused by servers, and no data is
/// meant by it.
fn chunk(rest: &[u8]) -> Option<(u64, bool)> {
    let (digits, last) = first_word(rest);
    let length = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match last {
        b"" => Some((length, false)),
        word if word.eq_ignore_ascii_case(b"LAST") => Some((length, true)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_apart() {
        let check = |line: &str, verb: &str, resource: Option<&str>, parameters: &str, kind: Kind| {
            let command = Command::parse(line.as_bytes()).unwrap();
            assert_eq!(command.verb, verb.as_bytes(), "{line}");
            assert_eq!(command.resource, resource.map(str::as_bytes), "{line}");
            assert_eq!(command.parameters, parameters.as_bytes(), "{line}");
            assert_eq!(command.kind, kind, "{line}");
        };
        check("EHLO a.example", "EHLO", Some("a.example"), "", Kind::Hello);
        check("mail from: <a@b> SIZE=5 BODY=8BITMIME", "mail", Some("<a@b>"), "SIZE=5 BODY=8BITMIME", Kind::Mail);
        check("MAIL FROM:a@b", "MAIL", Some("a@b"), "", Kind::Mail);
        check(
            "RCPT TO:<\"odd> one\"@b> NOTIFY=NEVER",
            "RCPT",
            Some("<\"odd> one\"@b>"),
            "NOTIFY=NEVER",
            Kind::Recipient,
        );
        check("MAIL FROM:<>", "MAIL", Some("<>"), "", Kind::Mail);
        check("BDAT 86 LAST", "BDAT", Some("86 LAST"), "", Kind::Chunk(86, true));
        check("BDAT 5 X", "BDAT", Some("5 X"), "", Kind::Other);
        check("AUTH PLAIN AGEAYg==", "AUTH", Some("PLAIN"), "AGEAYg==", Kind::Authenticate);
        check("NOOP", "NOOP", None, "", Kind::Other);
        assert!(Command::parse(b"").is_none() && Command::parse(b"  ").is_none());
        assert!(Command::parse(b"\x16\x03\x01\x02").is_none());
    }
}
