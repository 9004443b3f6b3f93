use l7trace_event::Timestamp;

use super::text::Base64;

/// Finds the length-prefixed messages in a body.
#[derive(Debug)]
pub(crate) struct Deframer {
    text: Option<Base64>,
    /// Whether a flag of 0x80 announces trailers (gRPC-Web).
    web: bool,
    /// What is seen of the five bytes before the next message.
    prefix: [u8; PREFIX_LENGTH],
    prefixed: usize,
    current: Option<Piece>,
    /// How many of the current piece's bytes are still to come.
    remaining: u64,
    /// How many bytes of messages are kept.
    kept: usize,
    /// The most that are.
    limit: usize,
    /// The first messages.
    pub(super) messages: Vec<Piece>,
    /// How many messages there were.
    pub(super) count: u64,
    /// What they took, prefixes excluded.
    pub(super) bytes: u64,
    /// The trailers in the body.
    pub(super) trailers: Option<Vec<u8>>,
    /// Why nothing more can be told of the messages.
    pub(super) broken: Option<&'static str>,
}

/// How messages lie in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// gRPC.
    Plain,
    /// gRPC-Web, binary.
    Web,
    /// gRPC-Web, base64.
    WebText,
}

/// A message, or the trailers.
#[derive(Debug)]
pub(super) struct Piece {
    /// Its length.
    pub(super) size: u32,
    /// When its last byte was seen.
    pub(super) at: Timestamp,
    pub(super) compressed: bool,
    is_trailers: bool,
    /// What was kept of it.
    pub(super) body: Vec<u8>,
    /// Whether bytes of it were not seen.
    pub(super) holed: bool,
    /// Whether it has come to its end.
    pub(super) whole: bool,
}

/// A byte of flags and four of length.
const PREFIX_LENGTH: usize = 5;
/// How many messages are told one by one.
const MOST_MESSAGES: usize = 256;
/// How many bytes of trailers in a body are read.
const MOST_TRAILERS: usize = 16 << 10;

impl Deframer {
    /// For bodies of this framing, keeping up to `limit` bytes of messages in all.
    pub(crate) fn new(framing: Framing, limit: usize) -> Deframer {
        Deframer {
            text: (framing == Framing::WebText).then(Base64::default),
            web: framing != Framing::Plain,
            prefix: [0; PREFIX_LENGTH],
            prefixed: 0,
            current: None,
            remaining: 0,
            kept: 0,
            limit,
            messages: Vec::new(),
            count: 0,
            bytes: 0,
            trailers: None,
            broken: None,
        }
    }

    /// Takes bytes of the body.
    pub(crate) fn bytes(&mut self, bytes: &[u8], at: Timestamp) {
        match self.text.take() {
            None => self.binary(bytes, at),
            Some(mut text) => {
                text.decode(bytes, |decoded| self.binary(decoded, at));
                self.text = Some(text);
            }
        }
    }

    /// Says that bytes of the body were not seen.
    pub(crate) fn gap(&mut self, length: u64, at: Timestamp) {
        if self.text.is_some() {
            // Four digits are three bytes, but padding may lie anywhere between.
            self.broken = Some("bytes of the body were not seen");
            return;
        }
        match &mut self.current {
            Some(piece) if length <= self.remaining => {
                piece.holed = true;
                self.remaining -= length;
                if self.remaining == 0 {
                    self.complete(at);
                }
            }
            _ => self.broken = Some("bytes between messages were not seen"),
        }
    }

    /// Whether a message has begun and not ended.
    pub(super) fn is_within(&self) -> bool {
        self.prefixed > 0 || self.current.is_some()
    }

    /// Whether all that went by was messages, and there was one.
    pub(super) fn is_exact(&self) -> bool {
        self.count > 0 && self.broken.is_none() && !self.is_within()
    }

    /// What it holds in memory.
    pub(crate) fn held(&self) -> usize {
        size_of::<Deframer>() + self.kept + self.messages.len() * size_of::<Piece>()
    }

    fn binary(&mut self, bytes: &[u8], at: Timestamp) {
        let mut rest = bytes;
        while !rest.is_empty() && self.broken.is_none() {
            if self.current.is_none() {
                let taken = rest.len().min(PREFIX_LENGTH - self.prefixed);
                self.prefix[self.prefixed..self.prefixed + taken].copy_from_slice(&rest[..taken]);
                self.prefixed += taken;
                rest = &rest[taken..];
                if self.prefixed == PREFIX_LENGTH {
                    self.begin(at);
                }
                continue;
            }
            let taken = rest.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
            let (here, after) = rest.split_at(taken);
            if let Some(piece) = &mut self.current
                && !piece.holed
            {
                let room = if piece.is_trailers {
                    MOST_TRAILERS - piece.body.len().min(MOST_TRAILERS)
                } else {
                    self.limit.saturating_sub(self.kept)
                };
                let kept = &here[..taken.min(room)];
                piece.body.extend_from_slice(kept);
                self.kept += kept.len();
            }
            self.remaining -= taken as u64;
            rest = after;
            if self.remaining == 0 {
                self.complete(at);
            }
        }
    }

    fn begin(&mut self, at: Timestamp) {
        let [flags, length @ ..] = self.prefix;
        self.prefixed = 0;
        let is_trailers = self.web && flags & 0x80 != 0;
        if flags & !0x81 != 0 || flags & 0x80 != 0 && !self.web {
            self.broken = Some("what should be a message has flags that are not known");
            return;
        }
        let size = u32::from_be_bytes(length);
        self.remaining = size.into();
        self.current = Some(Piece {
            size,
            at,
            compressed: flags & 1 != 0,
            is_trailers,
            body: Vec::new(),
            holed: false,
            whole: false,
        });
        if size == 0 {
            self.complete(at);
        }
    }

    fn complete(&mut self, at: Timestamp) {
        let Some(mut piece) = self.current.take() else { return };
        if piece.is_trailers {
            self.trailers = Some(piece.body);
            return;
        }
        (piece.at, piece.whole) = (at, true);
        self.count += 1;
        self.bytes += u64::from(piece.size);
        if self.messages.len() < MOST_MESSAGES {
            self.messages.push(piece);
        }
    }
}
