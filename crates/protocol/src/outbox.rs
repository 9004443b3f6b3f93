use l7trace_event::{Direction, Timestamp};

use crate::lines::KnownLines;
use crate::{Chunk, Input, Message, Note, Role};

/// Where a parser puts what it understood, and where it takes fresh messages from.
#[derive(Default)]
pub struct Outbox {
    outputs: Vec<Output>,
    #[expect(clippy::vec_box, reason = "a message goes from hand to hand as its box")]
    spare: Vec<Box<Message>>,
    /// Header lines lately read, on whichever connection.
    pub(crate) lines: KnownLines,
}

/// How many finished messages are kept for reuse: HTTP/2 ends hundreds of streams at a time.
const MOST_SPARE: usize = 512;

/// What a parser understood.
#[derive(Debug)]
pub enum Output {
    /// A message.
    Message(Box<Message>),
    /// From here on the connection speaks something else.
    Switch(Switch),
    /// The connection does not speak this protocol after all (a guess in mid-stream that broke):
    /// it is recognised anew from the next chunk on.
    Withdrawn {
        /// Why.
        why: Note,
    },
}

/// From here on the connection speaks something else.
#[derive(Debug)]
pub struct Switch {
    /// What.
    pub next: Next,
    /// The messages that led to it.
    pub handshake: Option<Box<Handshake>>,
    /// What the parser had been given beyond the switch, in the order in which it came.
    pub rest: Vec<OwnedChunk>,
}

/// What a connection speaks next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The protocol of this name in the registry; opaque where there is none.
    Protocol(&'static str),
    /// Whatever it turns out to be.
    Recognise,
}

/// The messages that led to a switch.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// What the client asked.
    pub request: Option<Box<Message>>,
    /// What the server answered.
    pub response: Option<Box<Message>>,
}

/// Bytes with their place and time, kept.
#[derive(Clone, Debug)]
pub struct OwnedChunk {
    /// Which way they went.
    pub direction: Direction,
    /// As in [`Chunk::position`].
    pub position: u64,
    /// When they were seen.
    pub at: Timestamp,
    /// As in [`Chunk::acknowledged`].
    pub acknowledged: Option<u64>,
    /// The bytes; never empty.
    pub bytes: Vec<u8>,
}

impl OwnedChunk {
    /// The same, borrowed.
    pub fn chunk(&self) -> Chunk<'_> {
        Chunk {
            direction: self.direction,
            position: self.position,
            at: self.at,
            acknowledged: self.acknowledged,
            input: Input::Bytes(&self.bytes),
        }
    }
}

impl Outbox {
    /// An empty message, recycled where there is one.
    pub fn message(&mut self, protocol: &'static str, direction: Direction, role: Role) -> Box<Message> {
        match self.spare.pop() {
            Some(mut message) => {
                message.reset(protocol, direction, role);
                message
            }
            None => Box::new(Message::new(protocol, direction, role)),
        }
    }

    /// Gives a message that nobody needs any more back for reuse.
    pub fn recycle(&mut self, message: Box<Message>) {
        if self.spare.len() < MOST_SPARE && message.is_worth_recycling() {
            self.spare.push(message);
        }
    }

    /// Puts a message out.
    pub fn push(&mut self, message: Box<Message>) {
        self.outputs.push(Output::Message(message));
    }

    /// Puts a switch out: the last thing that a parser does.
    pub fn switch(&mut self, switch: Switch) {
        self.outputs.push(Output::Switch(switch));
    }

    /// Withdraws the recognition: the last thing that a parser does.
    pub fn withdraw(&mut self, why: impl Into<Note>) {
        self.outputs.push(Output::Withdrawn { why: why.into() });
    }

    /// Whether nothing was put out.
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }

    /// What was put out, in order, leaving nothing. Give the vector back with
    /// [`Outbox::restore`] to keep its allocation.
    pub fn take(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// Gives the drained vector of [`Outbox::take`] back.
    pub fn restore(&mut self, mut emptied: Vec<Output>) {
        emptied.clear();
        if self.outputs.is_empty() {
            self.outputs = emptied;
        }
    }
}
