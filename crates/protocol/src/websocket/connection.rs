//! Frames out of the bytes, gaps and ends of both directions, and messages out of frames.

mod ending;
mod reading;

use l7trace_event::Direction;

use super::assembly::Assembly;
use super::extension::Deflate;
use super::handshake::Agreement;
use super::inflate::Inflater;
use super::pings::Pings;
use super::totals::{self, Totals};
use crate::nested::Nested;
use crate::{Attribute, Chunk, Feed, Input, Key, Mark, Message, Note, Outbox, Parser, Role, Settings, Start};

/// Reads one WebSocket connection.
pub(super) struct Connection {
    settings: Settings,
    agreement: Agreement,
    /// Whether it is only believed to be WebSocket.
    guessed: bool,
    /// Frames that were as they should be.
    proper: u32,
    withdrawn: bool,
    ways: [Way; 2],
    nested: Option<Box<Nested>>,
    totals: [Totals; 2],
    first: Option<Mark>,
    last: Mark,
    /// The first close frame's code; 0 where it had none.
    close: Option<(Direction, u16)>,
    lost_bytes: u64,
    messages: u64,
    /// What is to be noted at the first message.
    pending: Vec<Note>,
    over: bool,
}

/// One direction.
struct Way {
    feed: Feed,
    state: State,
    /// The data message under way.
    data: Option<Assembly>,
    inflater: Inflater,
    /// Pings of this direction that wait for a pong of the other.
    pings: Pings,
    closed: bool,
    ended: Option<crate::End>,
    /// Whether something went by unseen since the last data frame that was read.
    unsure: bool,
}

enum State {
    /// The next byte begins a frame.
    Between,
    /// A payload goes by.
    Within(Payload),
    /// Where the next frame begins is not known.
    Lost,
}

/// What is left of a frame.
struct Payload {
    left: u64,
    mask: Option<[u8; 4]>,
    /// How many bytes of it went by.
    offset: u64,
    /// Whether the message is over with this frame.
    last: bool,
    /// The control frame's own message; none where it belongs to the data message under way.
    control: Option<Control>,
}

struct Control {
    assembly: Assembly,
    /// Its payload, as long as it may be.
    payload: Vec<u8>,
}

/// So many bytes of a control frame are looked at.
const MOST_CONTROL_KEPT: usize = 1024;

/// After so many proper frames a guess is no longer withdrawn.
const CERTAIN: u32 = 16;

/// What noise must not be mistaken for after bytes were lost, in bits of evidence.
const ENOUGH_TO_GO_ON: u32 = 20;

/// Bytes held while it is not clear whether they begin a frame.
const MOST_UNCLEAR: usize = 70 << 10;

impl Connection {
    pub(super) fn new(start: Start<'_>) -> Connection {
        let agreement = start.handshake.as_deref().map_or_else(Agreement::unknown, Agreement::of);
        let way = |from_start: bool| Way {
            feed: Feed::default(),
            state: if from_start { State::Between } else { State::Lost },
            data: None,
            inflater: if from_start { Inflater::default() } else { Inflater::joined_late() },
            pings: Pings::default(),
            closed: false,
            ended: None,
            unsure: !from_start,
        };
        let nested = agreement.inner_protocol().map(|next| {
            let facts = vec![Attribute::new("over", super::NAME)];
            Box::new(Nested::new(next, None, start.settings, 1, facts))
        });
        Connection {
            settings: start.settings.clone(),
            guessed: start.handshake.is_none(),
            proper: 0,
            withdrawn: false,
            ways: start.from_start.map(way),
            nested,
            totals: [Totals::default(); 2],
            first: None,
            last: Mark::default(),
            close: None,
            lost_bytes: 0,
            messages: 0,
            pending: agreement.notes.clone(),
            over: false,
            agreement,
        }
    }

    /// A message that begins here.
    fn message(&mut self, direction: Direction, first: Mark, out: &mut Outbox) -> Box<Message> {
        self.messages += 1;
        let mut message = out.message(super::NAME, direction, Role::OneWay);
        message.key = Key { space: 0, id: self.messages };
        message.first = first;
        message.last = first;
        self.describe(&mut message);
        for note in self.pending.drain(..) {
            message.note(note);
        }
        message
    }

    /// Says what every message says of its connection.
    fn describe(&self, message: &mut Message) {
        if let Some(host) = &self.agreement.host {
            message.set_host(host);
        }
        if let Some(path) = &self.agreement.path {
            message.fact("path", path.clone());
        }
        if let Some(subprotocol) = &self.agreement.subprotocol {
            message.fact("subprotocol", subprotocol.clone());
        }
    }

    /// Whether what was taken for WebSocket may be something else.
    fn may_be_wrong(&self) -> bool {
        self.guessed && self.proper < CERTAIN
    }

    /// Whether messages are to be inflated.
    fn inflates(&self) -> bool {
        self.settings.body_limit > 0 || self.is_nested()
    }

    /// Whether somebody reads what the messages say.
    fn is_nested(&self) -> bool {
        self.nested.as_ref().is_some_and(|nested| !nested.is_opaque())
    }
}

impl Parser for Connection {
    fn push(&mut self, chunk: Chunk<'_>, out: &mut Outbox) {
        if self.withdrawn || self.over {
            return;
        }
        match chunk.input {
            Input::Bytes(bytes) => self.bytes(&chunk, bytes, out),
            Input::Gap { length, cause } => self.gap(&chunk, length, cause, out),
            Input::End(end) => self.end(&chunk, end, out),
        }
    }

    fn skippable(&self, direction: Direction) -> u64 {
        let way = &self.ways[direction.index()];
        match &way.state {
            State::Within(payload) if payload.control.is_none() => match &way.data {
                Some(data) if data.needs_bytes(self.is_nested()) => 0,
                // Compressed payload that is skipped leaves the window unknown; nobody looks at it.
                _ => payload.left,
            },
            _ => 0,
        }
    }

    fn held(&self) -> usize {
        let way = |way: &Way| {
            let control = match &way.state {
                State::Within(Payload { control: Some(control), .. }) => control.payload.len(),
                _ => 0,
            };
            let data = way.data.as_ref().map_or(0, Assembly::held);
            way.feed.held() + control + data + way.inflater.held() + way.pings.held()
        };
        self.ways.iter().map(way).sum::<usize>() + self.nested.as_ref().map_or(0, |nested| nested.held())
    }

    fn facts(&self) -> Vec<Attribute> {
        let agreement = &self.agreement;
        let named =
            [("path", &agreement.path), ("subprotocol", &agreement.subprotocol), ("extensions", &agreement.extensions)];
        let named = named.into_iter().filter_map(|(name, value)| Some(Attribute::new(name, value.clone()?)));
        let mut facts: Vec<Attribute> = named.collect();
        if let Deflate::Yes(parameters) = agreement.deflate {
            let [client, server] = parameters.no_context_takeover;
            facts.push(Attribute::new("client_no_context_takeover", client));
            facts.push(Attribute::new("server_no_context_takeover", server));
        }
        facts.extend(totals::facts(self.totals));
        if let Some((direction, code)) = self.close {
            let by = match direction {
                Direction::ClientToServer => "client",
                Direction::ServerToClient => "server",
            };
            facts.push(Attribute::new("closed_by", by));
            if code > 0 {
                facts.push(Attribute::new("close_code", u64::from(code)));
            }
        }
        facts
    }
}
