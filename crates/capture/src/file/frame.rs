use l7trace_event::{Timestamp, Witness};

use crate::decode::LinkType;

/// One record of a capture file, by where its bytes stand in a [`Batch`](crate::Batch).
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub(crate) kind: Kind,
    /// When it was captured.
    pub(crate) at: Timestamp,
    pub(crate) witness: Witness,
    pub(crate) namespace: u32,
    /// Its addresses stand for the ends of Unix sockets.
    pub(crate) unix: bool,
    /// The packet.
    pub(crate) bytes: Span,
    /// How long the packet was on the wire.
    pub(crate) length: u32,
    /// What a recording says of it; empty in the captures of others.
    pub(crate) note: Span,
}

/// What a [`Frame`] is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A packet.
    Packet(LinkType),
    /// Something else that a recording says: all of it is in the note.
    Fact,
    /// A record that could not be read.
    Bad(&'static str),
}

/// A range of a batch's bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) length: usize,
}

impl Span {
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        self.start.checked_add(self.length).and_then(|end| bytes.get(self.start..end)).unwrap_or_default()
    }

    fn shifted(self, by: usize) -> Span {
        Span { start: self.start + by, length: self.length }
    }
}

impl Frame {
    /// The same record where its bytes stand `by` further on.
    pub(crate) fn shifted(self, by: usize) -> Frame {
        Frame { bytes: self.bytes.shifted(by), note: self.note.shifted(by), ..self }
    }
}
