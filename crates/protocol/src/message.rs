use std::borrow::Cow;

use l7trace_event::{Direction, Timestamp};

use crate::{Attribute, Value};

/// Something odd about a message that a person would want to know: a short sentence.
pub type Note = Cow<'static, str>;

/// One protocol unit in one direction.
///
/// Its texts live in one buffer of its own, so that a recycled message (see [`crate::Outbox`])
/// allocates nothing. Bytes are kept as they were on the wire; making text of them is the output's.
#[derive(Clone, Debug)]
pub struct Message {
    /// The name of its protocol, as in the JSON line.
    pub protocol: &'static str,
    /// Which way it went.
    pub direction: Direction,
    /// Its part in an exchange.
    pub role: Role,
    /// Which exchange.
    pub key: Key,
    /// With [`Role::Response`] and [`Role::Step`]: it stands for every open exchange of the key's
    /// space whose id is at most the key's (an acknowledgement of many).
    pub up_to: bool,
    /// Where and when its first byte was seen.
    pub first: Mark,
    /// Where its last byte ends (the position after it) and when that byte was seen.
    pub last: Mark,
    /// What it took on the wire, framing included, lost bytes too.
    pub bytes: u64,
    /// What its body took after transfer coding is undone and before content coding is; none where
    /// that is not known.
    pub body_bytes: Option<u64>,
    /// How many of its bytes were not seen, skipped ones excluded.
    pub lost_bytes: u64,
    /// Whether it is all there.
    pub completeness: Completeness,
    /// Whether it says that something went wrong, by the protocol's own rules.
    pub failed: bool,
    /// What was asked, in the protocol's own word. Only the fields of the first message that has
    /// them count in an exchange.
    pub operation: Option<Span>,
    /// Of what it was asked.
    pub resource: Option<Span>,
    /// What came of it.
    pub status: Option<Span>,
    /// The host it was meant for.
    pub host: Option<Span>,
    /// Header fields, in wire order.
    pub headers: Vec<Field>,
    /// Trailer fields, in wire order.
    pub trailers: Vec<Field>,
    /// What was kept of the body, content coding undone.
    pub body: Vec<u8>,
    /// Whether the body went on beyond `body`.
    pub body_truncated: bool,
    /// What is odd about it.
    pub notes: Vec<Note>,
    /// More facts of this message: they stand in `request` or `response` of the JSON line.
    pub attributes: Vec<Attribute>,
    /// More facts of the exchange as a whole (`stream`, `channel`): they stand beside `operation`.
    pub facts: Vec<Attribute>,
    arena: Vec<u8>,
}

impl Message {
    /// What it keeps on the heap in bytes, without the vectors' own elements.
    pub fn heap_bytes(&self) -> usize {
        self.arena.len() + self.body.len()
    }
}

/// A message's part in an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It opens the exchange of its key.
    Request,
    /// It ends the exchange of its key.
    Response,
    /// It belongs to the exchange of its key and ends nothing (PUBREC, a 1xx worth telling).
    Step,
    /// The request of an open exchange, sent again.
    Repeat,
    /// It stands alone.
    OneWay,
    /// A record of several exchanges that are one thing to a person, with `first` and `last` as its
    /// whole span.
    Transaction,
}

/// What ties the messages of one exchange together: unique among the open exchanges of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// A space of ids: a channel, a direction, a kind of packet.
    pub space: u64,
    /// The id within the space: a count, a stream id, a packet id, a delivery tag.
    pub id: u64,
}

/// A place in a direction and the time at which it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// As in [`crate::Chunk::position`].
    pub position: u64,
    /// When.
    pub at: Timestamp,
}

/// Whether a message is all there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Completeness {
    /// Delimited by the protocol's own rules. Bytes may be missing inside a body of known length.
    #[default]
    Whole,
    /// Its own sender cut it off, by FIN or RST.
    Cut,
    /// Bytes were lost where they matter: something in its start, headers or framing is unknown.
    Partial,
    /// Tracing ended before it did.
    Unfinished,
}

/// A header or trailer field; a part that is not known (HPACK after a late start) is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name as sent.
    pub name: Option<Span>,
    /// Its value as sent.
    pub value: Option<Span>,
    /// Whether the value is a secret, not to be shown unless asked for.
    pub secret: bool,
    /// Whether name and value are known, and known to be printable ASCII without quotes and
    /// backslashes, which most formats take as it is; false where nobody looked.
    pub plain: bool,
}

/// A part of a message's own buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u32,
    length: u32,
}

impl Message {
    /// An empty message. Parsers take theirs from [`crate::Outbox::message`], which recycles.
    pub fn new(protocol: &'static str, direction: Direction, role: Role) -> Message {
        Message {
            protocol,
            direction,
            role,
            key: Key::default(),
            up_to: false,
            first: Mark::default(),
            last: Mark::default(),
            bytes: 0,
            body_bytes: None,
            lost_bytes: 0,
            completeness: Completeness::Whole,
            failed: false,
            operation: None,
            resource: None,
            status: None,
            host: None,
            headers: Vec::new(),
            trailers: Vec::new(),
            body: Vec::new(),
            body_truncated: false,
            notes: Vec::new(),
            attributes: Vec::new(),
            facts: Vec::new(),
            arena: Vec::new(),
        }
    }

    /// Makes it an empty message again, keeping its buffers.
    pub(crate) fn reset(&mut self, protocol: &'static str, direction: Direction, role: Role) {
        // Every field by its name, so that none is forgotten.
        let Message {
            headers,
            trailers,
            body,
            notes,
            attributes,
            facts,
            arena,
            protocol: its_protocol,
            direction: its_direction,
            role: its_role,
            key,
            up_to,
            first,
            last,
            bytes,
            body_bytes,
            lost_bytes,
            completeness,
            failed,
            operation,
            resource,
            status,
            host,
            body_truncated,
        } = self;
        (*its_protocol, *its_direction, *its_role) = (protocol, direction, role);
        (*key, *up_to) = (Key::default(), false);
        (*first, *last) = (Mark::default(), Mark::default());
        (*bytes, *body_bytes, *lost_bytes) = (0, None, 0);
        (*completeness, *failed, *body_truncated) = (Completeness::Whole, false, false);
        (*operation, *resource, *status, *host) = (None, None, None, None);
        headers.clear();
        trailers.clear();
        body.clear();
        notes.clear();
        attributes.clear();
        facts.clear();
        arena.clear();
    }

    /// Whether its buffers are small enough to be worth keeping.
    pub(crate) fn is_worth_recycling(&self) -> bool {
        self.arena.capacity() + self.body.capacity() + self.headers.capacity() * size_of::<Field>() <= 64 << 10
    }

    /// Copies `bytes` into the message's buffer. Messages hold less than 4 GiB of text; what is
    /// beyond that is cut off.
    pub fn put(&mut self, bytes: &[u8]) -> Span {
        let start = u32::try_from(self.arena.len()).unwrap_or(u32::MAX);
        let length = bytes.len().min((u32::MAX - start) as usize);
        self.arena.extend_from_slice(&bytes[..length]);
        Span { start, length: length as u32 }
    }

    /// The bytes of a span of this message.
    pub fn text(&self, span: Span) -> &[u8] {
        self.arena.get(span.start as usize..).and_then(|rest| rest.get(..span.length as usize)).unwrap_or_default()
    }

    /// The bytes of a span that may be absent.
    pub fn text_of(&self, span: Option<Span>) -> Option<&[u8]> {
        span.map(|span| self.text(span))
    }

    /// Sets the operation.
    pub fn set_operation(&mut self, bytes: &[u8]) {
        self.operation = Some(self.put(bytes));
    }

    /// Sets the resource.
    pub fn set_resource(&mut self, bytes: &[u8]) {
        self.resource = Some(self.put(bytes));
    }

    /// Sets the status.
    pub fn set_status(&mut self, bytes: &[u8]) {
        self.status = Some(self.put(bytes));
    }

    /// Sets the host.
    pub fn set_host(&mut self, bytes: &[u8]) {
        self.host = Some(self.put(bytes));
    }

    /// Adds a header field.
    pub fn add_header(&mut self, name: Option<&[u8]>, value: Option<&[u8]>, secret: bool) {
        let field = Field {
            name: name.map(|name| self.put(name)),
            value: value.map(|value| self.put(value)),
            secret,
            plain: false,
        };
        self.headers.push(field);
    }

    /// The value of the first header field of this name (ASCII case-insensitive).
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|field| field.name.is_some_and(|span| self.text(span).eq_ignore_ascii_case(name.as_bytes())))
            .and_then(|field| self.text_of(field.value))
    }

    /// How many bytes its buffers hold in memory.
    pub fn held(&self) -> usize {
        self.arena.capacity()
            + self.body.capacity()
            + (self.headers.capacity() + self.trailers.capacity()) * size_of::<Field>()
    }

    /// Adds a note, once.
    pub fn note(&mut self, note: impl Into<Note>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Adds a fact of this message.
    pub fn attribute(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push(Attribute::new(name, value));
    }

    /// Adds a fact of the whole exchange.
    pub fn fact(&mut self, name: &'static str, value: impl Into<Value>) {
        self.facts.push(Attribute::new(name, value));
    }
}

impl Span {
    /// A part of this span, for those who put a whole block and then find its parts.
    /// `from..to` is relative to the span; it is clamped to it.
    #[must_use]
    pub fn part(self, from: usize, to: usize) -> Span {
        let to = to.min(self.length as usize);
        let from = from.min(to);
        Span { start: self.start + from as u32, length: (to - from) as u32 }
    }

    /// How many bytes it spans.
    pub fn len(self) -> usize {
        self.length as usize
    }

    /// Whether it spans nothing.
    pub fn is_empty(self) -> bool {
        self.length == 0
    }
}
