use l7trace_event::{Cause, Side, SourceKind, Timestamp, Unneeded, Witness};

use crate::{Closed, Facts};

/// Who takes what the table puts in order. The table keeps a `State` of the sink's own for each
/// connection.
pub trait Sink {
    /// What the sink keeps for a connection; dropped with it.
    type State;

    /// A connection was seen for the first time.
    fn opened(&mut self, facts: &Facts) -> Self::State;

    /// The next bytes, gap or end of one direction.
    fn deliver(&mut self, facts: &Facts, state: &mut Self::State, delivery: Delivery<'_>);

    /// The connection is over (both directions have had their end delivered) or given up.
    fn closed(&mut self, facts: &Facts, state: Self::State, closed: Closed);

    /// How many bytes the sink holds for this connection: counted against
    /// [`crate::Limits::total_bytes`]. Asked now and then, at places that the events alone decide.
    fn held(&self, state: &Self::State) -> usize;

    /// How many of the next bytes that one side sends the sink has no use for; `u64::MAX`: all that
    /// ever come. Asked after each delivery.
    #[inline]
    fn unneeded(&self, state: &Self::State, from: Side) -> u64 {
        let _ = (state, from);
        0
    }

    /// The same in the sources' terms, where it is worth telling them.
    #[inline]
    fn spare(&mut self, unneeded: Unneeded) {
        let _ = unneeded;
    }

    /// For a sink whose work is done elsewhere, so that [`Sink::held`] cannot say: called where
    /// that would be asked, it gives what was held at the call before this one, for every
    /// connection that was given anything since the call before that.
    fn holdings(&mut self) -> Option<Vec<Holding>> {
        None
    }

    /// Bytes that had been seen before were seen again at `at`, by this witness: by another one, or
    /// by the same one as a retransmission. Nothing needs to be done; it is for whoever wants the
    /// times at which each witness saw a message.
    #[inline]
    fn witnessed(&mut self, facts: &Facts, state: &mut Self::State, again: Again) {
        let _ = (facts, state, again);
    }
}

/// What a sink holds for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holding {
    /// The connection's number.
    pub number: u64,
    /// Its place in the table, as [`Facts::place`] says.
    pub place: u32,
    /// How many bytes.
    pub bytes: usize,
}

/// What came next in one direction of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// Who sent it.
    pub from: Side,
    /// How many bytes of this direction came before: from its first byte where
    /// [`Facts::from_start`] says so, else from the first that was seen. Deliveries of a direction
    /// are contiguous.
    pub position: u64,
    /// When it was first seen.
    pub at: Timestamp,
    /// Whose clock that was.
    pub source: SourceKind,
    /// Which place of that source: the interface, or which end's system call.
    pub witness: Witness,
    /// The position in the other direction (in its own delivered terms) up to which the sender had
    /// read when it sent this.
    pub acknowledged: Option<u64>,
    /// What it is.
    pub what: Delivered<'a>,
}

/// Bytes, their absence, or the end.
#[derive(Clone, Copy, Debug)]
pub enum Delivered<'a> {
    /// The next bytes; never empty.
    Bytes(&'a [u8]),
    /// So many bytes are missing.
    Gap {
        /// How many; at least 1.
        length: u64,
        /// Why.
        cause: Cause,
    },
    /// Nothing follows: exactly once for each direction.
    End(Ending),
}

/// How a direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// FIN, or an orderly close.
    Closed,
    /// RST.
    Reset,
    /// The trace ended, or the connection was evicted, idle for too long, or its tuple was reused.
    Unknown,
}

/// Bytes that were seen again. See [`Sink::witnessed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again {
    /// Who sent them.
    pub from: Side,
    /// As [`Delivery::position`].
    pub position: u64,
    /// How many there are.
    pub length: u64,
    /// When they were seen this time.
    pub at: Timestamp,
    /// By whom.
    pub witness: Witness,
}
