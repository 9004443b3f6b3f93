//! What frames mean: streams opened, filled and closed, in the order of the wire.

use std::collections::{BTreeMap, VecDeque};

use l7trace_event::{Cause, Direction, Timestamp};

use super::error_code;
use super::head;
use super::hpack::{Decoder, Scratch};
use super::settings::Announced;
use super::stream::{Over, Phase, Stream, Tunnel};
use crate::grpc::{self, Framing};
use crate::{Attribute, Completeness, End, Mark, Outbox, OwnedChunk, Settings, Value};

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

    /// A header block that belongs to no stream that matters: only the table learns of it.
    pub(super) fn learn(&mut self, direction: Direction, fragment: &[u8], whole: bool) {
        let decoder = &mut self.decoders[direction.index()];
        if decoder.decode(fragment, &mut self.scratch, |_| ()).is_err() || !whole {
            decoder.lose();
        }
    }

    /// A header block.
    pub(super) fn block(&mut self, direction: Direction, block: Block, fragment: &[u8], out: &mut Outbox) {
        let id = block.promised.unwrap_or(block.stream);
        if !self.ready(direction, id, block.promised.is_some(), out) {
            return self.learn(direction, fragment, block.lost.is_none());
        }
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let limit = self.settings.head_limit;
        if block.promised.is_some() {
            if stream.request.message.is_some() {
                return self.learn(direction, fragment, block.lost.is_none());
            }
            stream.promise(block.stream, block.place.first, out);
        } else {
            stream.message(direction, block.place.first, out);
        }
        let half = if block.promised.is_some() { &mut stream.request } else { stream.half(direction) };
        let Some(message) = &mut half.message else { return };
        let before = message.headers.len();
        let decoder = &mut self.decoders[direction.index()];
        let (head, result) = head::collect(decoder, &mut self.scratch, fragment, message, limit);
        message.bytes += block.place.bytes;
        message.last = block.place.last;
        half.unknown |= head.unknown;
        if head.overlong {
            message.note(format!("header fields beyond {limit} bytes were left out"));
        }
        match (result, block.lost) {
            (_, Some(lost)) => {
                message.lost_bytes += lost;
                message.completeness = Completeness::Partial;
                message.note("a part of a header block was not seen");
                decoder.lose();
            }
            (Err(malformed), None) => {
                message.completeness = Completeness::Partial;
                message.note(malformed.to_string());
                decoder.lose();
            }
            (Ok(()), None) => {}
        }
        half.phase = Phase::Open;
        let late = !head.pseudo && head.begins_regular;
        if half.headed || late && block.promised.is_none() {
            let trailers = message.headers.split_off(before);
            message.trailers.extend(trailers);
        } else if block.promised.is_some() || direction == Direction::ClientToServer {
            head::apply_request(message);
            half.headed = true;
            if message.text_of(message.operation) == Some(b"CONNECT") && !block.end_stream {
                stream.tunnel = Tunnel::Asked(Vec::new());
            }
        } else {
            head::apply_response(message);
            if matches!(message.text_of(message.status), Some([b'1', _, _])) {
                interim(message, before);
                return self.recount(id);
            }
            half.headed = true;
        }
        self.headed(id, block, head.unknown, direction, out);
    }

    /// After a final head, or trailers.
    fn headed(&mut self, id: u32, block: Block, unknown: bool, direction: Direction, out: &mut Outbox) {
        let limit = self.settings.body_limit;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if let Tunnel::Asked(_) = stream.tunnel
            && direction == Direction::ServerToClient
            && stream.response.headed
        {
            let status = stream.response.message.as_ref().and_then(|message| message.text_of(message.status));
            match status {
                Some([b'2', ..]) if !block.end_stream => stream.open_tunnel(&self.settings, out),
                _ => stream.tunnel = Tunnel::None,
            }
        }
        let half = if block.promised.is_some() { &mut stream.request } else { stream.half(direction) };
        if let Some(message) = &half.message {
            match message.header("content-type") {
                Some(content_type) => {
                    if let Some(framing) = grpc::framing_of(content_type)
                        && grpc::is_framed_as_sent(message)
                    {
                        half.expect_messages(framing, limit);
                    }
                }
                // It may have been named by an entry that is not known.
                None if unknown => half.expect_messages(Framing::Plain, limit),
                None => {}
            }
        }
        self.recount(id);
        if block.promised.is_some() {
            stream_ended(self.streams.get_mut(&id));
        } else if block.end_stream {
            self.end_half(direction, id, block.place, out);
        }
    }

    /// A DATA frame begins: whether anything is to be done with its body.
    pub(super) fn data_begins(&mut self, direction: Direction, id: u32, first: Mark, out: &mut Outbox) -> bool {
        if !self.ready(direction, id, false, out) {
            return false;
        }
        let limit = self.settings.body_limit;
        let Some(stream) = self.streams.get_mut(&id) else { return false };
        if matches!(stream.tunnel, Tunnel::Open(_)) {
            return true;
        }
        stream.message(direction, first, out);
        let half = stream.half(direction);
        if half.phase == Phase::Awaited {
            half.phase = Phase::Open;
            // Its head went by before: it may be a call, whose messages mostly begin where frames do.
            half.expect_messages(Framing::Plain, limit);
        }
        true
    }

    /// So many bytes of a DATA frame, framing or padding, were seen up to here.
    pub(super) fn data_overhead(&mut self, direction: Direction, id: u32, bytes: u64, last: Mark) {
        if let Some(stream) = self.streams.get_mut(&id)
            && let Some(message) = &mut stream.half(direction).message
        {
            message.bytes += bytes;
            message.last = last;
        }
    }

    /// Bytes of a body.
    pub(super) fn data(&mut self, direction: Direction, id: u32, bytes: &[u8], last: Mark, out: &mut Outbox) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let start = last.position - bytes.len() as u64;
        match &mut stream.tunnel {
            Tunnel::Open(nested) => {
                nested.bytes(direction, bytes, start, last.at, out);
                return self.recount(id);
            }
            Tunnel::Asked(early) if direction == Direction::ClientToServer => {
                let held: usize = early.iter().map(|chunk| chunk.bytes.len()).sum();
                if held + bytes.len() <= MOST_EARLY {
                    early.push(OwnedChunk {
                        direction,
                        position: start,
                        at: last.at,
                        acknowledged: None,
                        bytes: bytes.to_vec(),
                    });
                }
            }
            _ => {}
        }
        let limit = self.settings.body_limit;
        let half = stream.half(direction);
        half.body(bytes, last.at, limit);
        if let Some(message) = &mut half.message {
            message.bytes += bytes.len() as u64;
            message.last = last;
        }
        if limit > 0 || half.expects_messages() {
            self.recount(id);
        }
    }

    /// Bytes of a DATA frame that were not seen: of its body, and of its framing or padding.
    #[expect(clippy::too_many_arguments, reason = "a gap is a place, an extent and a cause")]
    pub(super) fn data_missing(
        &mut self,
        direction: Direction,
        id: u32,
        body: u64,
        overhead: u64,
        cause: Cause,
        last: Mark,
        out: &mut Outbox,
    ) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if let Tunnel::Open(nested) = &mut stream.tunnel {
            nested.gap(direction, body, cause, last.at, out);
            return;
        }
        let half = stream.half(direction);
        half.missing_body(body, cause, last.at);
        if let Some(message) = &mut half.message {
            message.bytes += body + overhead;
            message.lost_bytes += if cause.is_loss() { overhead } else { 0 };
            message.last = last;
        }
    }

    /// The length of a padding was not seen, so how long the body is cannot be told.
    pub(super) fn padding_unknown(&mut self, direction: Direction, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.half(direction).unknown_padding();
        }
    }

    /// Whether nobody needs the bytes of a body.
    pub(super) fn is_skippable(&self, direction: Direction, id: u32) -> bool {
        let limit = self.settings.body_limit;
        match self.streams.get(&id) {
            None => true,
            Some(stream) => match &stream.tunnel {
                Tunnel::Open(nested) => nested.is_opaque(),
                Tunnel::Asked(_) => false,
                Tunnel::None => limit == 0 && !stream.half_of(direction).expects_messages(),
            },
        }
    }

    /// END_STREAM was seen.
    pub(super) fn end_half(&mut self, direction: Direction, id: u32, place: Place, out: &mut Outbox) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.half(direction).phase = Phase::Ended;
        if let Tunnel::Open(nested) = &mut stream.tunnel {
            nested.end(direction, End::Closed, place.last.at, out);
        }
        if stream.is_done() || stream.cancelled.is_some() {
            return self.close(id, &Over::Ended, out);
        }
        if direction == Direction::ClientToServer {
            if let Some(end) = self.ended[Direction::ServerToClient.index()] {
                self.close(id, &Over::Connection([End::Closed, end]), out);
            }
            return;
        }
        match stream.request.phase {
            // The server had read the request by then: it was not seen, or is still to be told.
            Phase::Awaited => match place.acknowledged {
                Some(needed) if needed > self.reached[0] && self.ended[0].is_none() => {
                    self.unasked.push_back((needed, id));
                }
                _ => self.close(id, &Over::Ended, out),
            },
            Phase::Open => self.lingering.push_back((place.last.at, id)),
            Phase::Ended => {}
        }
    }

    /// RST_STREAM.
    pub(super) fn reset(&mut self, direction: Direction, id: u32, code: u32, at: Mark, out: &mut Outbox) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let reset = Over::Reset { by: direction, code, name: error_code::name(code), at };
        let pending = direction == Direction::ClientToServer
            && stream.response.phase != Phase::Ended
            && self.ended[Direction::ServerToClient.index()].is_none()
            && matches!(stream.tunnel, Tunnel::None);
        if !pending {
            return self.close(id, &reset, out);
        }
        // The answer may be on its way already: what came of it is worth knowing.
        stream.cancelled.get_or_insert(Box::new(reset));
        self.lingering.push_back((at.at, id));
    }

    /// GOAWAY.
    pub(super) fn goaway(&mut self, direction: Direction, last: u32, code: u32, out: &mut Outbox) {
        if direction == Direction::ClientToServer {
            return;
        }
        let name = error_code::name(code);
        let unprocessed: Vec<u32> = self
            .streams
            .range(last.saturating_add(1)..)
            .filter(|(id, stream)| !id.is_multiple_of(2) && stream.response.phase == Phase::Awaited)
            .map(|(id, _)| *id)
            .collect();
        for id in unprocessed {
            self.close(id, &Over::NotProcessed(name.clone()), out);
        }
        self.goaway = Some(name);
    }

    /// SETTINGS, without ACK.
    pub(super) fn settings(&mut self, direction: Direction, payload: &[u8]) {
        self.announced[direction.index()].get_or_insert_default().take(payload);
    }

    /// A direction has ended.
    pub(super) fn end(&mut self, direction: Direction, end: End, out: &mut Outbox) {
        self.ended[direction.index()] = Some(end);
        let ends = self.ended.map(|end| end.unwrap_or(End::Unknown));
        let both = self.ended.iter().all(Option::is_some);
        let ids: Vec<u32> = self.streams.keys().copied().collect();
        for id in ids {
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            let answered = stream.response.phase == Phase::Ended;
            let asked = stream.request.phase == Phase::Ended;
            match direction {
                _ if both => self.close(id, &Over::Connection(ends), out),
                // A request that is still to be told comes before its response.
                Direction::ServerToClient if asked => self.close(id, &Over::Connection(ends), out),
                Direction::ClientToServer if answered => self.close(id, &Over::Connection(ends), out),
                Direction::ClientToServer if !asked && matches!(stream.tunnel, Tunnel::None) => {
                    stream.close_request(end, self.settings.body_limit, self.settings.schema.as_deref(), out);
                }
                _ => {}
            }
        }
    }

    /// Gives everything up without telling of it: this was no HTTP/2.
    pub(super) fn abandon(&mut self) {
        self.streams = BTreeMap::new();
        self.held = 0;
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

    fn close(&mut self, id: u32, over: &Over, out: &mut Outbox) {
        let Some(mut stream) = self.streams.remove(&id) else { return };
        self.held -= stream.held;
        let cancelled = stream.cancelled.take();
        let over = cancelled.as_deref().unwrap_or(over);
        if self.closed.len() >= MOST_CLOSED {
            self.closed.pop_front();
        }
        self.closed.push_back(id);
        if let (Over::Connection(_), Some(code), None, Some(request)) =
            (over, &self.goaway, &stream.response.message, &mut stream.request.message)
        {
            request.note(format!("GOAWAY: {code}"));
        }
        stream.close(over, self.settings.body_limit, self.settings.schema.as_deref(), out);
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

/// The request of a promise is all there.
fn stream_ended(stream: Option<&mut Box<Stream>>) {
    if let Some(stream) = stream {
        stream.request.phase = Phase::Ended;
    }
}

/// An interim response: it counts in the bytes of the final one, and its status is told.
fn interim(message: &mut crate::Message, before: usize) {
    let status = message.text_of(message.status).map(|status| String::from_utf8_lossy(status).into_owned());
    message.status = None;
    message.headers.truncate(before);
    let status = Value::from(status.unwrap_or_default());
    match message.attributes.iter_mut().find(|attribute| attribute.name == "interim") {
        Some(Attribute { value: Value::List(list), .. }) if list.len() < 16 => list.push(status),
        Some(_) => {}
        None => message.attribute("interim", Value::List(vec![status])),
    }
}
