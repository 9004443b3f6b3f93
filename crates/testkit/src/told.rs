//! Events that own what they carry, as tests write them.

use std::sync::Arc;
use std::time::Duration;

use l7trace_event::{
    Cause, Endpoint, Event, Flags, Process, Segment, Side, SourceKind, Timestamp, Tuple, What, Witness,
};

/// An event, written by a test. Its methods change one thing each.
#[derive(Clone, Debug)]
pub struct Told {
    /// When; none: `push_all` and its like give it the time of its place in the list.
    pub at: Option<Timestamp>,
    /// Who saw it.
    pub witness: Witness,
    /// Between whom.
    pub tuple: Tuple,
    /// The bytes of a segment.
    pub bytes: Vec<u8>,
    /// The rest of a segment; its bytes are ignored.
    pub segment: Segment<'static>,
    /// What it is, where it is no segment.
    pub other: Option<What<'static>>,
}

/// The lower end: 10.0.0.1 port 1000.
pub fn end_a() -> Endpoint {
    Endpoint::inet([10, 0, 0, 1].into(), 1000)
}

/// The higher end: 10.0.0.2 port 80.
pub fn end_b() -> Endpoint {
    Endpoint::inet([10, 0, 0, 2].into(), 80)
}

/// The lower end sends these bytes from this position on.
pub fn a(position: u32, bytes: impl AsRef<[u8]>) -> Told {
    Told::new(Side::A, position, bytes)
}

/// The higher end sends these bytes from this position on.
pub fn b(position: u32, bytes: impl AsRef<[u8]>) -> Told {
    Told::new(Side::B, position, bytes)
}

/// The kernel's ring was full.
pub fn ring_full() -> Told {
    Told { other: Some(What::RingFull { records: 1, bytes: 100 }), ..a(0, "") }
}

impl Told {
    /// A segment of this side.
    pub fn new(from: Side, position: u32, bytes: impl AsRef<[u8]>) -> Told {
        let tuple = Tuple::new(end_a(), end_b(), 0);
        Told {
            at: None,
            witness: Witness { source: SourceKind::File, place: 0 },
            tuple: if from == Side::A { tuple } else { tuple.reversed() },
            bytes: bytes.as_ref().to_vec(),
            segment: Segment { position, ..Segment::default() },
            other: None,
        }
    }

    /// At this time, in milliseconds.
    #[must_use]
    pub fn at(mut self, milliseconds: u64) -> Told {
        self.at = Some(Timestamp(0) + Duration::from_millis(milliseconds));
        self
    }

    /// Seen by this one.
    #[must_use]
    pub fn by(mut self, source: SourceKind, place: u32) -> Told {
        self.witness = Witness { source, place };
        self
    }

    /// Its sender had read the other direction up to here.
    #[must_use]
    pub fn ack(mut self, position: u32) -> Told {
        self.segment.acknowledged = Some(position);
        self
    }

    /// With so many more bytes that were not copied.
    #[must_use]
    pub fn missing(mut self, length: u32, cause: Cause) -> Told {
        self.segment.missing = length;
        self.segment.cause = Some(cause);
        self
    }

    /// With these flags as well.
    #[must_use]
    pub fn flags(mut self, flags: Flags) -> Told {
        self.segment.flags = self.segment.flags.with(flags);
        self
    }

    /// It opens the connection.
    #[must_use]
    pub fn syn(self) -> Told {
        self.flags(Flags::OPEN)
    }

    /// It answers the opening.
    #[must_use]
    pub fn syn_ack(self, position: u32) -> Told {
        self.flags(Flags::OPEN.with(Flags::ANSWER)).ack(position)
    }

    /// It ends its direction.
    #[must_use]
    pub fn fin(self) -> Told {
        self.flags(Flags::END)
    }

    /// It breaks the connection off.
    #[must_use]
    pub fn rst(self) -> Told {
        self.flags(Flags::RESET)
    }

    /// It has no position; in a Unix socket, told by the sender's call (place 0) or the receiver's (1).
    #[must_use]
    pub fn append(self, place: u32) -> Told {
        self.flags(Flags::APPEND).by(SourceKind::Syscalls, place)
    }

    /// The owner of its sender's end.
    #[must_use]
    pub fn owner(mut self, pid: u32, name: &str) -> Told {
        let process = Process { pid, name: name.to_owned(), started: 0, cgroup: 0 };
        self.other = Some(What::Owner(Arc::new(process)));
        self
    }

    /// The name of its sender's end.
    #[must_use]
    pub fn name(mut self, name: &str) -> Told {
        self.other = Some(What::Name(name.into()));
        self
    }

    /// The connection exists.
    #[must_use]
    pub fn exists(mut self) -> Told {
        self.other = Some(What::Exists);
        self
    }

    /// Between other ends: the lower end's port is this one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Told {
        let other = Endpoint::inet([10, 0, 0, 1].into(), port);
        for end in [&mut self.tuple.source, &mut self.tuple.destination] {
            if *end == end_a() {
                *end = other;
            }
        }
        self
    }

    /// Who sent it.
    pub fn from(&self) -> Side {
        self.tuple.connection().1
    }

    /// The event itself, at its own time or else at `default`.
    pub fn event(&self, default: Timestamp) -> Event<'_> {
        let what = match &self.other {
            Some(other) => other.clone(),
            None => What::Segment(Segment { bytes: &self.bytes, ..self.segment }),
        };
        Event { at: self.at.unwrap_or(default), witness: self.witness, tuple: self.tuple, what, packet: None }
    }
}
