//! Content coding undone (RFC 9110, section 8.4), for bodies that `--body` keeps.
//!
//! A parser collects a body as it was sent in [`Message::body`], up to [`keep_limit`] bytes, and
//! calls [`undo`] when the message ends. Output is bounded at every step of a chain of codings, so
//! that a decompression bomb costs no more than the body that was asked for.

mod brotli;
mod deflate;
mod inflater;
mod zstd;

#[expect(unused_imports, reason = "for permessage-deflate")]
pub(crate) use inflater::Inflater;

use crate::{Message, Note};

/// How many bytes of a body to collect as sent, so that `body_limit` bytes of it can be shown:
/// none where none are asked for; more than `body_limit` where it is coded, as a coding has
/// headers, tables and blocks of its own (a zstd block tells nothing until all of it is there).
pub(crate) fn keep_limit(message: &Message, body_limit: usize) -> usize {
    if body_limit == 0 {
        return 0;
    }
    let slack = codings_of(message).map(Coding::slack).max();
    slack.map_or(body_limit, |slack| body_limit.saturating_add(body_limit / 8).saturating_add(slack))
}

/// Undoes the codings that `message`'s Content-Encoding fields name, in place, and cuts the body to
/// `body_limit` bytes. `complete` says whether [`Message::body`] holds all of the body as it was sent.
pub(crate) fn undo(message: &mut Message, complete: bool, body_limit: usize) {
    let body = std::mem::take(&mut message.body);
    let decoded = if body.is_empty() {
        Decoded { body, truncated: !complete, note: None }
    } else {
        decode(codings_of(message), body, complete, body_limit)
    };
    message.body = decoded.body;
    message.body_truncated |= decoded.truncated;
    if let Some(note) = decoded.note {
        message.note(note);
    }
}

/// What [`decode`] gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// At most as many bytes as were asked for.
    pub(crate) body: Vec<u8>,
    /// Whether there is more than `body`.
    pub(crate) truncated: bool,
    /// What was wrong with the coding.
    pub(crate) note: Option<Note>,
}

/// Undoes `codings`, given in the order in which they were applied, and cuts to `limit` bytes.
/// `complete` says whether `encoded` is all there is.
pub(crate) fn decode<'a>(
    codings: impl Iterator<Item = Coding<'a>>,
    encoded: Vec<u8>,
    complete: bool,
    limit: usize,
) -> Decoded {
    let mut body = encoded;
    let mut complete = complete;
    let mut note = None;
    let mut chain: Vec<Coding<'a>> = codings.take(MOST_CODINGS + 1).collect();
    if chain.len() > MOST_CODINGS {
        note = Some("too many content codings: body as sent".into());
        chain.clear();
    }
    while let Some(coding) = chain.pop() {
        let inner_slack = chain.iter().map(|coding| coding.slack()).max();
        // One more than is shown, to tell whether there is more.
        let most = limit.saturating_add(1).saturating_add(inner_slack.map_or(0, |slack| limit / 8 + slack));
        let mut output = Vec::new();
        let stop = match coding {
            Coding::Gzip => deflate::gzip(&body, most, &mut output),
            Coding::Deflate => deflate::deflate(&body, most, &mut output),
            Coding::Brotli => brotli::brotli(&body, most, &mut output),
            Coding::Zstd => zstd::zstd(&body, most, &mut output),
            Coding::Unknown(name) => {
                let name = String::from_utf8_lossy(name);
                note = Some(format!("content coding {name} is not known: body as sent").into());
                break;
            }
        };
        let name = coding.name();
        match stop {
            Stop::End => {}
            Stop::Limit => complete = false,
            Stop::Short if !complete => {}
            Stop::Short => {
                // All that its sender gave is there.
                note = Some(format!("content coding {name} ends early").into());
            }
            Stop::Broken if output.is_empty() => {
                note = Some(format!("content coding {name} does not hold: body as sent").into());
                break;
            }
            Stop::Broken => {
                note = Some(format!("content coding {name} breaks off: body up to there").into());
                complete = false;
            }
            Stop::Checksum => note = Some(format!("checksum of content coding {name} is wrong").into()),
            Stop::Trailing => note = Some(format!("bytes after the end of content coding {name}").into()),
        }
        body = output;
    }
    let truncated = !complete || body.len() > limit;
    body.truncate(limit);
    Decoded { body, truncated, note }
}

/// More codings than this are nobody's honest intention.
const MOST_CODINGS: usize = 8;

/// One coding of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding<'a> {
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 1950, or RFC 1951 as some send it.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
    /// Anything else, by its name.
    Unknown(&'a [u8]),
}

impl Coding<'_> {
    /// The coding of this name; none for `identity` and for nothing.
    pub(crate) fn named(name: &[u8]) -> Option<Coding<'_>> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        Some(match name {
            _ if name.is_empty() || is("identity") => return None,
            _ if is("gzip") || is("x-gzip") => Coding::Gzip,
            _ if is("deflate") => Coding::Deflate,
            _ if is("br") => Coding::Brotli,
            _ if is("zstd") => Coding::Zstd,
            _ => Coding::Unknown(name),
        })
    }

    /// Whether it is the unknown coding of this name.
    pub(crate) fn is_named(self, name: &[u8]) -> bool {
        matches!(self, Coding::Unknown(given) if given.eq_ignore_ascii_case(name))
    }

    fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
            Coding::Unknown(_) => "unknown",
        }
    }

    /// How much longer than its content the coding may be, beyond an eighth.
    fn slack(self) -> usize {
        match self {
            Coding::Gzip | Coding::Deflate | Coding::Brotli => 16 << 10,
            Coding::Zstd => 132 << 10,
            Coding::Unknown(_) => 0,
        }
    }
}

/// The codings in a list such as `gzip, br`, in the order in which they were applied.
pub(crate) fn codings_in(list: &[u8]) -> impl Iterator<Item = Coding<'_>> {
    list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter_map(Coding::named)
}

fn codings_of(message: &Message) -> impl Iterator<Item = Coding<'_>> {
    message
        .headers
        .iter()
        .filter(|field| message.text_of(field.name).is_some_and(|name| name.eq_ignore_ascii_case(b"content-encoding")))
        .filter_map(|field| message.text_of(field.value))
        .flat_map(codings_in)
}

/// Why a decoder stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// At the end of the coding and of the input.
    End,
    /// It gave as much as was asked for.
    Limit,
    /// The input ended before the coding did.
    Short,
    /// The input is not of this coding.
    Broken,
    /// At the end, but the checksum does not match.
    Checksum,
    /// At the end of the coding; more input follows.
    Trailing,
}

#[cfg(test)]
mod tests;
