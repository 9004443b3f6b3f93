//! What one connection says: first recognised, then parsed, and what is understood paired.

use std::sync::Arc;

use l7trace_event::{Direction, Process, Side, SourceKind, Timestamp, Witness};
use l7trace_protocol::{
    Chunk, Completeness, End, Handshake, Input, Message, Next, Note, Output, Parser, Role, Start, by_name,
};
use l7trace_stream::{Closed, Delivered, Delivery, Ending, Facts};

use crate::pairing::{Open, Pairing};
use crate::recogniser::{Found, Recogniser};
use crate::tracker::{Emit, Options};
use crate::vantage::{Times, Vantages};
use crate::{Connection, ConnectionRecord, Exchange, Kind, Outcome, Peer, Timings};

/// The most switches that one connection can make: an endless row of them is no conversation.
const MOST_SWITCHES: u32 = 16;

/// The state of one connection.
pub struct Conversation {
    speech: Speech,
    pairing: Pairing,
    /// Who asks, once a protocol has said so.
    client: Option<Side>,
    /// What it was recognised as last.
    protocol: Option<&'static str>,
    /// What exchanges say of the connection; made anew when something of it changes.
    connection: Option<Arc<Connection>>,
    /// By side: how it ended, once it has.
    ended: [Option<Ending>; 2],
    switches: u32,
    notes: Vec<Note>,
    vantages: Vantages,
}

enum Speech {
    Recognising(Box<Recogniser>),
    Speaking(Box<dyn Parser>),
    /// Nobody reads it.
    Opaque,
}

impl Conversation {
    pub(crate) fn new() -> Conversation {
        Conversation {
            speech: Speech::Recognising(Box::new(Recogniser::new())),
            pairing: Pairing::default(),
            client: None,
            protocol: None,
            connection: None,
            ended: [None; 2],
            switches: 0,
            notes: Vec::new(),
            vantages: Vantages::default(),
        }
    }

    /// Bytes held for what is not finished; an open exchange counts for its message.
    pub(crate) fn held(&self) -> usize {
        let speech = match &self.speech {
            Speech::Recognising(recogniser) => recogniser.held(),
            Speech::Speaking(parser) => parser.held(),
            Speech::Opaque => 0,
        };
        speech + self.pairing.open() * 1024
    }

    /// How many of the next bytes that one side sends nobody has a use for.
    pub(crate) fn unneeded(&self, from: Side) -> u64 {
        match &self.speech {
            Speech::Speaking(parser) => parser.skippable(direction_of(from, self.client.unwrap_or(Side::A))),
            Speech::Recognising(_) => 0,
            Speech::Opaque => u64::MAX,
        }
    }

    /// What it was recognised as; none where it was not.
    pub(crate) fn protocol(&self) -> Option<&'static str> {
        self.protocol
    }

    pub(crate) fn push(&mut self, facts: &Facts, delivery: Delivery<'_>, options: &Options, emit: &mut Emit<'_>) {
        match &mut self.speech {
            Speech::Speaking(parser) => {
                let chunk = chunk_of(&delivery, self.client.unwrap_or(Side::A));
                parser.push(chunk, emit.outbox);
                self.note_end(&delivery);
                if !emit.outbox.is_empty() {
                    self.handle_outputs(facts, options, emit);
                }
            }
            Speech::Recognising(recogniser) => {
                let initiator = self.client.or(facts.initiator);
                let found = recogniser.push(&delivery, facts.from_start, initiator);
                match found {
                    Found::NotYet => self.note_end(&delivery),
                    Found::Nothing => {
                        self.note_end(&delivery);
                        self.speech = Speech::Opaque;
                    }
                    Found::Protocol { protocol, client, from_start } => {
                        let client = client.or(initiator).unwrap_or_else(|| guess_client(facts));
                        self.client = Some(client);
                        self.protocol = Some(protocol.name());
                        let by_direction = [from_start[client.index()], from_start[client.other().index()]];
                        let start = Start { from_start: by_direction, settings: &options.settings, handshake: None };
                        let speaking = Speech::Speaking(protocol.parser(start));
                        let Speech::Recognising(held) = std::mem::replace(&mut self.speech, speaking) else { return };
                        held.replay(|earlier| self.push(facts, earlier, options, emit));
                        self.push(facts, delivery, options, emit);
                    }
                }
            }
            Speech::Opaque => self.note_end(&delivery),
        }
    }

    /// A witness saw bytes, for the first time or again.
    pub(crate) fn saw(&mut self, witness: Witness, from: Side, position: u64, length: u64, at: Timestamp) {
        self.vantages.saw(witness, from, position, length, at);
    }

    /// The connection is over: gives up what is open, and makes its record.
    pub(crate) fn close(
        mut self,
        facts: &Facts,
        closed: Closed,
        options: &Options,
        emit: &mut Emit<'_>,
    ) -> Option<ConnectionRecord> {
        for open in self.pairing.drain() {
            self.emit_open(facts, open, emit);
        }
        if !options.connections {
            return None;
        }
        let client = self.client.or(facts.initiator).unwrap_or_else(|| guess_client(facts));
        let parser_facts = match &self.speech {
            Speech::Speaking(parser) => parser.facts(),
            Speech::Recognising(_) | Speech::Opaque => Vec::new(),
        };
        Some(ConnectionRecord {
            connection: self.snapshot(facts, client),
            protocol: self.protocol,
            opened: facts.first_seen,
            from_start: facts.initiator.is_some(),
            closed: facts.last_seen,
            why: closed.name(),
            ledgers: [facts.ledgers[client.index()].clone(), facts.ledgers[client.other().index()].clone()],
            exchanges: self.pairing.count(),
            facts: parser_facts,
            notes: self.notes,
            witnesses: facts.witnesses().collect(),
        })
    }

    fn note_end(&mut self, delivery: &Delivery<'_>) {
        if let Delivered::End(ending) = delivery.what {
            self.ended[delivery.from.index()] = Some(ending);
        }
    }

    fn handle_outputs(&mut self, facts: &Facts, options: &Options, emit: &mut Emit<'_>) {
        let mut outputs = emit.outbox.take();
        let mut change = None;
        for output in outputs.drain(..) {
            match output {
                Output::Message(message) => self.pair(facts, message, emit),
                other => change = Some(other),
            }
        }
        emit.outbox.restore(outputs);
        match change {
            Some(Output::Switch(switch)) => self.switch(facts, switch, options, emit),
            Some(Output::Withdrawn { why }) => {
                self.notes.push(why);
                self.protocol = None;
                self.speech = self.recognise_anew(false);
            }
            Some(Output::Message(_)) | None => {}
        }
    }

    fn recognise_anew(&mut self, from_start: bool) -> Speech {
        self.switches += 1;
        if self.switches > MOST_SWITCHES {
            return Speech::Opaque;
        }
        Speech::Recognising(Box::new(Recogniser::anew(from_start)))
    }

    /// From here on it speaks something else: what was beyond the switch is told to that.
    fn switch(&mut self, facts: &Facts, switch: l7trace_protocol::Switch, options: &Options, emit: &mut Emit<'_>) {
        let client = self.client.unwrap_or(Side::A);
        self.speech = self.speech_after(switch.next, switch.handshake, options);
        for held in &switch.rest {
            let from = if held.direction == Direction::ClientToServer { client } else { client.other() };
            let delivery = Delivery {
                from,
                position: held.position,
                at: held.at,
                source: emit.source,
                witness: Witness { source: emit.source, place: 0 },
                acknowledged: held.acknowledged,
                what: Delivered::Bytes(&held.bytes),
            };
            self.push(facts, delivery, options, emit);
        }
        // A side that had ended before the switch has no end to come.
        for side in Side::BOTH {
            if let Some(ending) = self.ended[side.index()] {
                let delivery = Delivery {
                    from: side,
                    position: u64::MAX,
                    at: facts.last_seen,
                    source: emit.source,
                    witness: Witness { source: emit.source, place: 0 },
                    acknowledged: None,
                    what: Delivered::End(ending),
                };
                self.push(facts, delivery, options, emit);
            }
        }
    }

    fn speech_after(&mut self, next: Next, handshake: Option<Box<Handshake>>, options: &Options) -> Speech {
        match next {
            Next::Recognise => self.recognise_anew(true),
            Next::Protocol(name) => {
                self.switches += 1;
                match by_name(name) {
                    Some(protocol) if self.switches <= MOST_SWITCHES => {
                        self.protocol = Some(protocol.name());
                        let start = Start { from_start: [true; 2], settings: &options.settings, handshake };
                        Speech::Speaking(protocol.parser(start))
                    }
                    _ => Speech::Opaque,
                }
            }
        }
    }

    fn pair(&mut self, facts: &Facts, message: Box<Message>, emit: &mut Emit<'_>) {
        match message.role {
            Role::Request => {
                if let Some(given_up) = self.pairing.request(message) {
                    self.emit_open(facts, given_up, emit);
                }
            }
            Role::Response if message.up_to => {
                let mut any = false;
                while let Some(open) = self.pairing.response_up_to(message.key) {
                    any = true;
                    self.emit(facts, Some(open), Some(message.clone()), Kind::Exchange, emit);
                }
                if any {
                    emit.outbox.recycle(message);
                } else {
                    self.emit(facts, None, Some(message), Kind::Exchange, emit);
                }
            }
            Role::Response => {
                let open = self.pairing.response(message.key);
                self.emit(facts, open, Some(message), Kind::Exchange, emit);
            }
            Role::Step => {
                if self.pairing.step(&message) {
                    emit.outbox.recycle(message);
                } else {
                    // A step of an exchange whose request was not seen: better told than dropped.
                    self.emit(facts, None, Some(message), Kind::Exchange, emit);
                }
            }
            Role::Repeat => {
                if self.pairing.repeat(&message) {
                    emit.outbox.recycle(message);
                } else if let Some(given_up) = self.pairing.request(message) {
                    self.emit_open(facts, given_up, emit);
                }
            }
            Role::OneWay | Role::Transaction => {
                let kind = if message.role == Role::OneWay { Kind::Message } else { Kind::Transaction };
                let open =
                    Open { sequence: self.pairing.next_sequence(), request: message, steps: Vec::new(), repeats: 0 };
                self.emit(facts, Some(open), None, kind, emit);
            }
        }
    }

    fn emit_open(&mut self, facts: &Facts, open: Open, emit: &mut Emit<'_>) {
        self.emit(facts, Some(open), None, Kind::Exchange, emit);
    }

    fn emit(
        &mut self,
        facts: &Facts,
        open: Option<Open>,
        response: Option<Box<Message>>,
        kind: Kind,
        emit: &mut Emit<'_>,
    ) {
        let connection = self.snapshot(facts, self.client.unwrap_or(Side::A));
        let (sequence, request, steps, repeats) = match open {
            Some(open) => (open.sequence, Some(open.request), open.steps, open.repeats),
            None => (self.pairing.next_sequence(), None, Vec::new(), 0),
        };
        let Some(first) = request.as_deref().or(response.as_deref()) else { return };
        let client = self.client.unwrap_or(Side::A);
        let both = request.as_deref().zip(response.as_deref());
        let by_one_end = both.and_then(|(request, response)| self.vantages.times(client, request, response));
        if let Some((request, response)) = both
            && self.pairing.open() == 0
        {
            self.vantages.forget(client, request, response);
        }
        let source = if by_one_end.is_some() { SourceKind::Syscalls } else { emit.source };
        let times = by_one_end.or_else(|| both.map(|(request, response)| Times::of(request, response)));
        let timings = times.as_ref().map(|times| Timings {
            send: times.request[1].since(times.request[0]),
            wait: times.response[0].since(times.request[1]),
            receive: times.response[1].since(times.response[0]),
        });
        let latency = match (&times, request.as_deref()) {
            (Some(times), _) => Some(times.response[1].since(times.request[0])),
            (None, Some(whole)) if kind == Kind::Transaction => Some(whole.last.at.since(whole.first.at)),
            _ => None,
        };
        let mut witnesses = emit.spare_witnesses();
        witnesses.extend(facts.witnesses());
        let exchange = Exchange {
            kind,
            connection,
            sequence,
            key: first.key,
            outcome: outcome_of(kind, request.as_deref(), response.as_deref()),
            start: times.map_or(first.first.at, |times| times.request[0]),
            latency,
            timings,
            source,
            witnesses,
            steps,
            repeats,
            request,
            response,
        };
        emit.exchange(exchange);
    }

    /// What exchanges say of the connection, as it is now known.
    fn snapshot(&mut self, facts: &Facts, client: Side) -> Arc<Connection> {
        let current = self.connection.as_ref().filter(|connection| {
            let same = |peer: &Peer, side: Side| {
                peer.endpoint == facts.end(side)
                    && same_process(peer.process.as_ref(), facts.owners[side.index()].as_ref())
                    && peer.name == facts.names[side.index()]
            };
            same(&connection.client, client) && same(&connection.server, client.other())
        });
        if let Some(connection) = current {
            return Arc::clone(connection);
        }
        let peer = |side: Side| Peer {
            endpoint: facts.end(side),
            name: facts.names[side.index()].clone(),
            process: facts.owners[side.index()].clone(),
        };
        let connection = Arc::new(Connection {
            number: facts.number,
            client: peer(client),
            server: peer(client.other()),
            tls: false,
        });
        self.connection = Some(Arc::clone(&connection));
        connection
    }
}

fn same_process(one: Option<&Arc<Process>>, other: Option<&Arc<Process>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// Where nothing says who the client is: servers have the lower port.
fn guess_client(facts: &Facts) -> Side {
    if facts.end(Side::A).port() > facts.end(Side::B).port() { Side::A } else { Side::B }
}

fn direction_of(from: Side, client: Side) -> Direction {
    if from == client { Direction::ClientToServer } else { Direction::ServerToClient }
}

fn chunk_of<'a>(delivery: &Delivery<'a>, client: Side) -> Chunk<'a> {
    Chunk {
        direction: direction_of(delivery.from, client),
        position: delivery.position,
        at: delivery.at,
        acknowledged: delivery.acknowledged,
        input: match delivery.what {
            Delivered::Bytes(bytes) => Input::Bytes(bytes),
            Delivered::Gap { length, cause } => Input::Gap { length, cause },
            Delivered::End(Ending::Closed) => Input::End(End::Closed),
            Delivered::End(Ending::Reset) => Input::End(End::Reset),
            Delivered::End(Ending::Unknown) => Input::End(End::Unknown),
        },
    }
}

fn outcome_of(kind: Kind, request: Option<&Message>, response: Option<&Message>) -> Outcome {
    let is = |message: Option<&Message>, completeness| message.is_some_and(|it| it.completeness == completeness);
    let either = |completeness| is(request, completeness) || is(response, completeness);
    let failed = |message: Option<&Message>| message.is_some_and(|message| message.failed);
    if either(Completeness::Partial) {
        Outcome::Partial
    } else if either(Completeness::Cut) || failed(request) || failed(response) {
        Outcome::Failed
    } else if request.is_none() {
        Outcome::ResponseOnly
    } else if response.is_none() && kind == Kind::Exchange {
        Outcome::Unanswered
    } else if either(Completeness::Unfinished) {
        Outcome::Partial
    } else {
        Outcome::Complete
    }
}
