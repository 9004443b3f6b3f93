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
    Bad,
}

/// A range of a batch's bytes, of which there are less than 4 GB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    start: u32,
    length: u32,
}

impl Span {
    /// The range of so many bytes; an empty one where it lies beyond 4 GB.
    pub(crate) fn new(start: usize, length: usize) -> Span {
        match (u32::try_from(start), u32::try_from(length)) {
            (Ok(start), Ok(length)) => Span { start, length },
            _ => Span::default(),
        }
    }

    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        let start = self.start as usize;
        bytes.get(start..start + self.length as usize).unwrap_or_default()
    }

    fn shifted(self, by: usize) -> Span {
        Span::new(self.start as usize + by, self.length as usize)
    }
}

impl Frame {
    /// The same record where its bytes stand `by` further on.
    pub(crate) fn shifted(self, by: usize) -> Frame {
        Frame { bytes: self.bytes.shifted(by), note: self.note.shifted(by), ..self }
    }
}
