//! Told by banner and commands: a greeting alone could be FTP's.

use l7trace_event::Side;

use crate::{Prefix, Recognition, Sample};

/// The longest first line that is waited for.
const MOST_OF_LINE: usize = 2048;

/// Beginnings that no other protocol's client has.
const CERTAIN: &[&str] = &[
    "EHLO ",
    "HELO ",
    "LHLO ",
    "EHLO\r",
    "HELO\r",
    "EHLO\n",
    "HELO\n",
    "MAIL FROM:",
    "RCPT TO:",
    "MAIL FROM <",
    "RCPT TO <",
];

/// Words of an SMTP client that others use as well: they count after an SMTP banner.
const AFTER_A_BANNER: &[&str] =
    &["NOOP", "QUIT", "RSET", "AUTH", "STARTTLS", "HELP", "VRFY", "EXPN", "XCLIENT", "DATA", "BDAT"];

/// Words in a banner that say what it is.
const IN_A_BANNER: &[&[u8]] = &[b"SMTP", b"LMTP"];

/// Keywords in the answer to EHLO.
const CAPABILITIES: &[&str] =
    &["PIPELINING", "8BITMIME", "SIZE", "STARTTLS", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8", "DSN"];

#[derive(PartialEq, Eq)]
enum Seems {
    Client,
    Server,
    /// A client, if the other side is an SMTP server.
    ClientPerhaps,
    More,
    No,
}

pub(super) fn recognise(sample: &Sample<'_>) -> Recognition {
    let mut verdict = Recognition::No;
    for side in Side::BOTH {
        let (this, other) = (sample.side(side), sample.side(side.other()));
        if this.bytes.is_empty() {
            continue;
        }
        match seems(this) {
            Seems::Client => return Recognition::Yes { client: side },
            Seems::Server => return Recognition::Yes { client: side.other() },
            Seems::ClientPerhaps if other.bytes.is_empty() => verdict = Recognition::More,
            Seems::ClientPerhaps if is_greeting(other.bytes) => return Recognition::Yes { client: side },
            // A greeting that could be FTP's: what the client says next decides.
            Seems::More if matches!(seems(other), Seems::No) && !other.bytes.is_empty() => return Recognition::No,
            Seems::More => verdict = Recognition::More,
            Seems::ClientPerhaps | Seems::No => return Recognition::No,
        }
    }
    verdict
}

fn seems(prefix: Prefix<'_>) -> Seems {
    let Some(bytes) = without_proxy_line(prefix.bytes) else {
        return if prefix.ended { Seems::No } else { Seems::More };
    };
    if bytes.first().is_some_and(u8::is_ascii_digit) {
        return seems_server(bytes, prefix);
    }
    if CERTAIN.iter().any(|word| starts_with(bytes, word)) {
        return Seems::Client;
    }
    if !prefix.ended && CERTAIN.iter().any(|word| starts_with(word.as_bytes(), &String::from_utf8_lossy(bytes))) {
        return Seems::More;
    }
    let word = bytes.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
    let known = AFTER_A_BANNER.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()));
    if known && prefix.from_start { Seems::ClientPerhaps } else { Seems::No }
}

fn seems_server(bytes: &[u8], prefix: Prefix<'_>) -> Seems {
    let whole = memchr::memchr(b'\n', bytes);
    let line = &bytes[..whole.unwrap_or(bytes.len()).min(MOST_OF_LINE)];
    let shaped =
        line.iter().take(3).all(u8::is_ascii_digit) && line.get(3).is_none_or(|byte| matches!(byte, b' ' | b'-'));
    if !shaped {
        return Seems::No;
    }
    let says = |word: &&[u8]| line.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word));
    let greets = line.starts_with(b"220") || line.starts_with(b"554") || line.starts_with(b"421");
    // One that names FTP as well may be FTP's: what the client says next decides.
    let may_be_ftp = says(&&b" FTP"[..]) || says(&&b"FTPD"[..]);
    if greets && !may_be_ftp && IN_A_BANNER.iter().any(says) && whole.is_some() {
        return Seems::Server;
    }
    if line.starts_with(b"250-") && bytes.split(|byte| *byte == b'\n').skip(1).any(is_capability) {
        return Seems::Server;
    }
    if (greets || line.starts_with(b"250-") || line.len() < 4) && !prefix.ended && bytes.len() < MOST_OF_LINE {
        Seems::More
    } else {
        Seems::No
    }
}

fn is_capability(line: &[u8]) -> bool {
    line.get(4..).is_some_and(|text| CAPABILITIES.iter().any(|word| starts_with(text, word)))
}

fn is_greeting(bytes: &[u8]) -> bool {
    bytes.starts_with(b"220")
        && IN_A_BANNER.iter().any(|word| bytes.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word)))
}

/// What follows a PROXY protocol line (version 1), or everything where there is none; none where the
/// line is not whole yet.
fn without_proxy_line(bytes: &[u8]) -> Option<&[u8]> {
    if !bytes.starts_with(b"PROXY ") {
        return Some(bytes);
    }
    let end = memchr::memchr(b'\n', bytes)?;
    bytes.get(end + 1..).filter(|rest| !rest.is_empty())
}

fn starts_with(bytes: &[u8], word: &str) -> bool {
    bytes.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
}
