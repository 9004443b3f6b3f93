//! Where frames begin, when bytes before them were not seen.
//!
//! Nothing marks a frame's beginning. What tells it is that a header there can be believed, that
//! its length leads to another such header, and that streams named are those that are open.

use l7trace_event::Direction;

use super::frame::{self, FrameHeader};
use super::hpack::{Decoder, Scratch};
use super::settings;

/// What can be said of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A frame begins here.
    Yes,
    /// None does.
    No,
    /// It takes more bytes to tell.
    More,
}

/// What is known beside the bytes.
pub(super) struct Known<'a> {
    pub(super) direction: Direction,
    /// The longest frame that is believed.
    pub(super) limit: u32,
    /// Whether a stream is open.
    pub(super) is_open: &'a dyn Fn(u32) -> bool,
    /// Whether a stream may exist.
    pub(super) may_exist: &'a dyn Fn(u32) -> bool,
    /// Whether something else says that a frame may begin here: one fewer is needed.
    pub(super) expected: bool,
    /// Whether no more bytes will come.
    pub(super) at_end: bool,
}

/// How many headers in a row are believed whatever they say.
const CHAIN: u32 = 3;

/// Judges whether a frame begins where `bytes` do.
pub(super) fn judge(bytes: &[u8], known: &Known<'_>) -> Verdict {
    let needed = CHAIN - u32::from(known.expected);
    let (mut rest, mut headers, mut telling_headers) = (bytes, 0, 0);
    loop {
        let Some(header) = FrameHeader::parse(rest) else {
            // What is left is shorter than a header: at the end of all bytes the chain has to end
            // with them, and nothing at all is no chain.
            return match (known.at_end, rest.is_empty() && headers > 0) {
                (true, true) => Verdict::Yes,
                (true, false) => Verdict::No,
                (false, _) => Verdict::More,
            };
        };
        if !is_believable(&header, known) {
            return Verdict::No;
        }
        let payload = rest.get(frame::HEADER_LENGTH..header.whole_length());
        if let Some(payload) = payload
            && !fits(&header, payload)
        {
            return Verdict::No;
        }
        if payload.is_none() && is_judged_by_payload(&header) && !known.at_end {
            return Verdict::More;
        }
        let telling = is_telling(&header, payload, known);
        if headers == 0 && !telling && !known.expected {
            // Bytes that merely look like a header may lead to a true one by chance: frames that
            // say so little are passed over.
            return Verdict::No;
        }
        headers += 1;
        telling_headers += u32::from(telling);
        let sure = telling && payload.is_some() && header.kind != frame::DATA;
        if headers >= needed || telling_headers >= 2 || sure {
            return Verdict::Yes;
        }
        match rest.get(header.whole_length()..) {
            Some(after) => rest = after,
            // The frame breaks off with the bytes; two headers are as much as can be had.
            None if known.at_end => return if headers >= 2 { Verdict::Yes } else { Verdict::No },
            None => return Verdict::More,
        }
    }
}

/// Whether [`fits`] has a say: with a part of the payload alone, it would depend on how bytes are cut.
fn is_judged_by_payload(header: &FrameHeader) -> bool {
    matches!(header.kind, frame::HEADERS | frame::WINDOW_UPDATE | frame::SETTINGS | frame::GOAWAY | frame::RST_STREAM)
}

/// Whether this may be a frame of this direction of this connection.
fn is_believable(header: &FrameHeader, known: &Known<'_>) -> bool {
    if !header.is_plausible(known.limit) {
        return false;
    }
    let pushed = header.stream != 0 && header.stream.is_multiple_of(2);
    match (known.direction, header.kind) {
        (Direction::ClientToServer, frame::PUSH_PROMISE) => false,
        (Direction::ClientToServer, frame::DATA | frame::HEADERS | frame::CONTINUATION) if pushed => false,
        (_, frame::PRIORITY) => true,
        _ => header.stream == 0 || pushed || (known.may_exist)(header.stream),
    }
}

/// Whether the frame says more than chance would: that it is of a stream that is open, or carries
/// fields as they begin a message, or is one of those of which nearly every bit is given.
fn is_telling(header: &FrameHeader, payload: Option<&[u8]>, known: &Known<'_>) -> bool {
    match header.kind {
        // Zeros with a bit among them look like it.
        frame::DATA if header.length == 0 && !header.has(frame::END_STREAM) => false,
        frame::DATA | frame::RST_STREAM => (known.is_open)(header.stream),
        frame::WINDOW_UPDATE => header.stream == 0 || (known.is_open)(header.stream),
        frame::HEADERS => {
            (known.is_open)(header.stream)
                || payload
                    .and_then(|payload| block_of(header, payload))
                    .is_some_and(|block| direction_of(block) == Some(known.direction))
        }
        frame::SETTINGS | frame::PING | frame::GOAWAY => true,
        _ => false,
    }
}

/// Which direction a header block is of, where it says so with nothing known of the table.
pub(super) fn direction_of(block: &[u8]) -> Option<Direction> {
    let mut direction = None;
    let _ = Decoder::late().decode(block, &mut Scratch::default(), |field| match field.name {
        Some(b":status") => direction = Some(Direction::ServerToClient),
        Some(b":method" | b":path" | b":scheme" | b":authority") => direction = Some(Direction::ClientToServer),
        Some(b"grpc-status" | b"grpc-message") if direction.is_none() => direction = Some(Direction::ServerToClient),
        _ => {}
    });
    direction
}

/// Whether a payload can be one of its type.
pub(super) fn fits(header: &FrameHeader, payload: &[u8]) -> bool {
    match header.kind {
        frame::HEADERS => block_of(header, payload).is_some_and(reads_as_block),
        frame::WINDOW_UPDATE => frame::number(payload, 0).is_some_and(|step| (1..1 << 31).contains(&step)),
        frame::SETTINGS => settings::are_believable(payload),
        frame::GOAWAY => frame::number(payload, 4).is_some_and(|code| code < 64),
        frame::RST_STREAM => frame::number(payload, 0).is_some_and(|code| code < 64),
        _ => true,
    }
}

/// The part of a HEADERS frame's payload that is of the header block.
pub(super) fn block_of<'a>(header: &FrameHeader, payload: &'a [u8]) -> Option<&'a [u8]> {
    let block = payload.get(frame::unpadded(header, payload)?)?;
    block.get(if header.has(frame::WITH_PRIORITY) { 5 } else { 0 }..)
}

/// Whether bytes decode as (the beginning of) a header block, with nothing known of the table:
/// names are in lower case and made of what names are made of.
fn reads_as_block(block: &[u8]) -> bool {
    let mut plausible = true;
    let mut regular = false;
    let result = Decoder::late().decode(block, &mut Scratch::default(), |field| {
        let Some(name) = field.name else { return };
        let pseudo = name.first() == Some(&b':');
        plausible &= !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase());
        plausible &= !(pseudo && regular);
        regular |= !pseudo;
    });
    plausible && matches!(result, Ok(()) | Err(super::hpack::Malformed::Truncated))
}
