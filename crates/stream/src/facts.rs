use std::sync::Arc;

use l7trace_event::{ConnectionKey, Endpoint, Ledger, Process, Side, SourceKind, Timestamp};

/// What is known of a connection while it lasts.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its number within this run, from 1.
    pub number: u64,
    /// Its place in the table, which another has when it is over.
    pub place: u32,
    /// Its two ends.
    pub key: ConnectionKey,
    /// Who opened it, where that was seen.
    pub initiator: Option<Side>,
    /// By side: whether the first byte delivered is the first that this side ever sent.
    pub from_start: [bool; 2],
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When something was last seen on it.
    pub last_seen: Timestamp,
    /// By side: who holds that end, where it is known.
    pub owners: [Option<Arc<Process>>; 2],
    /// By side: the name of a Unix socket's end.
    pub names: [Option<Arc<str>>; 2],
    /// Every source that saw it, in the order of [`SourceKind`]; [`Facts::witnesses`] lists them.
    pub witnessed: [bool; 4],
    /// The account of its bytes, by side.
    pub ledgers: [Ledger; 2],
}

impl Facts {
    /// The endpoint of one side.
    pub fn end(&self, side: Side) -> Endpoint {
        self.key.end(side)
    }

    /// Whether both ends have the same address, so that a source which sees one end may see the
    /// other one as well.
    pub(crate) fn is_within_host(&self) -> bool {
        let ip = self.end(Side::A).ip();
        ip.is_some() && ip == self.end(Side::B).ip() && self.witnessed[SourceKind::Syscalls as usize]
    }

    /// Every source that saw it.
    pub fn witnesses(&self) -> impl Iterator<Item = SourceKind> + '_ {
        const ALL: [SourceKind; 4] = [SourceKind::File, SourceKind::Packets, SourceKind::Syscalls, SourceKind::Tls];
        ALL.into_iter().filter(|source| self.witnessed[*source as usize])
    }
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Both sides closed it.
    Finished,
    /// It was reset.
    Reset,
    /// Its four-tuple was used again.
    Reused,
    /// Nothing happened for longer than the limit.
    Idle,
    /// There were too many connections.
    Evicted,
    /// The trace ended while it was open.
    TraceEnded,
}

impl Closed {
    /// The name in the JSON line.
    pub fn name(self) -> &'static str {
        match self {
            Closed::Finished => "closed",
            Closed::Reset => "reset",
            Closed::Reused => "reused",
            Closed::Idle => "idle",
            Closed::Evicted => "evicted",
            Closed::TraceEnded => "open",
        }
    }
}
