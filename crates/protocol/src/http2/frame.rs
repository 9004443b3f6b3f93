//! Frames (RFC 9113, section 4 and 6): their headers, and which of them can be what they seem.

/// The length of a frame header.
pub(super) const HEADER_LENGTH: usize = 9;
/// What a client sends first (section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest payload before any SETTINGS_MAX_FRAME_SIZE.
pub(super) const DEFAULT_MAX_FRAME: u32 = 16_384;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
/// RFC 7838.
const ALTSVC: u8 = 10;
/// RFC 8336.
const ORIGIN: u8 = 12;
/// RFC 9218.
const PRIORITY_UPDATE: u8 = 16;

/// DATA, HEADERS.
pub(super) const END_STREAM: u8 = 0x1;
/// SETTINGS, PING.
pub(super) const ACK: u8 = 0x1;
/// HEADERS, PUSH_PROMISE, CONTINUATION.
pub(super) const END_HEADERS: u8 = 0x4;
/// DATA, HEADERS, PUSH_PROMISE.
pub(super) const PADDED: u8 = 0x8;
/// HEADERS.
pub(super) const WITH_PRIORITY: u8 = 0x20;

/// The nine bytes that every frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// The payload's length.
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// 31 bits.
    pub(super) stream: u32,
    /// The bit before the stream id, which has to be 0.
    reserved: bool,
}

impl FrameHeader {
    /// The header that `bytes` begin with, where there are nine of them.
    pub(super) fn parse(bytes: &[u8]) -> Option<FrameHeader> {
        let [a, b, c, kind, flags, stream @ ..] = *bytes.first_chunk::<HEADER_LENGTH>()?;
        let stream = u32::from_be_bytes(stream);
        Some(FrameHeader {
            length: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            stream: stream & 0x7fff_ffff,
            reserved: stream >> 31 != 0,
        })
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// What the frame takes on the wire.
    pub(super) fn whole_length(&self) -> usize {
        HEADER_LENGTH + self.length as usize
    }

    /// Whether it carries a part of a header block.
    pub(super) fn carries_headers(&self) -> bool {
        matches!(self.kind, HEADERS | PUSH_PROMISE | CONTINUATION)
    }

    /// Whether the frame agrees with the rules for its type: of stream id and length. Frames of
    /// unknown types always do.
    pub(super) fn is_lawful(&self) -> bool {
        let least = u32::from(self.has(PADDED));
        let on_stream = self.stream != 0;
        match self.kind {
            DATA => on_stream && self.length >= least,
            HEADERS => on_stream && self.length >= least + if self.has(WITH_PRIORITY) { 5 } else { 0 },
            PRIORITY => on_stream && self.length == 5,
            RST_STREAM => on_stream && self.length == 4,
            SETTINGS => !on_stream && self.length.is_multiple_of(6) && (!self.has(ACK) || self.length == 0),
            PUSH_PROMISE => on_stream && self.length >= least + 4,
            PING => !on_stream && self.length == 8,
            GOAWAY => !on_stream && self.length >= 8,
            WINDOW_UPDATE => self.length == 4,
            CONTINUATION => on_stream,
            _ => true,
        }
    }

    /// Whether the header may be believed to be one where nothing else says that a frame begins
    /// here: lawful, of a known type, with no flags but those of the type, and no longer than `limit`.
    pub(super) fn is_plausible(&self, limit: u32) -> bool {
        let flags = match self.kind {
            DATA => END_STREAM | PADDED,
            HEADERS => END_STREAM | END_HEADERS | PADDED | WITH_PRIORITY,
            SETTINGS | PING => ACK,
            PUSH_PROMISE => END_HEADERS | PADDED,
            CONTINUATION => END_HEADERS,
            PRIORITY | RST_STREAM | GOAWAY | WINDOW_UPDATE | ALTSVC | ORIGIN | PRIORITY_UPDATE => 0,
            _ => return false,
        };
        let longest = match self.kind {
            SETTINGS => 600,
            GOAWAY | ALTSVC | ORIGIN | PRIORITY_UPDATE => 4096,
            _ => limit,
        };
        !self.reserved && self.flags & !flags == 0 && self.length <= longest && self.is_lawful()
    }
}

/// A payload without its padding (section 6.1); none where the padding is longer than the payload.
pub(super) fn unpadded(header: &FrameHeader, payload: &[u8]) -> Option<std::ops::Range<usize>> {
    if !header.has(PADDED) {
        return Some(0..payload.len());
    }
    let padding = usize::from(*payload.first()?);
    let end = payload.len().checked_sub(padding)?;
    (end >= 1).then_some(1..end)
}

/// A big-endian 32-bit number at an offset.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk::<4>()?))
}
