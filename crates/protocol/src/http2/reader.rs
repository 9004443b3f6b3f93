//! Where one direction stands between frames, within one, or lost.

use super::connection::Place;
use super::frame::FrameHeader;
use crate::{Feed, Mark};

/// One direction of a connection.
pub(super) struct Reader {
    pub(super) feed: Feed,
    pub(super) state: State,
    /// A header block of which more is to come.
    pub(super) assembly: Option<Box<Assembly>>,
    /// Frames read.
    pub(super) frames: u64,
    pub(super) ended: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// The client's preface, or the server's first frame.
    Start,
    /// A frame's header.
    Frame,
    /// The rest of a DATA frame.
    Data(Data),
    /// Bytes that nobody needs.
    Skip { remaining: u64 },
    /// Something: where frames begin is not known.
    Seek {
        /// Up to where it was.
        since: u64,
        /// From where on bytes are seen again.
        resumed: u64,
        /// Whether a frame may well begin at the next byte.
        expected: bool,
    },
}

/// The rest of a DATA frame's payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    pub(super) stream: u32,
    /// Whether the stream takes it.
    pub(super) live: bool,
    /// Bytes of the payload still to come, padding included.
    pub(super) remaining: u64,
    /// Whether the length of the padding is still to come.
    pub(super) unread_padding: bool,
    /// How many of the remaining bytes are padding.
    pub(super) padding: u64,
    pub(super) end_stream: bool,
    pub(super) first: Mark,
    pub(super) acknowledged: Option<u64>,
}

/// A header block that goes on in CONTINUATION frames.
pub(super) struct Assembly {
    pub(super) header: FrameHeader,
    pub(super) promised: Option<u32>,
    pub(super) fragment: Vec<u8>,
    pub(super) place: Place,
    /// Whether a part was left out, as it was longer than the limit.
    pub(super) overlong: bool,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader { feed: Feed::default(), state: State::Start, assembly: None, frames: 0, ended: false }
    }

    pub(super) fn held(&self) -> usize {
        self.feed.held() + self.assembly.as_ref().map_or(0, |assembly| assembly.fragment.len())
    }
}

impl Data {
    /// How many of the remaining bytes are body.
    pub(super) fn body(&self) -> u64 {
        self.remaining - self.padding.min(self.remaining)
    }
}
