//! A TCP conversation as its segments, with the bookkeeping of sequence numbers done.

use l7trace_event::{Cause, Direction, Flags, Side, SourceKind, Timestamp, Witness};

use crate::told::Told;

/// Builds what a witness of a connection sees: segments in order, each acknowledging what went
/// before. The lower end of [`crate::told`] is the client. What then happens to the segments on the
/// way to the tracer (loss, reordering, duplication) is the test's: it changes
/// [`Conversation::events`].
#[derive(Clone, Debug)]
pub struct Conversation {
    /// What was seen so far.
    pub events: Vec<Told>,
    next: [u32; 2],
    now: Timestamp,
    witness: Witness,
    port: u16,
    largest: usize,
}

impl Conversation {
    /// Nothing was said. `starts` are the sequence numbers of the client's and the server's SYN.
    pub fn new(starts: [u32; 2]) -> Conversation {
        Conversation {
            events: Vec::new(),
            next: starts,
            now: Timestamp(1_000_000_000),
            witness: Witness { source: SourceKind::File, place: 0 },
            port: 1000,
            largest: 1460,
        }
    }

    /// Segments carry so many bytes at most (1460 unless told).
    #[must_use]
    pub fn largest(mut self, bytes: usize) -> Conversation {
        self.largest = bytes.max(1);
        self
    }

    /// The client's port (1000 unless told): another one is another connection.
    #[must_use]
    pub fn port(mut self, port: u16) -> Conversation {
        self.port = port;
        self
    }

    /// Seen by this witness.
    #[must_use]
    pub fn witness(mut self, witness: Witness) -> Conversation {
        self.witness = witness;
        self
    }

    /// The handshake.
    #[must_use]
    pub fn open(mut self) -> Conversation {
        let client = Direction::ClientToServer;
        self.tell(client, b"", Flags::OPEN, false);
        self.tell(client.opposite(), b"", Flags::OPEN.with(Flags::ANSWER), true);
        self.acknowledge(client)
    }

    /// The client says.
    #[must_use]
    pub fn client(self, bytes: impl AsRef<[u8]>) -> Conversation {
        self.say(Direction::ClientToServer, bytes.as_ref())
    }

    /// The server says.
    #[must_use]
    pub fn server(self, bytes: impl AsRef<[u8]>) -> Conversation {
        self.say(Direction::ServerToClient, bytes.as_ref())
    }

    /// One end says, in as many segments as it takes.
    #[must_use]
    pub fn say(mut self, direction: Direction, bytes: &[u8]) -> Conversation {
        for part in bytes.chunks(self.largest) {
            self.tell(direction, part, Flags::default(), true);
        }
        self
    }

    /// One end says something of which `length` bytes were not copied.
    #[must_use]
    pub fn missing(mut self, direction: Direction, length: u32, cause: Cause) -> Conversation {
        self.tell(direction, b"", Flags::default(), true);
        if let Some(told) = self.events.last_mut() {
            told.segment.missing = length;
            told.segment.cause = Some(cause);
        }
        let next = &mut self.next[direction.index()];
        *next = next.wrapping_add(length);
        self
    }

    /// One end acknowledges everything.
    #[must_use]
    pub fn acknowledge(mut self, direction: Direction) -> Conversation {
        self.tell(direction, b"", Flags::default(), true);
        self
    }

    /// One end closes.
    #[must_use]
    pub fn end(mut self, direction: Direction) -> Conversation {
        self.tell(direction, b"", Flags::END, true);
        self
    }

    /// Both close in order, the client first.
    #[must_use]
    pub fn close(self) -> Conversation {
        self.end(Direction::ClientToServer).end(Direction::ServerToClient).acknowledge(Direction::ClientToServer)
    }

    /// One end breaks it off.
    #[must_use]
    pub fn reset(mut self, direction: Direction) -> Conversation {
        self.tell(direction, b"", Flags::RESET, true);
        self
    }

    /// Time goes by.
    #[must_use]
    pub fn wait(mut self, nanoseconds: u64) -> Conversation {
        self.now.0 += nanoseconds;
        self
    }

    /// The sequence number that one end would use next.
    pub fn next(&self, direction: Direction) -> u32 {
        self.next[direction.index()]
    }

    fn tell(&mut self, direction: Direction, bytes: &[u8], flags: Flags, acknowledges: bool) {
        let from = if direction == Direction::ClientToServer { Side::A } else { Side::B };
        let mut told = Told::new(from, self.next[direction.index()], bytes).flags(flags).port(self.port);
        told.witness = self.witness;
        self.now.0 += 10_000;
        told.at = Some(self.now);
        if acknowledges {
            told = told.ack(self.next[direction.opposite().index()]);
        }
        let takes = bytes.len() as u32 + u32::from(flags.has(Flags::OPEN)) + u32::from(flags.has(Flags::END));
        let next = &mut self.next[direction.index()];
        *next = next.wrapping_add(takes);
        self.events.push(told);
    }
}
