//! A message under way: the fragments of a data message, or a control frame.

use l7trace_event::Cause;

use super::frame::Opcode;
use super::inflate::{Inflater, Piece, Stop};
use super::utf8::Utf8;
use crate::Message;

/// Text beyond this is not checked for being UTF-8, unless it is kept or inflated anyway.
const MOST_CHECKED: u64 = 64 << 10;

/// A message that is not over.
pub(super) struct Assembly {
    pub(super) message: Box<Message>,
    /// None where its beginning was not seen.
    pub(super) opcode: Option<Opcode>,
    pub(super) fragments: u64,
    /// Payload as it went over the wire, unmasked.
    pub(super) payload: u64,
    pub(super) compression: Compression,
    /// How many bytes of the body may still be kept.
    keep: usize,
    utf8: Option<Utf8>,
    /// Bytes that were checked.
    checked: u64,
    /// Bytes of the body that are not known, and where the first was.
    unknown: u64,
    /// Bytes of the body in all, as far as known.
    inflated: u64,
    stop: Option<Stop>,
    lost: bool,
}

/// What is done about a message's compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    /// It is compressed, and nobody wants to know what it says.
    Ignored,
    Inflated,
}

/// A part of the body, freed of all coding.
pub(super) enum Part<'a> {
    Bytes(&'a [u8]),
    Unknown(u64),
}

impl Assembly {
    pub(super) fn new(
        message: Box<Message>,
        opcode: Option<Opcode>,
        compression: Compression,
        keep: usize,
    ) -> Assembly {
        let is_text = opcode == Some(Opcode::Text) && compression != Compression::Ignored;
        Assembly {
            message,
            opcode,
            fragments: 0,
            payload: 0,
            compression,
            keep,
            utf8: is_text.then(Utf8::default),
            checked: 0,
            unknown: 0,
            inflated: 0,
            stop: None,
            lost: false,
        }
    }

    /// Whether anybody has a use for the bytes of its payload.
    pub(super) fn needs_bytes(&self, nested: bool) -> bool {
        match self.compression {
            Compression::Inflated => self.stop.is_none(),
            Compression::Ignored => false,
            Compression::None => nested || self.keep > 0 || (self.utf8.is_some() && self.checked < MOST_CHECKED),
        }
    }

    /// Takes unmasked payload.
    pub(super) fn push(&mut self, bytes: &[u8], inflater: &mut Inflater, mut give: impl FnMut(Part<'_>)) {
        match self.compression {
            Compression::None => {
                self.take(bytes);
                give(Part::Bytes(bytes));
            }
            Compression::Ignored => {}
            Compression::Inflated if self.stop.is_some() => {}
            Compression::Inflated => {
                let done = inflater.push(bytes, |piece| self.piece(&piece, &mut give));
                self.stop = done.err();
            }
        }
    }

    /// Payload went by unseen: what follows in this message cannot be inflated.
    pub(super) fn gap(&mut self, length: u64, cause: Cause, inflater: &mut Inflater) {
        if cause.is_loss() {
            self.message.lost_bytes += length;
        }
        self.lost = true;
        self.keep = 0;
        self.utf8 = None;
        if self.compression != Compression::None {
            inflater.lose();
            self.compression = Compression::Ignored;
        }
    }

    /// The last fragment is over: says what is known of the whole.
    pub(super) fn finish(&mut self, inflater: &mut Inflater, body_limit: usize, mut give: impl FnMut(Part<'_>)) {
        let inflated = self.compression == Compression::Inflated;
        if inflated && self.stop.is_none() {
            let done = inflater.finish(|piece| self.piece(&piece, &mut give));
            self.stop = done.err();
        }
        let message = &mut self.message;
        message.body_bytes = Some(self.payload);
        if self.fragments > 1 {
            message.attribute("fragments", self.fragments);
        }
        match self.stop {
            Some(Stop::Broken) => message.note("the compressed payload is broken"),
            Some(Stop::TooMuch) => message.note("the compressed payload inflates to more than is read"),
            None if inflated => message.attribute("inflated_bytes", self.inflated),
            None => {}
        }
        if self.unknown > 0 {
            message.attribute("unknown_bytes", self.unknown);
            message.note("unknown: compressed against what went by unseen");
        }
        let all = if inflated { self.inflated } else { self.payload };
        let kept = message.body.len() as u64;
        message.body_truncated = body_limit > 0 && (kept < all || self.stop.is_some() || self.lost);
        if self.utf8.is_some_and(|utf8| {
            utf8.is_broken() || (utf8.is_unfinished() && self.checked == all && self.stop.is_none())
        }) {
            message.note("text that is not UTF-8");
        }
    }

    fn piece(&mut self, piece: &Piece<'_>, give: &mut impl FnMut(Part<'_>)) {
        match piece {
            Piece::Known(bytes) => {
                self.inflated += bytes.len() as u64;
                self.take(bytes);
                give(Part::Bytes(bytes));
            }
            Piece::Unknown(count) => {
                self.inflated += *count as u64;
                self.unknown += *count as u64;
                // What is kept of a body is its beginning, without holes.
                self.keep = 0;
                self.utf8 = None;
                give(Part::Unknown(*count as u64));
            }
        }
    }

    /// Keeps and checks what comes of the body.
    fn take(&mut self, bytes: &[u8]) {
        let kept = &bytes[..bytes.len().min(self.keep)];
        self.message.body.extend_from_slice(kept);
        self.keep -= kept.len();
        if let Some(utf8) = &mut self.utf8 {
            utf8.push(bytes);
            self.checked += bytes.len() as u64;
        }
    }

    /// How many bytes it holds.
    pub(super) fn held(&self) -> usize {
        size_of::<Assembly>() + size_of::<Message>() + self.message.body.len()
    }
}
