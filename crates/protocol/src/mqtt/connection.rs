//! Packets out of the bytes, gaps and ends of both directions of a connection.

use std::borrow::Cow;

use l7trace_event::{Cause, Direction, Timestamp};

use super::aliases::Aliases;
use super::causal::Causal;
use super::cursor::Malformed;
use super::decode::{self, Decoded, Packet};
use super::evidence;
use super::flow::{Flow, Read};
use super::packet::{Header, Kind};
use super::version::{Level, UNCERTAIN, Version};
use crate::{
    Attribute, Chunk, Completeness, End, Feed, Input, Mark, Message, Note, Outbox, Parser, Role, Settings, Start,
    Window,
};

/// Reads one MQTT connection.
pub(super) struct Connection {
    inner: Inner,
    causal: Causal,
}

struct Inner {
    settings: Settings,
    version: Version,
    ways: [Way; 2],
    flow: Flow,
    /// Whether it is only believed to be MQTT, as its CONNECT was not seen.
    guessed: bool,
    /// Packets that were as they should be.
    proper: u32,
    malformed: u64,
    withdrawn: bool,
}

/// One direction.
struct Way {
    feed: Feed,
    state: State,
    aliases: Aliases,
    /// What is to be noted at the next packet.
    pending: Option<Note>,
    packets: u64,
    ended: bool,
}

enum State {
    /// The next byte begins a packet.
    Between,
    /// The rest of a packet goes by: a payload, or what could not be read.
    Within(Rest),
    /// Where the next packet begins is not known.
    Lost,
}

struct Rest {
    /// What is told once the packet is over.
    message: Option<Box<Message>>,
    left: u64,
    /// How many bytes of it are still to be kept as the body.
    keep: usize,
    /// Answers that were seen before the end of what they answer.
    answers: Vec<Box<Message>>,
}

/// After so many proper packets a guess is no longer withdrawn.
const CERTAIN: u32 = 32;

/// What noise must not be mistaken for after bytes were lost, in bits of [`evidence::Evidence`].
const ENOUGH_TO_GO_ON: u32 = 20;

/// Bytes held while it is not clear whether they begin a packet.
const MOST_UNCLEAR: usize = 16 << 10;

/// Answers held until what they answer is over.
const MOST_ANSWERS: usize = 16;

impl Connection {
    pub(super) fn new(start: &Start<'_>) -> Connection {
        let way = |from_start: bool| Way {
            feed: Feed::default(),
            state: if from_start { State::Between } else { State::Lost },
            aliases: if from_start { Aliases::default() } else { Aliases::joined_late() },
            pending: None,
            packets: 0,
            ended: false,
        };
        // Within another protocol's connection positions do not begin at 0.
        let counted = if start.handshake.is_some() { [false; 2] } else { start.from_start };
        Connection {
            inner: Inner {
                settings: start.settings.clone(),
                version: Version::Open(0),
                ways: start.from_start.map(way),
                flow: Flow::new(start.from_start),
                guessed: true,
                proper: 0,
                malformed: 0,
                withdrawn: false,
            },
            causal: Causal::new(counted),
        }
    }
}

impl Parser for Connection {
    fn push(&mut self, chunk: Chunk<'_>, out: &mut Outbox) {
        let inner = &mut self.inner;
        self.causal.push(chunk, |chunk| inner.push(chunk, out));
    }

    fn skippable(&self, direction: Direction) -> u64 {
        if self.causal.held() > 0 {
            return 0;
        }
        match &self.inner.ways[direction.index()].state {
            State::Within(rest) if rest.keep == 0 => rest.left,
            _ => 0,
        }
    }

    fn held(&self) -> usize {
        let ways: usize = self.inner.ways.iter().map(Way::held).sum();
        ways + self.causal.held() + self.inner.flow.held()
    }

    fn facts(&self) -> Vec<Attribute> {
        let mut facts = Vec::new();
        if let Version::Known(level) = self.inner.version {
            facts.push(Attribute::new("version", level.name()));
        }
        facts.extend(self.inner.flow.facts());
        for (name, way) in ["packets_from_client", "packets_from_server"].into_iter().zip(&self.inner.ways) {
            facts.push(Attribute::new(name, way.packets));
        }
        if self.inner.malformed > 0 {
            facts.push(Attribute::new("malformed_packets", self.inner.malformed));
        }
        facts
    }
}

impl Way {
    fn held(&self) -> usize {
        let rest = match &self.state {
            State::Within(rest) => rest.message.as_ref().map_or(0, |message| message.body.len() + size_of::<Message>()),
            State::Between | State::Lost => 0,
        };
        self.feed.held() + self.aliases.held() + rest
    }
}

/// How reading went on.
enum Step {
    /// A packet was taken, or a part of one.
    On,
    /// More bytes are needed.
    More,
    /// Where the next packet begins is not known.
    Lost,
}

impl Inner {
    fn push(&mut self, chunk: Chunk<'_>, out: &mut Outbox) {
        if self.withdrawn {
            return;
        }
        match chunk.input {
            Input::Bytes(bytes) => self.bytes(&chunk, bytes, out),
            Input::Gap { length, cause } => self.gap(&chunk, length, cause, out),
            Input::End(end) => self.end(&chunk, end, out),
        }
    }

    fn bytes(&mut self, chunk: &Chunk<'_>, bytes: &[u8], out: &mut Outbox) {
        let direction = chunk.direction;
        let mut feed = std::mem::take(&mut self.ways[direction.index()].feed);
        let mut window = feed.open(bytes, chunk.position, chunk.at, chunk.acknowledged);
        while !window.is_empty() && !self.withdrawn {
            let step = match &mut self.ways[direction.index()].state {
                State::Within(_) => self.within(direction, &mut window, out),
                State::Between => self.packet(direction, &mut window, out),
                State::Lost => self.find(direction, &mut window, chunk.position),
            };
            match step {
                Step::On => {}
                Step::More => break,
                Step::Lost => {
                    window.consume(usize::MAX);
                    self.lose(direction, chunk.at);
                }
            }
        }
        window.close();
        self.ways[direction.index()].feed = feed;
    }

    /// Looks for a packet at the first byte held, else where the newest chunk begins: packets mostly
    /// begin where chunks do.
    fn find(&mut self, direction: Direction, window: &mut Window<'_>, newest: u64) -> Step {
        let verdict = evidence::read(window.bytes(), direction);
        let enough = |evidence: evidence::Evidence| {
            let exact = if evidence.flush && evidence.whole > 0 { 8 } else { 0 };
            evidence.bits + exact >= ENOUGH_TO_GO_ON
        };
        match verdict {
            Some(evidence) if enough(evidence) => {
                self.ways[direction.index()].state = State::Between;
                Step::On
            }
            Some(_) if window.bytes().len() < MOST_UNCLEAR => Step::More,
            _ => {
                let to_newest = newest.saturating_sub(window.position());
                window.consume(if to_newest == 0 { usize::MAX } else { to_newest as usize });
                Step::On
            }
        }
    }

    /// Reads the packet that begins here.
    fn packet(&mut self, direction: Direction, window: &mut Window<'_>, out: &mut Outbox) -> Step {
        let header = match Header::read(window.bytes()) {
            Ok(header) => header,
            Err(Malformed::Short) => return Step::More,
            Err(Malformed::Wrong(why)) => return self.broken(direction, why, out),
        };
        if self.may_be_wrong() && !header.is_plausible(direction) {
            return self.broken(direction, "a packet that this end cannot have sent", out);
        }
        let available = &window.bytes()[header.size..];
        let needed = self.needed(&header, available);
        let Some(body) = available.get(..needed) else { return Step::More };
        let (level, uncertain) = self.level(&header, body, direction);
        let mut message = self.message(direction, &header, window, needed, out);
        let mut decoded = Decoded::default();
        let packet = Packet { header, body, level, body_limit: self.settings.body_limit };
        let done = decode::decode(&packet, &mut message, &mut decoded);
        if done.is_err() && self.may_be_wrong() {
            out.recycle(message);
            return self.broken(direction, "a packet that no version of MQTT has", out);
        }
        if uncertain {
            message.note(UNCERTAIN);
        }
        self.judge(&header, needed, done, &mut message);
        if let Some(level) = decoded.level {
            self.version = Version::Known(level);
            self.guessed = false;
        }
        let is_payload = header.kind == Kind::Publish && done.is_ok();
        let before_payload = if is_payload { decoded.payload_at } else { needed };
        let left = u64::from(header.length).saturating_sub(before_payload as u64);
        message.body_bytes = match header.kind {
            Kind::Publish => is_payload.then_some(left),
            _ => Some(0),
        };
        if is_payload {
            self.name_topic(direction, &decoded, &mut message);
        }
        let read = Read {
            header,
            level,
            first: message.first,
            end: window.position().saturating_add(header.total()),
            acknowledged: window.acknowledged_at(window.position()),
        };
        let message = self.flow.relate(&read, decoded, message, out);
        window.consume(header.size + before_payload);
        let way = &mut self.ways[direction.index()];
        way.packets += 1;
        let keep = if is_payload { self.settings.body_limit } else { 0 };
        way.state = State::Within(Rest { message, left, keep, answers: Vec::new() });
        self.within(direction, window, out)
    }

    /// How many bytes after the fixed header must be there before the packet is read: all of them,
    /// or those before a PUBLISH's payload.
    fn needed(&self, header: &Header, available: &[u8]) -> usize {
        let most = (header.length as usize).min(self.settings.head_limit);
        if header.kind != Kind::Publish {
            return most;
        }
        let levels = match &self.version {
            Version::Known(level) => std::slice::from_ref(level),
            Version::Open(_) => &[Level::FourOrThree, Level::Five],
        };
        let mut needed = 0;
        let mut wrong = 0;
        for level in levels {
            match decode::publish_header_length(header, available, *level) {
                Ok(length) => needed = needed.max(length),
                Err(Malformed::Short) => return most.min(available.len() + 1),
                Err(Malformed::Wrong(_)) => wrong += 1,
            }
        }
        if wrong == levels.len() { most } else { needed.min(most) }
    }

    /// As what version to read a packet, and whether that is a guess.
    fn level(&mut self, header: &Header, body: &[u8], direction: Direction) -> (Level, bool) {
        let filters = match header.kind {
            Kind::Suback | Kind::Unsuback => self.flow.filters_of(header.kind, body),
            // It says its own.
            Kind::Connect => return (Level::FourOrThree, false),
            _ => None,
        };
        let packet = Packet { header: *header, body, level: Level::Five, body_limit: 0 };
        self.version.settle(&packet, direction, filters)
    }

    fn message(
        &mut self,
        direction: Direction,
        header: &Header,
        window: &Window<'_>,
        taken: usize,
        out: &mut Outbox,
    ) -> Box<Message> {
        let mut message = out.message(super::NAME, direction, Role::OneWay);
        message.first = window.mark(window.position());
        message.last = window.end_mark(window.position() + (header.size + taken) as u64);
        message.bytes = header.total();
        if let Some(pending) = self.ways[direction.index()].pending.take() {
            message.note(pending);
        }
        message
    }

    /// Counts a packet as proper or malformed, and says which.
    fn judge(&mut self, header: &Header, needed: usize, done: Result<(), Malformed>, message: &mut Message) {
        match done {
            Ok(()) => self.proper = self.proper.saturating_add(u32::from(message.notes.is_empty())),
            Err(Malformed::Short) if needed < header.length as usize => {
                message.note("too long to be read to its end");
                message.completeness = Completeness::Partial;
            }
            Err(wrong) => {
                self.malformed += 1;
                message.note(format!("malformed: {}", wrong.why()));
            }
        }
    }

    /// Resolves a topic alias, or learns it.
    fn name_topic(&mut self, direction: Direction, decoded: &Decoded, message: &mut Message) {
        let Some(alias) = decoded.topic_alias else { return };
        let aliases = &mut self.ways[direction.index()].aliases;
        if decoded.has_topic {
            aliases.set(alias, message.text_of(message.resource).unwrap_or_default());
            return;
        }
        match aliases.topic(alias) {
            Ok(topic) => message.set_resource(topic),
            Err(why) => message.note(format!("unknown: {why}")),
        }
    }

    /// Reads on in a packet whose fields are known.
    fn within(&mut self, direction: Direction, window: &mut Window<'_>, out: &mut Outbox) -> Step {
        let State::Within(rest) = &mut self.ways[direction.index()].state else { return Step::On };
        let bytes = window.bytes();
        let taken = usize::try_from(rest.left).unwrap_or(usize::MAX).min(bytes.len());
        let kept = rest.keep.min(taken);
        if let Some(message) = &mut rest.message
            && kept > 0
        {
            message.body.extend_from_slice(&bytes[..kept]);
        }
        rest.keep -= kept;
        rest.left -= taken as u64;
        window.consume(taken);
        if rest.left == 0 {
            let end = window.end_mark(window.position());
            self.finish(direction, end, out);
        }
        Step::On
    }

    /// The packet is over.
    fn finish(&mut self, direction: Direction, end: Mark, out: &mut Outbox) {
        let state = std::mem::replace(&mut self.ways[direction.index()].state, State::Between);
        let State::Within(rest) = state else { return };
        let Some(mut message) = rest.message else { return };
        message.last = end;
        let kept = message.body.len() as u64;
        message.body_truncated = self.settings.body_limit > 0 && message.body_bytes.is_some_and(|all| all > kept);
        let other = &mut self.ways[direction.opposite().index()];
        if let State::Within(asked) = &mut other.state
            && matches!(message.role, Role::Response | Role::Step)
            && asked.message.as_ref().is_some_and(|asked| asked.key == message.key)
            && asked.answers.len() < MOST_ANSWERS
        {
            asked.answers.push(message);
            return;
        }
        out.push(message);
        for answer in rest.answers {
            out.push(answer);
        }
    }

    /// Whether what was taken for MQTT may be something else.
    fn may_be_wrong(&self) -> bool {
        self.guessed && self.proper < CERTAIN
    }

    /// The framing does not hold: withdraws a guess, or looks for the next packet.
    fn broken(&mut self, direction: Direction, why: &'static str, out: &mut Outbox) -> Step {
        if self.may_be_wrong() {
            self.withdrawn = true;
            out.withdraw(format!("not MQTT after all: {why}"));
            return Step::More;
        }
        self.malformed += 1;
        self.ways[direction.index()].pending = Some(Cow::Owned(format!("what came before is not understood: {why}")));
        Step::Lost
    }

    /// From here on it is not known where packets begin, and packets may have gone by.
    fn lose(&mut self, direction: Direction, at: Timestamp) {
        let way = &mut self.ways[direction.index()];
        way.state = State::Lost;
        way.aliases.forget();
        self.flow.lose(direction, at);
    }

    fn gap(&mut self, chunk: &Chunk<'_>, length: u64, cause: Cause, out: &mut Outbox) {
        let direction = chunk.direction;
        let way = &mut self.ways[direction.index()];
        if matches!(way.state, State::Between) && way.feed.held() > 0 {
            self.interrupted(direction, out);
        }
        let after = chunk.position.saturating_add(length);
        let way = &mut self.ways[direction.index()];
        way.feed.clear(after);
        let mut beyond = length;
        if let State::Within(rest) = &mut way.state {
            let taken = rest.left.min(length);
            rest.left -= taken;
            rest.keep = 0;
            beyond -= taken;
            if let Some(message) = &mut rest.message
                && cause.is_loss()
            {
                message.lost_bytes += taken;
            }
            if rest.left == 0 {
                let end = Mark { position: chunk.position + taken, at: chunk.at };
                self.finish(direction, end, out);
            }
        }
        if beyond > 0 {
            self.lose(direction, chunk.at);
        }
    }

    /// Bytes are missing after the beginning of a packet: where its length is known, it is told as
    /// far as it is, and where it ends is known.
    fn interrupted(&mut self, direction: Direction, out: &mut Outbox) {
        let Some(beginning) = self.beginning(direction, out) else { return };
        let Beginning { mut message, left } = beginning;
        message.completeness = Completeness::Partial;
        message.note("bytes were lost within the packet");
        self.ways[direction.index()].state =
            State::Within(Rest { message: Some(message), left, keep: 0, answers: Vec::new() });
    }

    /// What can be told of a packet of which only the beginning is held.
    fn beginning(&mut self, direction: Direction, out: &mut Outbox) -> Option<Beginning> {
        let feed = std::mem::take(&mut self.ways[direction.index()].feed);
        let header = Header::read(feed.bytes()).ok().filter(|header| header.kind != Kind::Reserved)?;
        let body = feed.bytes().get(header.size..)?;
        let first = Mark { position: feed.start(), at: feed.time_of(feed.start()) };
        let level = match self.version {
            Version::Known(level) => level,
            Version::Open(_) => Level::FourOrThree,
        };
        let mut message = out.message(super::NAME, direction, Role::OneWay);
        message.first = first;
        message.last = Mark { position: feed.end(), at: feed.time_of(feed.end().saturating_sub(1)) };
        message.bytes = header.total();
        let mut decoded = Decoded::default();
        let packet = Packet { header, body, level, body_limit: 0 };
        // Whatever is missing, what was understood stands.
        let _ = decode::decode(&packet, &mut message, &mut decoded);
        if !matches!(header.kind, Kind::Publish | Kind::Connect) {
            // A part of the filters, or of the reasons, is none.
            message.resource = None;
            decoded.filters.clear();
            decoded.reasons.clear();
        }
        let end = first.position.saturating_add(header.total());
        let read = Read { header, level, first, end, acknowledged: None };
        let message = self.flow.relate(&read, decoded, message, out)?;
        let left = header.total() - (header.size + body.len()) as u64;
        Some(Beginning { message, left })
    }

    fn end(&mut self, chunk: &Chunk<'_>, end: End, out: &mut Outbox) {
        let direction = chunk.direction;
        let completeness = if end == End::Unknown { Completeness::Unfinished } else { Completeness::Cut };
        let way = &mut self.ways[direction.index()];
        way.ended = true;
        if matches!(way.state, State::Between)
            && way.feed.held() > 0
            && let Some(Beginning { mut message, left }) = self.beginning(direction, out)
        {
            message.completeness = completeness;
            message.bytes -= left;
            message.body_bytes = None;
            out.push(message);
        }
        let way = &mut self.ways[direction.index()];
        way.feed = Feed::default();
        if let State::Within(Rest { message: Some(message), left, .. }) = &mut way.state {
            if message.completeness == Completeness::Whole {
                message.completeness = completeness;
            }
            message.bytes -= (*left).min(message.bytes);
            message.body_bytes = message.body_bytes.map(|all| all.saturating_sub(*left));
            let last = Mark { position: message.first.position + message.bytes, at: message.last.at };
            self.finish(direction, last, out);
        }
        if self.ways.iter().all(|way| way.ended) {
            self.flow.end(out);
        }
    }
}

/// A packet as far as it is there.
struct Beginning {
    message: Box<Message>,
    /// How many of its bytes are not.
    left: u64,
}
