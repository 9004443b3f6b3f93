//! What frames mean: streams opened, filled and closed, in the order of the wire.

mod blocks;
mod data;
mod ends;

use std::collections::{BTreeMap, VecDeque};

use l7trace_event::{Direction, Timestamp};

use super::hpack::{Decoder, Scratch};
use super::settings::Announced;
use super::stream::{Over, Phase, Stream};
use crate::{Attribute, End, Mark, Outbox, Settings, Value};

/// The streams of a connection, and what both sides said of it as a whole.
pub(super) struct Connection {
    streams: BTreeMap<u32, Box<Stream>>,
    /// Streams that are over, the latest last: what still comes of them means nothing.
    closed: VecDeque<u32>,
    /// The highest stream that each side was seen to open, by direction.
    highest: [u32; 2],
    /// Whether streams may be open whose beginning was not seen.
    uncertain: bool,
    /// Streams whose response has ended while the request goes on, and since when.
    lingering: VecDeque<(Timestamp, u32)>,
    /// Streams whose response has ended while the request was not seen, and the position in the
    /// client's direction by which it will have been.
    unasked: VecDeque<(u64, u32)>,
    /// By direction of who announced them.
    announced: [Option<Box<Announced>>; 2],
    /// By direction: how it ended.
    ended: [Option<End>; 2],
    /// By direction: up to where it was seen.
    reached: [u64; 2],
    /// What the server's last GOAWAY said.
    goaway: Option<String>,
    decoders: [Decoder; 2],
    scratch: Scratch,
    settings: Settings,
    held: usize,
    evicted: u64,
}

/// Where and when a frame, or a run of them, was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) first: Mark,
    pub(super) last: Mark,
    /// How far its sender had read the other direction.
    pub(super) acknowledged: Option<u64>,
    /// What it took on the wire.
    pub(super) bytes: u64,
}

/// A header block, put together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) stream: u32,
    pub(super) end_stream: bool,
    /// The stream that it promises.
    pub(super) promised: Option<u32>,
    /// Bytes of it that were not seen, where some were not: it is decoded as far as it goes.
    pub(super) lost: Option<u64>,
    pub(super) place: Place,
}

/// Streams at once: RFC 9113 leaves the number open; servers allow 100 to 10,000.
const MOST_STREAMS: usize = 20_000;
/// How many streams that are over are remembered.
const MOST_CLOSED: usize = 256;
/// How long a request may go on after its response has ended before it is taken as given up.
const LINGER: u64 = 1_000_000_000;
/// How many bytes a client may say on a tunnel that is not yet granted.
const MOST_EARLY: usize = 64 << 10;

impl Connection {
    pub(super) fn new(from_start: [bool; 2], settings: &Settings) -> Connection {
        let decoder = |from_start| if from_start { Decoder::new() } else { Decoder::late() };
        Connection {
            streams: BTreeMap::new(),
            closed: VecDeque::new(),
            highest: [0; 2],
            uncertain: from_start != [true; 2],
            lingering: VecDeque::new(),
            unasked: VecDeque::new(),
            announced: [None, None],
            ended: [None; 2],
            reached: [0; 2],
            goaway: None,
            decoders: from_start.map(decoder),
            scratch: Scratch::default(),
            settings: settings.clone(),
            held: 0,
            evicted: 0,
        }
    }

    /// The request of an HTTP/1 upgrade: stream 1, and the client's settings.
    pub(super) fn upgrade(&mut self, request: Box<crate::Message>) {
        if let Some(announced) = request.header("http2-settings").and_then(Announced::of_upgrade) {
            self.announced[Direction::ClientToServer.index()] = Some(Box::new(announced));
        }
        let mut stream = Stream::new(1);
        stream.upgraded(request);
        self.highest[Direction::ClientToServer.index()] = 1;
        self.streams.insert(1, Box::new(stream));
        self.recount(1);
    }

    /// A direction turns out to be seen from its start.
    pub(super) fn begins(&mut self, direction: Direction) {
        self.decoders[direction.index()] = Decoder::new();
    }

    /// The largest frame that this direction may carry; none where that is not known.
    pub(super) fn max_frame(&self, direction: Direction) -> Option<u32> {
        let announced = self.announced[direction.opposite().index()].as_ref();
        announced.map(|announced| announced.max_frame())
    }

    /// Whether a stream of this id is open.
    pub(super) fn is_open(&self, id: u32) -> bool {
        self.streams.contains_key(&id)
    }

    /// Whether a client's stream of this id may exist by what is known.
    pub(super) fn may_exist(&self, id: u32) -> bool {
        let highest = self.highest[0];
        highest == 0 || id <= highest.saturating_add(20_000)
    }

    /// How many bytes are held.
    pub(super) fn held(&self) -> usize {
        self.held + self.decoders.iter().map(Decoder::held).sum::<usize>()
    }

    /// Everything up to here in this direction was seen, or is known to be missing.
    pub(super) fn reach(&mut self, direction: Direction, position: u64, out: &mut Outbox) {
        self.reached[direction.index()] = position;
        while let Some((needed, id)) = self.unasked.front().copied() {
            if needed > self.reached[0] {
                break;
            }
            self.unasked.pop_front();
            let unasked = |stream: &Stream| stream.request.phase == Phase::Awaited;
            if self.streams.get(&id).is_some_and(|stream| unasked(stream)) {
                self.close(id, &Over::Ended, out);
            }
        }
    }

    /// It is this late.
    pub(super) fn pass(&mut self, at: Timestamp, out: &mut Outbox) {
        while let Some((since, id)) = self.lingering.front().copied() {
            if at.since(since) < LINGER {
                break;
            }
            self.lingering.pop_front();
            if let Some(stream) = self.streams.get_mut(&id) {
                if let (None, Some(request)) = (&stream.cancelled, &mut stream.request.message) {
                    request.note("the answer ended before the request did");
                }
                self.close(id, &Over::Ended, out);
            }
        }
    }

    /// Frames of this direction went by unseen, of any stream that is open.
    pub(super) fn tear(&mut self, direction: Direction) {
        self.uncertain = true;
        for stream in self.streams.values_mut() {
            let half = stream.half(direction);
            half.torn |= half.phase != Phase::Ended;
        }
    }

    /// Header blocks of this direction may have gone by unseen.
    pub(super) fn forget_table(&mut self, direction: Direction) {
        self.decoders[direction.index()].lose();
    }

    /// SETTINGS, without ACK.
    pub(super) fn settings(&mut self, direction: Direction, payload: &[u8]) {
        self.announced[direction.index()].get_or_insert_default().take(payload);
    }

    /// What both sides said of the connection.
    pub(super) fn facts(&self) -> Vec<Attribute> {
        let mut facts = Vec::new();
        for (name, announced) in ["client_settings", "server_settings"].into_iter().zip(&self.announced) {
            if let Some(announced) = announced {
                facts.push(Attribute::new(name, announced.shown()));
            }
        }
        if let Some(code) = &self.goaway {
            facts.push(Attribute::new("goaway", Value::from(code.clone())));
        }
        if self.evicted > 0 {
            facts.push(Attribute::new("evicted_streams", self.evicted));
        }
        facts
    }

    /// Makes sure that there is a stream of this id for something that this direction says of it:
    /// whether there is one.
    fn ready(&mut self, direction: Direction, id: u32, promised: bool, out: &mut Outbox) -> bool {
        if id == 0 {
            return false;
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            let is_silent = direction == Direction::ClientToServer && stream.cancelled.is_some();
            return promised || stream.half(direction).phase != Phase::Ended && !is_silent;
        }
        let pushed = id.is_multiple_of(2);
        let opener = usize::from(pushed);
        let may_begin = match direction {
            Direction::ClientToServer => !pushed,
            Direction::ServerToClient => !pushed || promised || self.uncertain,
        };
        // Streams are opened in the order of their ids: a lower one was opened before.
        let is_new = id > self.highest[opener];
        if !may_begin || self.closed.contains(&id) || !is_new && !self.uncertain {
            return false;
        }
        if pushed || direction == Direction::ClientToServer {
            self.highest[opener] = self.highest[opener].max(id);
        }
        self.streams.insert(id, Box::new(Stream::new(id)));
        if self.streams.len() > MOST_STREAMS
            && let Some((oldest, _)) = self.streams.first_key_value()
        {
            self.evicted += 1;
            self.close(*oldest, &Over::Evicted, out);
        }
        self.streams.contains_key(&id)
    }

    /// Counts anew what a stream holds.
    fn recount(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            let holds = stream.holds();
            self.held = self.held - stream.held + holds;
            stream.held = holds;
        }
    }
}
