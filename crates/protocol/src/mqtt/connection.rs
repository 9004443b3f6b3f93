//! Packets out of the bytes, gaps and ends of both directions of a connection.

mod losing;
mod reading;

use std::borrow::Cow;

use l7trace_event::{Direction, Timestamp};

use super::aliases::Aliases;
use super::causal::Causal;
use super::evidence;
use super::flow::Flow;
use super::version::Version;
use crate::{Attribute, Chunk, Feed, Input, Mark, Message, Note, Outbox, Parser, Role, Settings, Start, Window};

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
    #[expect(clippy::vec_box, reason = "a message goes from hand to hand as its box")]
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
                    window.consume(window.bytes().len());
                    self.lose(direction, chunk.at);
                }
            }
        }
        window.close();
        self.ways[direction.index()].feed = feed;
    }

    /// Looks for a packet at the first byte held, else where the newest chunk begins, as packets mostly
    /// begin where chunks do; else for several that follow each other from anywhere within.
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
                if to_newest > 0 {
                    window.consume(to_newest as usize);
                } else if let Some(at) = evidence::find_chain(window.bytes(), direction) {
                    window.consume(at);
                    self.ways[direction.index()].state = State::Between;
                } else {
                    window.consume(window.bytes().len());
                }
                Step::On
            }
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
}
