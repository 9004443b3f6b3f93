//! Frames, and where one begins when bytes before it were not seen.

use super::super::cursor::Cursor;
use super::performatives::{Performative, SASL_CHALLENGE, SASL_INIT, SASL_MECHANISMS, SASL_OUTCOME, SASL_RESPONSE};
use crate::amqp::Guess;

/// The largest frame that is believed. Brokers keep to a few hundred kilobytes.
const MOST_OF_FRAME: usize = 16 << 20;

/// The longest performative that is waited for.
const MOST_OF_PERFORMATIVE: usize = 64 << 10;

/// Size, data offset, type and channel.
const HEADER: usize = 8;

/// The front of a frame; its body follows.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    /// All of it, in bytes.
    pub(super) size: usize,
    /// Where the body begins.
    pub(super) offset: usize,
    pub(super) channel: u16,
}

impl Frame {
    /// The frame at the front; none where more bytes are needed, an error where there is none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Result<Frame, ()>> {
        let mut cursor = Cursor(bytes);
        let (size, offset, kind, channel) = (cursor.u32()?, cursor.u8()?, cursor.u8()?, cursor.u16()?);
        let (size, offset) = (size as usize, usize::from(offset) * 4);
        if size < offset || offset < HEADER || size > MOST_OF_FRAME || kind > 1 {
            return Some(Err(()));
        }
        Some(Ok(Frame { size, offset, channel }))
    }

    /// The performative and how many bytes of payload follow it; none where more bytes are needed, an
    /// error where the body begins with none. An empty body is a heartbeat.
    pub(super) fn performative(&self, bytes: &[u8]) -> Option<Result<Option<(Performative, usize)>, ()>> {
        if self.size == self.offset {
            return (bytes.len() >= self.size).then_some(Ok(None));
        }
        let room = self.size - self.offset;
        let body = bytes.get(self.offset..bytes.len().min(self.size)).unwrap_or_default();
        let length = match described_length(body) {
            Some(length) if length > room.min(MOST_OF_PERFORMATIVE) => return Some(Err(())),
            Some(length) if length <= body.len() => length,
            _ if body.len() == room => return Some(Err(())),
            None if body.len() > LONGEST_FRONT => return Some(Err(())),
            _ => return None,
        };
        let performative = Performative::parse(&mut Cursor(&body[..length])).ok_or(());
        Some(performative.map(|performative| Some((performative, room - length))))
    }
}

/// A descriptor and the front of a list are no longer.
const LONGEST_FRONT: usize = 3 + 255 + 5;

/// How long a described list is; none where bytes are too few to tell, or begin with something else.
fn described_length(bytes: &[u8]) -> Option<usize> {
    let descriptor = match *bytes {
        [0, 0x53, ..] => 3,
        [0, 0x80, ..] => 10,
        [0, 0xa3, length, ..] => 3 + usize::from(length),
        _ => return None,
    };
    let list = match *bytes.get(descriptor..)? {
        [0x45, ..] => 1,
        [0xc0, length, ..] => 2 + usize::from(length),
        [0xd0, a, b, c, d, ..] => 5 + u32::from_be_bytes([a, b, c, d]) as usize,
        _ => return None,
    };
    Some(descriptor + list)
}

/// Whether a frame begins where some bytes do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Certainty {
    /// Its performative decodes, and ends with the frame where nothing may follow it.
    Yes,
    More,
    No,
}

pub(super) fn certainty(bytes: &[u8]) -> Certainty {
    // Nobody extends the header.
    let begins = |at: usize, wanted: u8| bytes.get(at).is_none_or(|byte| *byte == wanted);
    if !begins(0, 0) || !begins(4, (HEADER / 4) as u8) {
        return Certainty::No;
    }
    let frame = match Frame::parse(bytes) {
        None => return Certainty::More,
        Some(Err(())) => return Certainty::No,
        // An empty one says too little.
        Some(Ok(frame)) if frame.size == frame.offset => return Certainty::No,
        Some(Ok(frame)) => frame,
    };
    match frame.performative(bytes) {
        None if bytes.get(frame.offset..).is_none_or(may_be_performative) => Certainty::More,
        Some(Ok(Some((performative, left)))) if left == 0 || performative.has_payload() => Certainty::Yes,
        _ => Certainty::No,
    }
}

/// Whether a connection joined in the middle speaks AMQP 1.0, and who sent this.
pub(in crate::amqp) fn recognise(bytes: &[u8]) -> Guess {
    match certainty(bytes) {
        Certainty::Yes => {}
        Certainty::More => return Guess::More,
        Certainty::No => return Guess::No,
    }
    let frame = Frame::parse(bytes).and_then(Result::ok).and_then(|frame| frame.performative(bytes));
    match frame {
        Some(Ok(Some((read, _)))) if matches!(read.code, SASL_INIT | SASL_RESPONSE) => Guess::Client,
        Some(Ok(Some((read, _)))) if matches!(read.code, SASL_MECHANISMS | SASL_CHALLENGE | SASL_OUTCOME) => {
            Guess::Server
        }
        _ => Guess::Either,
    }
}

/// Whether a performative may begin so.
fn may_be_performative(body: &[u8]) -> bool {
    match body {
        [] | [0] => true,
        [0, 0x53, rest @ ..] => rest.first().is_none_or(|code| matches!(code, 0x10..=0x18 | 0x40..=0x44)),
        [0, 0x80, rest @ ..] => rest.iter().take(7).all(|byte| *byte == 0),
        [0, 0xa3, rest @ ..] => rest.iter().skip(1).zip(b"amqp:").all(|(byte, wanted)| byte == wanted),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_by_a_performative_that_decodes() {
        // flow of an empty list, and a transfer of one field with three bytes behind it.
        let flow = [0, 0, 0, 12, 2, 0, 0, 1, 0, 0x53, 0x13, 0x45];
        let transfer = [0, 0, 0, 18, 2, 0, 0, 0, 0, 0x53, 0x14, 0xc0, 2, 1, 0x43, 7, 7, 7];
        for frame in [&flow[..], &transfer] {
            assert!(certainty(frame) == Certainty::Yes);
            for length in 0..frame.len() {
                let certainty = certainty(&frame[..length]);
                let payload_only = frame == transfer && length >= 15;
                assert!(certainty == if payload_only { Certainty::Yes } else { Certainty::More }, "{length}");
            }
        }
        let with_rest = [0, 0, 0, 13, 2, 0, 0, 1, 0, 0x53, 0x13, 0x45, 7];
        assert!(certainty(&with_rest) == Certainty::No, "a flow has no payload");
        for other in [&[0; 32][..], &[0, 0, 0, 8, 2, 0, 0, 0], b"GET / HTTP/1.1", &[0, 0, 0, 12, 2, 2, 0, 1]] {
            assert!(certainty(other) == Certainty::No, "{other:x?}");
        }
    }
}
