use std::sync::Arc;

use crate::{Cause, Process, Timestamp, Tuple};

/// One thing that one witness saw on one connection.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// When, by the witness's clock.
    pub at: Timestamp,
    /// Who saw it.
    pub witness: Witness,
    /// On which connection, and in which direction: from `source` to `destination`.
    pub tuple: Tuple,
    /// What was seen.
    pub what: What<'a>,
    /// The packet it was read from, where it was one: what a recording keeps.
    pub packet: Option<Packet<'a>>,
}

/// What an [`Event`] tells.
#[derive(Clone, Debug)]
pub enum What<'a> {
    /// Bytes, their absence, or the opening and closing of the direction.
    Segment(Segment<'a>),
    /// The process that holds the tuple's `source` end.
    Owner(Arc<Process>),
    /// The name of the tuple's `source` end, for a Unix socket: its path, or `@` and its abstract name.
    Name(Arc<str>),
    /// The connection exists and is idle, seen in a table of sockets at the start.
    Exists,
    /// The kernel had no room for some records between the last event and this one. `tuple` means
    /// nothing here. Holes that open around now are `ring_full`.
    RingFull {
        /// How many records.
        records: u64,
        /// How many payload bytes they stood for, second copies and retransmissions included.
        bytes: u64,
    },
}

/// Bytes at a position in one direction of a connection, in the terms of TCP.
///
/// A position is a TCP sequence number. Streams without them (Unix sockets) count bytes from where
/// they were first seen, modulo 2³².
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment<'a> {
    /// The sequence number of the first byte of `bytes`; with [`Flags::OPEN`], of the SYN (the
    /// first byte of data has the next one).
    pub position: u32,
    /// What was copied.
    pub bytes: &'a [u8],
    /// How many bytes follow `bytes` that were moved but not copied.
    pub missing: u32,
    /// Why they are missing; means nothing where `missing` is 0.
    pub cause: Option<Cause>,
    /// The position up to which the sender of these bytes had read the other direction when it
    /// sent them.
    pub acknowledged: Option<u32>,
    /// What else the segment says.
    pub flags: Flags,
}

/// Flags of a [`Segment`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// The direction opens here (SYN): `position` is one before the first byte.
    pub const OPEN: Flags = Flags(1);
    /// With [`Flags::OPEN`]: the sender answers, so the other end opened the connection (SYN+ACK).
    pub const ANSWER: Flags = Flags(2);
    /// The direction ends after these bytes, in order (FIN, shutdown, close).
    pub const END: Flags = Flags(4);
    /// The connection breaks off (RST).
    pub const RESET: Flags = Flags(8);
    /// The sender is the end that called connect (the client), said by a witness other than a SYN.
    pub const CLIENT: Flags = Flags(16);
    /// The sender is the end that accepted (the server), said by a witness other than a SYN.
    pub const SERVER: Flags = Flags(32);
    /// `position` is not known: count on from where the direction stands (streams without
    /// sequence numbers).
    pub const APPEND: Flags = Flags(64);
    /// `missing` bytes went by here, of which another witness tells, or told: they are no loss. Says
    /// when this witness saw them, and no more.
    pub const ELSEWHERE: Flags = Flags(128);

    /// Whether all of `flags` are set.
    pub fn has(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Both sets of flags.
    #[must_use]
    pub fn with(self, flags: Flags) -> Flags {
        Flags(self.0 | flags.0)
    }
}

/// Who saw an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Witness {
    /// The source it came through.
    pub source: SourceKind,
    /// Which one of that source's places: an interface's index; for system calls 0 the caller that
    /// sent the bytes and 1 the caller that received them.
    pub place: u32,
}

/// Where events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceKind {
    /// A capture file.
    File,
    /// Packets of a live host.
    Packets,
    /// System calls of a live host.
    Syscalls,
    /// TLS libraries of a live host.
    Tls,
}

impl SourceKind {
    /// The name in the JSON line.
    pub fn name(self) -> &'static str {
        match self {
            SourceKind::File => "file",
            SourceKind::Packets => "packets",
            SourceKind::Syscalls => "syscalls",
            SourceKind::Tls => "tls",
        }
    }
}

/// A packet as it was captured, from its network header on.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// From the first byte of the IPv4 or IPv6 header.
    pub bytes: &'a [u8],
    /// How long it was on the wire, from the same byte.
    pub length: u32,
    /// The index of its interface.
    pub interface: u32,
}

/// A direction of a connection whose client is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Requests, mostly.
    ClientToServer,
    /// Responses, mostly.
    ServerToClient,
}

impl Direction {
    /// Both, in order.
    pub const BOTH: [Direction; 2] = [Direction::ClientToServer, Direction::ServerToClient];

    /// 0 or 1, for tables by direction.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The other way.
    pub fn opposite(self) -> Direction {
        match self {
            Direction::ClientToServer => Direction::ServerToClient,
            Direction::ServerToClient => Direction::ClientToServer,
        }
    }

    /// The name in the JSON line.
    pub fn name(self) -> &'static str {
        match self {
            Direction::ClientToServer => "client_to_server",
            Direction::ServerToClient => "server_to_client",
        }
    }
}
