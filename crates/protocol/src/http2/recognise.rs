//! Whether a connection speaks HTTP/2: by its preface, or by its frames alone.

use l7trace_event::{Direction, Side};

use super::frame::{self, FrameHeader, PREFACE};
use super::resync;
use crate::{Prefix, Recognition, Sample};

/// The longest frame that is believed of a connection of which nothing else is known: the records
/// of TLS, read as frames, are longer.
pub(super) const GUESS_LIMIT: u32 = 1 << 20;

/// Frames that have to agree before a connection joined in the middle is taken for HTTP/2.
const NEEDED: u32 = 3;

pub(super) fn recognise(sample: &Sample<'_>) -> Recognition {
    let mut more = false;
    for side in Side::BOTH {
        let Prefix { bytes, ended, .. } = sample.side(side);
        if bytes.starts_with(PREFACE) {
            return Recognition::Yes { client: side };
        }
        more |= !bytes.is_empty() && PREFACE.starts_with(bytes) && !ended;
    }
    let read = Side::BOTH.map(|side| read(sample.side(side)));
    // A side whose first byte was seen, and that began with anything but its SETTINGS, speaks
    // something else.
    if read.iter().any(|read| read.refuted) {
        return if more { Recognition::More } else { Recognition::No };
    }
    let frames: u32 = read.iter().map(|read| read.frames).sum();
    let blocks: u32 = read.iter().map(|read| read.blocks).sum();
    let control: u32 = read.iter().map(|read| read.control).sum();
    let broken = read.iter().filter(|read| read.broken).count();
    // A side that is joined within a frame says nothing; where the other one alone speaks, it has
    // to say more.
    let needed = if broken > 0 { NEEDED + 1 } else { NEEDED };
    let evidence = frames >= needed && blocks + control > 0;
    if evidence && broken < 2 {
        if let Some(client) = client_of(&read).or(sample.initiator) {
            return Recognition::Yes { client };
        }
        more = true;
    }
    let hopeful = Side::BOTH.into_iter().zip(&read).any(|(side, read)| {
        let prefix = sample.side(side);
        !prefix.ended && !read.broken && (read.frames > 0 || read.short) && !prefix.bytes.is_empty()
    });
    if more || hopeful && broken < 2 { Recognition::More } else { Recognition::No }
}

/// What a side's bytes say, read as frames from the first on.
#[derive(Default)]
struct Read {
    frames: u32,
    /// Header blocks that decode and name what requests or responses have.
    blocks: u32,
    /// Frames of which nearly every bit is given.
    control: u32,
    /// What was found was no frame.
    broken: bool,
    /// It is no HTTP/2 for certain.
    refuted: bool,
    /// Fewer bytes than a frame header, all told.
    short: bool,
    /// Which direction this side's blocks are of.
    direction: Option<Direction>,
}

fn read(prefix: Prefix<'_>) -> Read {
    let mut read = Read { short: prefix.bytes.len() < frame::HEADER_LENGTH, ..Read::default() };
    let mut rest = prefix.bytes;
    while let Some(header) = FrameHeader::parse(rest) {
        let payload = rest.get(frame::HEADER_LENGTH..header.whole_length());
        let begins_wrong =
            prefix.from_start && read.frames == 0 && (header.kind != frame::SETTINGS || header.has(frame::ACK));
        let odd = !header.is_plausible(GUESS_LIMIT)
            || header.stream != 0 && header.stream.is_multiple_of(2) && header.kind == frame::CONTINUATION
            || payload.is_some_and(|payload| !resync::fits(&header, payload))
            // A row of empty DATA frames is what zeros look like.
            || header.kind == frame::DATA && header.length == 0 && !header.has(frame::END_STREAM)
            // What went before was no preface: nothing is joined in its middle here.
            || prefix.since_start && !prefix.from_start;
        if begins_wrong || odd {
            read.broken = true;
            read.refuted = prefix.from_start && read.frames == 0;
            // Frames that led to what is none were none.
            (read.frames, read.blocks, read.control) = (0, 0, 0);
            break;
        }
        let Some(payload) = payload else { break };
        read.frames += 1;
        match header.kind {
            frame::HEADERS => {
                let block = resync::block_of(&header, payload).unwrap_or_default();
                if let Some(direction) = resync::direction_of(block) {
                    read.blocks += 1;
                    read.direction = Some(direction);
                }
            }
            frame::SETTINGS | frame::PING | frame::GOAWAY => read.control += 1,
            frame::WINDOW_UPDATE if header.stream == 0 => read.control += 1,
            frame::PUSH_PROMISE => read.direction = Some(Direction::ServerToClient),
            _ => {}
        }
        rest = &rest[header.whole_length()..];
    }
    read
}

fn client_of(read: &[Read; 2]) -> Option<Side> {
    for side in Side::BOTH {
        match read[side.index()].direction {
            Some(Direction::ClientToServer) => return Some(side),
            Some(Direction::ServerToClient) => return Some(side.other()),
            None => {}
        }
    }
    None
}
