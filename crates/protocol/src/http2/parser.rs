//! Frames read in order, from bytes, gaps and ends.

mod blocks;
mod holes;

use l7trace_event::Direction;

use super::connection::{Connection, Place};
use super::frame::{self, FrameHeader, HEADER_LENGTH, PREFACE};
use super::reader::{Data, Reader, State};
use super::recognise::GUESS_LIMIT;
use super::resync::{self, Known, Verdict};
use crate::{Attribute, Chunk, Input, Mark, Outbox, Parser, Start, Window};

/// Reads one connection.
pub(super) struct Http2Parser {
    readers: [Reader; 2],
    connection: Connection,
    /// How many frames agreed since the connection was guessed to be HTTP/2; none where that is
    /// certain.
    guessed: Option<u32>,
    /// Whether the guess broke.
    withdrawn: bool,
    /// Whether the server's first frame, if it is SETTINGS, is its first ever.
    server_begins: bool,
    head_limit: usize,
}

/// A guess that held for so many frames is none any more.
const CERTAIN: u32 = 64;
/// The longest payload that anything but DATA is held for.
const MOST_PAYLOAD: usize = 1 << 20;
/// So few bytes between two frames hold no header block: a frame header, and nothing in it.
const NO_BLOCK: u64 = HEADER_LENGTH as u64;

impl Http2Parser {
    pub(super) fn new(start: Start<'_>) -> Http2Parser {
        let mut connection = Connection::new(start.from_start, start.settings);
        if let Some(request) = start.handshake.and_then(|handshake| handshake.request) {
            connection.upgrade(request);
        }
        let certain = start.from_start[Direction::ClientToServer.index()];
        Http2Parser {
            readers: [Reader::new(), Reader::new()],
            connection,
            guessed: (!certain).then_some(0),
            withdrawn: false,
            server_begins: start.from_start[Direction::ServerToClient.index()],
            head_limit: start.settings.head_limit,
        }
        .expecting(start.from_start)
    }

    fn expecting(mut self, from_start: [bool; 2]) -> Http2Parser {
        if !from_start[Direction::ServerToClient.index()] {
            self.readers[Direction::ServerToClient.index()].state =
                State::Seek { since: 0, resumed: 0, expected: true };
        }
        self
    }

    /// Reads what can be read next: whether anything was.
    fn step(&mut self, direction: Direction, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        match self.readers[direction.index()].state {
            State::Start => self.start(direction, window),
            State::Frame => self.frame(direction, window, out),
            State::Data(data) => self.data(direction, data, window, out),
            State::Skip { remaining } => {
                let taken = window.bytes().len().min(usize::try_from(remaining).unwrap_or(usize::MAX));
                window.consume(taken);
                self.skip(direction, remaining - taken as u64);
                taken > 0
            }
            State::Seek { since, resumed, expected } => {
                self.seek(direction, (since, resumed), expected, false, window, out)
            }
        }
    }

    fn skip(&mut self, direction: Direction, remaining: u64) {
        self.readers[direction.index()].state = if remaining == 0 { State::Frame } else { State::Skip { remaining } };
    }

    fn start(&mut self, direction: Direction, window: &mut Window<'_>) -> bool {
        let bytes = window.bytes();
        let state = match direction {
            Direction::ServerToClient => State::Frame,
            Direction::ClientToServer if bytes.starts_with(PREFACE) => {
                self.preface(window);
                return true;
            }
            Direction::ClientToServer if PREFACE.starts_with(bytes) => return false,
            Direction::ClientToServer => {
                State::Seek { since: window.position(), resumed: window.position(), expected: true }
            }
        };
        self.readers[direction.index()].state = state;
        true
    }

    /// The client begins: whatever was guessed, it is HTTP/2.
    fn preface(&mut self, window: &mut Window<'_>) {
        window.consume(PREFACE.len());
        self.guessed = None;
        self.connection.begins(Direction::ClientToServer);
        self.readers[Direction::ClientToServer.index()].state = State::Frame;
        self.server_begins |= self.readers[Direction::ServerToClient.index()].frames == 0;
    }

    /// Looks for the beginning of a frame.
    fn seek(
        &mut self,
        direction: Direction,
        (since, resumed): (u64, u64),
        mut expected: bool,
        at_end: bool,
        window: &mut Window<'_>,
        out: &mut Outbox,
    ) -> bool {
        let limit = self.connection.max_frame(direction).unwrap_or(GUESS_LIMIT).min(GUESS_LIMIT);
        let verdict = loop {
            let bytes = window.bytes();
            if bytes.is_empty() {
                break Verdict::More;
            }
            if direction == Direction::ClientToServer && bytes[0] == PREFACE[0] {
                if bytes.starts_with(PREFACE) {
                    self.preface(window);
                    return true;
                }
                if PREFACE.starts_with(bytes) && !at_end {
                    break Verdict::More;
                }
            }
            // Which streams are open is a matter of what was read, not of how it is cut.
            self.connection.reach(direction, window.position(), out);
            let connection = &self.connection;
            let known = Known {
                direction,
                limit,
                is_open: &|id| connection.is_open(id),
                may_exist: &|id| connection.may_exist(id),
                expected,
                at_end,
            };
            match resync::judge(bytes, &known) {
                Verdict::No => {
                    window.consume(1);
                    expected = false;
                }
                verdict => break verdict,
            }
        };
        if verdict != Verdict::Yes {
            self.readers[direction.index()].state = State::Seek { since, resumed, expected };
            return false;
        }
        if window.position().saturating_sub(resumed) >= NO_BLOCK {
            // Frames may have begun and been passed over since: of streams too that were opened
            // meanwhile.
            self.connection.tear(direction);
        }
        if window.position().saturating_sub(since) > NO_BLOCK {
            self.connection.forget_table(direction);
        }
        self.readers[direction.index()].state = State::Frame;
        true
    }

    /// Reads a frame: DATA as it comes, all others once they are there whole.
    fn frame(&mut self, direction: Direction, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        let Some(header) = FrameHeader::parse(window.bytes()) else { return false };
        let first = window.mark(window.position());
        // What the server said before this frame was sent is no answer to it.
        self.connection.reach(direction, first.position, out);
        if !self.is_acceptable(direction, &header) {
            return self.derail(direction, window, out);
        }
        let acknowledged = window.acknowledged_at(window.position());
        if header.kind != frame::CONTINUATION && self.readers[direction.index()].assembly.is_some() {
            // A block that something else breaks into (section 6.10): as far as it goes.
            self.give_up_assembly(direction, 0, out);
        }
        if header.kind == frame::DATA && header.is_lawful() {
            window.consume(HEADER_LENGTH);
            self.count(direction, &header);
            let live = self.connection.data_begins(direction, header.stream, first, out);
            self.connection.data_overhead(
                direction,
                header.stream,
                HEADER_LENGTH as u64,
                window.end_mark(window.position()),
            );
            let data = Data {
                stream: header.stream,
                live,
                remaining: header.length.into(),
                unread_padding: header.has(frame::PADDED),
                padding: 0,
                end_stream: header.has(frame::END_STREAM),
                first,
                acknowledged,
            };
            self.go_on(direction, data, window.end_mark(window.position()), out);
            return true;
        }
        if header.length as usize > MOST_PAYLOAD.min(self.head_limit.max(frame::DEFAULT_MAX_FRAME as usize)) {
            self.overlong(direction, &header, first, window, out);
            return true;
        }
        let whole = header.whole_length();
        let Some(payload) = window.bytes().get(HEADER_LENGTH..whole) else { return false };
        let last = window.end_mark(window.position() + whole as u64);
        let place = Place { first, last, acknowledged, bytes: whole as u64 };
        if header.is_lawful() {
            self.meaning(direction, &header, payload, place, out);
        } else if header.carries_headers() {
            self.connection.learn(direction, &[], false);
        }
        self.count(direction, &header);
        window.consume(whole);
        true
    }

    fn count(&mut self, direction: Direction, header: &FrameHeader) {
        let reader = &mut self.readers[direction.index()];
        if reader.frames == 0
            && direction == Direction::ServerToClient
            && self.server_begins
            && header.kind == frame::SETTINGS
        {
            self.connection.begins(direction);
        }
        reader.frames += 1;
        if let Some(frames) = &mut self.guessed {
            *frames += 1;
            if *frames >= CERTAIN {
                self.guessed = None;
            }
        }
    }

    /// Whether what stands where a frame should begin can be one.
    fn is_acceptable(&self, direction: Direction, header: &FrameHeader) -> bool {
        if self.guessed.is_some() {
            return header.is_plausible(GUESS_LIMIT);
        }
        // An unlawful frame is passed over by its length, if that can be one.
        self.connection.max_frame(direction).is_none_or(|longest| header.length <= longest)
    }

    /// What stands where a frame should begin is none.
    fn derail(&mut self, direction: Direction, window: &Window<'_>, out: &mut Outbox) -> bool {
        if self.guessed.is_some() {
            self.withdrawn = true;
            self.connection.abandon();
            out.withdraw("taken for HTTP/2 by its frames, which then broke off");
            return false;
        }
        self.lose(direction, window.position(), out);
        true
    }

    /// Framing is lost from here on.
    fn lose(&mut self, direction: Direction, since: u64, out: &mut Outbox) {
        self.give_up_assembly(direction, 0, out);
        self.connection.tear(direction);
        self.readers[direction.index()].state = State::Seek { since, resumed: since, expected: false };
    }

    /// Reads what there is of a DATA frame.
    fn data(&mut self, direction: Direction, mut data: Data, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        let Some(first) = window.bytes().first().copied() else { return false };
        if data.unread_padding {
            data.unread_padding = false;
            data.remaining -= 1;
            data.padding = u64::from(first).min(data.remaining);
            window.consume(1);
            if data.live {
                self.connection.data_overhead(direction, data.stream, 1, window.end_mark(window.position()));
            }
        } else {
            let bytes = window.bytes();
            let body = bytes.len().min(usize::try_from(data.body()).unwrap_or(usize::MAX));
            let padding = (bytes.len() - body).min(data.padding as usize);
            let last = window.end_mark(window.position() + body as u64);
            if data.live && body > 0 {
                self.connection.data(direction, data.stream, &bytes[..body], last, out);
            }
            let last = window.end_mark(window.position() + (body + padding) as u64);
            if data.live && padding > 0 {
                self.connection.data_overhead(direction, data.stream, padding as u64, last);
            }
            window.consume(body + padding);
            data.remaining -= (body + padding) as u64;
            data.padding -= padding as u64;
        }
        self.go_on(direction, data, window.end_mark(window.position()), out);
        true
    }

    /// A DATA frame goes on, or is over.
    fn go_on(&mut self, direction: Direction, data: Data, last: Mark, out: &mut Outbox) {
        if data.remaining > 0 {
            self.readers[direction.index()].state = State::Data(data);
            return;
        }
        self.readers[direction.index()].state = State::Frame;
        if data.end_stream && data.live {
            let place = Place { first: data.first, last, acknowledged: data.acknowledged, bytes: 0 };
            self.connection.end_half(direction, data.stream, place, out);
        }
    }

    /// What a frame other than DATA says.
    fn meaning(&mut self, direction: Direction, header: &FrameHeader, payload: &[u8], place: Place, out: &mut Outbox) {
        match header.kind {
            frame::HEADERS | frame::PUSH_PROMISE => self.headers(direction, header, payload, place, None, out),
            frame::CONTINUATION => self.continuation(direction, header, payload, place, out),
            frame::RST_STREAM => {
                let code = frame::number(payload, 0).unwrap_or(u32::MAX);
                self.connection.reset(direction, header.stream, code, place.last, out);
            }
            frame::SETTINGS if !header.has(frame::ACK) => self.connection.settings(direction, payload),
            frame::GOAWAY => {
                if let (Some(last), Some(code)) = (frame::number(payload, 0), frame::number(payload, 4)) {
                    self.connection.goaway(direction, last & 0x7fff_ffff, code, out);
                }
            }
            _ => {}
        }
    }
}

impl Parser for Http2Parser {
    fn push(&mut self, chunk: Chunk<'_>, out: &mut Outbox) {
        let Chunk { direction, position, at, acknowledged, input } = chunk;
        if self.withdrawn || self.readers[direction.index()].ended {
            return;
        }
        self.connection.pass(at, out);
        let end = match input {
            Input::Bytes(bytes) => {
                let mut feed = std::mem::take(&mut self.readers[direction.index()].feed);
                let mut window = feed.open(bytes, position, at, acknowledged);
                while !self.withdrawn && self.step(direction, &mut window, out) {}
                window.close();
                // What is held is still to be told.
                let read = feed.start();
                self.readers[direction.index()].feed = feed;
                read
            }
            Input::Gap { length, cause } => {
                self.gap(direction, position, length, cause, at, out);
                position.saturating_add(length)
            }
            Input::End(end) => {
                self.end(direction, end, at, out);
                u64::MAX
            }
        };
        if !self.withdrawn {
            self.connection.reach(direction, end, out);
        }
    }

    fn skippable(&self, direction: Direction) -> u64 {
        match self.readers[direction.index()].state {
            State::Data(data)
                if !data.unread_padding && (!data.live || self.connection.is_skippable(direction, data.stream)) =>
            {
                data.remaining
            }
            State::Skip { remaining } => remaining,
            _ => 0,
        }
    }

    fn held(&self) -> usize {
        self.connection.held() + self.readers.iter().map(Reader::held).sum::<usize>()
    }

    fn facts(&self) -> Vec<Attribute> {
        self.connection.facts()
    }
}
