//! AMQP 0-9-1: frames, methods, content; pairing by channel and delivery tag.

mod channel;
mod connection;
mod methods;
mod values;

pub(super) use connection::Connection;

use super::Guess;
use super::cursor::Cursor;
use methods::{Method, Sender};

/// Frame types (specification, section 4.2.3).
pub(super) const METHOD: u8 = 1;
pub(super) const HEADER: u8 = 2;
pub(super) const BODY: u8 = 3;
pub(super) const HEARTBEAT: u8 = 8;

/// Type, channel and size before the payload; the end octet after it.
pub(super) const FRAME_HEADER: usize = 7;
pub(super) const FRAME_END: u8 = 0xce;

/// The largest method or header frame that is believed; body frames may be larger.
pub(super) const MOST_OF_FRAME: u32 = 16 << 20;

/// How many frames in a row must fit where no method says it for certain.
const ENOUGH_FRAMES: usize = 3;

/// Whether a connection joined in the middle speaks AMQP 0-9-1, by consistent frames at the front of
/// `bytes`, and who sent them.
pub(super) fn recognise(bytes: &[u8]) -> Guess {
    let mut rest = bytes;
    let mut frames = 0;
    let mut sender = None;
    while let Some(frame) = Frame::parse(rest) {
        let Ok(frame) = frame else { return Guess::No };
        if frame.kind == METHOD {
            // A method that decodes to its last byte is no accident.
            let Some(method) = Method::of(frame.payload) else { return Guess::No };
            if method.arguments(frame.payload).is_none() {
                return Guess::No;
            }
            match method.sender {
                Sender::Client => sender = Some(Guess::Client),
                Sender::Server => sender = Some(Guess::Server),
                Sender::Either => {}
            }
            if frame.payload.len() > 6 && sender.is_some() {
                break;
            }
        }
        frames += 1;
        rest = &rest[frame.size..];
        if frames >= ENOUGH_FRAMES && sender.is_some() {
            break;
        }
    }
    match sender {
        Some(sender) => sender,
        None if frames > 0 => Guess::More,
        None if could_begin(rest) => Guess::More,
        None => Guess::No,
    }
}

fn could_begin(bytes: &[u8]) -> bool {
    match bytes {
        [METHOD, _, _, high, ..] => *high == 0,
        [METHOD, ..] | [HEARTBEAT] | [HEARTBEAT, 0] => true,
        _ => false,
    }
}

/// A whole frame.
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) channel: u16,
    pub(super) payload: &'a [u8],
    /// With header and end octet.
    pub(super) size: usize,
}

impl<'a> Frame<'a> {
    /// The frame at the front; none where more bytes are needed, an error where there is none.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Result<Frame<'a>, ()>> {
        let mut cursor = Cursor(bytes);
        let (kind, channel, length) = (cursor.u8()?, cursor.u16()?, cursor.u32()?);
        if !matches!(kind, METHOD | HEADER | BODY | HEARTBEAT) || length > MOST_OF_FRAME {
            return Some(Err(()));
        }
        let payload = cursor.take(length as usize)?;
        if cursor.u8()? != FRAME_END {
            return Some(Err(()));
        }
        Some(Ok(Frame { kind, channel, payload, size: FRAME_HEADER + payload.len() + 1 }))
    }
}
