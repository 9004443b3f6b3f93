use std::mem::take;

use l7trace_event::{Cause, Direction, Timestamp};

use super::body::{AfterGap, Body, Progress};
use super::calls::Calls;
use super::pairing::{Answer, Pairing};
use super::reader::{Reader, State, completeness_at, finish};
use super::search::{Found, Search};
use super::switch::{Ask, Change};
use crate::{Attribute, Chunk, Completeness, End, Feed, Input, Mark, Message, Outbox, Parser, Start, Window, content};

/// Reads one connection of HTTP/1.
pub(super) struct Http1Parser {
    /// By [`Direction::index`].
    pub(super) readers: [Reader; 2],
    pub(super) pairing: Pairing,
    pub(super) body_limit: usize,
    /// None as long as there was no call, where no types of gRPC messages are known.
    pub(super) calls: Option<Box<Calls>>,
    pub(super) head_limit: usize,
    /// Whose answer the response is that is being read.
    pub(super) answer: Option<Answer>,
    /// The interim responses before the final one.
    pub(super) interim: Option<Box<Interim>>,
    /// The request whose answer may change what the connection speaks; its client waits for that.
    pub(super) ask: Option<Box<Ask>>,
    /// The connection speaks something else from here on.
    pub(super) change: Option<Box<Change>>,
    /// What the request that is being read, and the response to it, have said of its body.
    pub(super) expectation: Expectation,
    /// A request line without a version may be all of its request.
    pub(super) simple: bool,
    /// The answer to a request without a version may come as it is, without a head.
    pub(super) bare_answer: bool,
    /// Whether the first bytes of a body may rather be the next response, as the request may have
    /// been a HEAD.
    pub(super) body_in_doubt: bool,
    /// The server had read the client up to here when it began the response that waits.
    pub(super) awaited: u64,
}

/// `Expect: 100-continue`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Expectation {
    #[default]
    None,
    /// The client may hold the body back.
    Asked,
    /// The final response came without `100 Continue`: perhaps the body never comes.
    Refused,
}

/// Interim responses.
#[derive(Debug)]
pub(super) struct Interim {
    pub(super) first: Mark,
    pub(super) last: Mark,
    pub(super) read: Option<u64>,
    pub(super) bytes: u64,
    pub(super) codes: Vec<u16>,
}

/// The most bytes of a direction that wait for what the other side says.
pub(super) const MOST_WAITING: usize = 64 << 10;

const CLIENT: usize = Direction::ClientToServer as usize;
const SERVER: usize = Direction::ServerToClient as usize;

impl Http1Parser {
    pub(super) fn new(start: &Start<'_>) -> Http1Parser {
        Http1Parser {
            readers: [Reader::default(), Reader::default()],
            pairing: Pairing::new(start.from_start == [true; 2]),
            body_limit: start.settings.body_limit,
            calls: Calls::new(start.settings.schema.as_ref()),
            head_limit: start.settings.head_limit,
            answer: None,
            interim: None,
            ask: None,
            change: None,
            expectation: Expectation::None,
            simple: false,
            bare_answer: false,
            body_in_doubt: false,
            awaited: 0,
        }
        .joined(start.from_start)
    }

    /// A direction that is not seen from its start is in the middle of something.
    fn joined(mut self, from_start: [bool; 2]) -> Http1Parser {
        for (reader, from_start) in self.readers.iter_mut().zip(from_start) {
            if !from_start {
                reader.lose(Search::joined());
            }
        }
        self
    }

    pub(super) fn client(&mut self) -> &mut Reader {
        &mut self.readers[CLIENT]
    }

    pub(super) fn server(&mut self) -> &mut Reader {
        &mut self.readers[SERVER]
    }
}

impl Parser for Http1Parser {
    fn push(&mut self, chunk: Chunk<'_>, out: &mut Outbox) {
        let direction = chunk.direction;
        match chunk.input {
            Input::Bytes(bytes) => {
                let reader = &mut self.readers[direction.index()];
                reader.first.get_or_insert(chunk.position);
                reader.position = chunk.position + bytes.len() as u64;
                reader.read = chunk.acknowledged;
                let mut feed = take(&mut reader.feed);
                let mut window = feed.open(bytes, chunk.position, chunk.at, chunk.acknowledged);
                self.read(direction, &mut window, out);
                window.close();
                self.readers[direction.index()].feed = feed;
            }
            Input::Gap { length, cause } => self.gap(direction, chunk.position, chunk.at, length, cause, out),
            Input::End(end) => self.end(direction, chunk.at, end, out),
        }
        self.settle(out);
        if self.change.is_some() {
            self.switch(out);
        }
    }

    fn skippable(&self, direction: Direction) -> u64 {
        let reader = &self.readers[direction.index()];
        match &reader.state {
            State::Body(body) if reader.feed.held() == 0 && !self.doubts_body(direction, body) => body.skippable(),
            _ => 0,
        }
    }

    fn held(&self) -> usize {
        let of = |reader: &Reader| reader.feed.held() + reader.message.as_ref().map_or(0, |it| it.body.len() + 512);
        self.readers.iter().map(of).sum::<usize>() + self.pairing.held() + self.ask.as_ref().map_or(0, |_| 1024)
    }

    fn facts(&self) -> Vec<Attribute> {
        if self.pairing.pipelines() { vec![Attribute::new("pipelined", true)] } else { Vec::new() }
    }
}

impl Http1Parser {
    /// Reads what the window has, as far as it can be understood now.
    fn read(&mut self, direction: Direction, window: &mut Window<'_>, out: &mut Outbox) {
        while !window.is_empty() && self.change.is_none() {
            let index = direction.index();
            match &mut self.readers[index].state {
                State::Start => {
                    if direction == Direction::ServerToClient && self.client_goes_first() {
                        self.awaited = 0;
                        self.server().state = State::Waiting;
                        return;
                    }
                    let goes_on = match direction {
                        Direction::ClientToServer => self.read_request(window, out),
                        Direction::ServerToClient => self.read_response(window, out),
                    };
                    if !goes_on {
                        return;
                    }
                }
                State::Body(_) => {
                    if !self.read_body(direction, window, out) {
                        return;
                    }
                }
                State::Lost(search) => match search.next(window.bytes(), direction, false) {
                    Found::Start(at) => {
                        window.consume(at);
                        self.readers[index].start_anew();
                    }
                    Found::Nothing(count) => {
                        window.consume(count);
                        return;
                    }
                },
                State::Waiting => return,
            }
        }
    }

    /// Reads on in a body. Whether something else follows.
    fn read_body(&mut self, direction: Direction, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        let index = direction.index();
        if let State::Body(body) = &self.readers[index].state
            && self.doubts_body(direction, body)
        {
            match self.is_next_message(direction, window.bytes()) {
                None => return false,
                Some(true) => {
                    let last = window.end_mark(window.position());
                    self.end_without_body(direction, last, out);
                    return true;
                }
                Some(false) => self.trust_body(direction),
            }
        }
        let limit = self.head_limit;
        let reader = &mut self.readers[index];
        let (State::Body(body), Some(message)) = (&mut reader.state, reader.message.as_mut()) else {
            reader.start_anew();
            return true;
        };
        match body.read(window, message, limit) {
            Progress::More => false,
            Progress::End => {
                let last = window.end_mark(window.position());
                self.complete(direction, last, out);
                true
            }
            Progress::Broken(why) => {
                message.note(why);
                let last = window.end_mark(window.position());
                self.cut(direction, last, Completeness::Partial, out);
                self.lose(direction, Search::default(), false, last.position, out);
                true
            }
        }
    }

    /// The message whose body was being read is all there.
    pub(super) fn complete(&mut self, direction: Direction, last: Mark, out: &mut Outbox) {
        let reader = &mut self.readers[direction.index()];
        let mut state = take(&mut reader.state);
        reader.start_anew();
        let Some(mut message) = reader.message.take() else { return };
        let body = match &mut state {
            State::Body(body) => Some(body),
            _ => None,
        };
        finish(&mut message, body.as_deref(), last, self.body_limit);
        match direction {
            Direction::ClientToServer => self.finish_request_of_call(&mut message, body),
            Direction::ServerToClient => self.finish_response_of_call(&mut message, body),
        }
        self.put_out(direction, message, out);
    }

    /// The message whose body was being read ends before it is all there.
    fn cut(&mut self, direction: Direction, last: Mark, completeness: Completeness, out: &mut Outbox) {
        if let Some(message) = self.readers[direction.index()].message.as_mut() {
            message.completeness = completeness;
        }
        self.complete(direction, last, out);
    }

    /// Puts a message out that is all there, or all that will be.
    pub(super) fn put_out(&mut self, direction: Direction, message: Box<Message>, out: &mut Outbox) {
        match direction {
            Direction::ClientToServer => self.put_out_request(message, out),
            Direction::ServerToClient => self.put_out_response(message, out),
        }
    }

    /// Loses the place in a direction: at `position` something unknown stands. `between`: it may
    /// be nothing but whole messages.
    pub(super) fn lose(
        &mut self,
        direction: Direction,
        search: Search,
        between: bool,
        position: u64,
        out: &mut Outbox,
    ) {
        self.readers[direction.index()].lose(search);
        match direction {
            Direction::ClientToServer => {
                self.simple = false;
                self.pairing.requests_missed(between, out);
            }
            Direction::ServerToClient => {
                self.bare_answer = false;
                self.interim = None;
                self.ask = None;
                self.pairing.responses_missed(position, out);
            }
        }
    }

    /// Reads again what a direction holds.
    fn read_again(&mut self, direction: Direction, out: &mut Outbox) {
        let mut feed = take(&mut self.readers[direction.index()].feed);
        let mut window = feed.reopen();
        self.read(direction, &mut window, out);
        window.close();
        self.readers[direction.index()].feed = feed;
    }

    /// Lets the directions go on that waited for what the other one said.
    fn settle(&mut self, out: &mut Outbox) {
        while self.change.is_none() {
            let free = |direction: &Direction| {
                matches!(self.readers[direction.index()].state, State::Waiting) && !self.must_wait(*direction)
            };
            let Some(direction) = Direction::BOTH.into_iter().find(free) else { return };
            if direction == Direction::ClientToServer {
                self.ask = None;
            }
            self.readers[direction.index()].start_anew();
            self.read_again(direction, out);
        }
    }

    /// Whether a direction that stands between two messages has to wait for what the other says.
    fn must_wait(&self, direction: Direction) -> bool {
        let [client, server] = &self.readers;
        let (waits, enough) = match direction {
            Direction::ClientToServer => {
                (self.ask.is_some() && !server.ended && !client.ended, client.feed.held() > MOST_WAITING)
            }
            Direction::ServerToClient => {
                (self.awaits_request(self.awaited) && !server.ended, server.feed.held() > MOST_WAITING)
            }
        };
        waits && !enough
    }

    /// Whether the client has requests to be read, held back until the response just read, that
    /// the next response may answer.
    fn client_goes_first(&self) -> bool {
        matches!(self.readers[CLIENT].state, State::Waiting) && !self.must_wait(Direction::ClientToServer)
    }

    /// Whether a response whose server had read up to `read` comes before the request it answers,
    /// as directions may be seen out of step.
    pub(super) fn awaits_request(&self, read: u64) -> bool {
        let client = &self.readers[CLIENT];
        !self.pairing.has_open() && client.first.is_some() && client.position < read && !client.ended
    }

    fn gap(&mut self, direction: Direction, position: u64, at: Timestamp, length: u64, cause: Cause, out: &mut Outbox) {
        self.stop_waiting(direction, out);
        let lost = |bytes: u64| if cause.is_loss() { bytes } else { 0 };
        let index = direction.index();
        let end = position.saturating_add(length);
        if let State::Body(body) = &self.readers[index].state
            && self.doubts_body(direction, body)
        {
            self.trust_body(direction);
            self.read_again(direction, out);
        }
        let reader = &mut self.readers[index];
        reader.first.get_or_insert(position);
        reader.position = end;
        reader.read = None;
        match (&mut reader.state, reader.message.as_mut()) {
            (State::Body(body), Some(message)) => match body.gap(length, at) {
                AfterGap::Within => message.lost_bytes += lost(length),
                AfterGap::Over(beyond) => {
                    message.lost_bytes += lost(length - beyond);
                    self.complete(direction, Mark { position: end - beyond, at }, out);
                    if beyond > 0 {
                        self.lose(direction, Search::in_line(), true, end, out);
                    }
                }
                AfterGap::Broken => {
                    message.lost_bytes += lost(length);
                    let last = Mark { position, at: last_time(&reader.feed, at) };
                    self.cut(direction, last, Completeness::Partial, out);
                    self.lose(direction, Search::in_line(), false, end, out);
                }
            },
            _ => {
                let between = self.cut_head(direction, Completeness::Partial, lost(length), out);
                self.lose(direction, Search::in_line(), between, end, out);
            }
        }
        if self.readers[index].feed.end() != end {
            self.readers[index].feed.clear(end);
        }
    }

    fn end(&mut self, direction: Direction, at: Timestamp, end: End, out: &mut Outbox) {
        self.readers[direction.index()].ended = true;
        self.stop_waiting(direction, out);
        let index = direction.index();
        if let State::Body(body) = &self.readers[index].state
            && self.doubts_body(direction, body)
        {
            if direction == Direction::ClientToServer && self.readers[index].feed.held() == 0 {
                let reader = &self.readers[index];
                let begun = reader.message.as_ref().map_or(at, |message| message.first.at);
                self.end_without_body(direction, Mark { position: reader.feed.end(), at: begun }, out);
            } else {
                self.trust_body(direction);
                self.read_again(direction, out);
            }
        }
        let reader = &mut self.readers[index];
        let last_position = reader.feed.end().max(reader.position);
        if let (State::Body(body), Some(message)) = (&reader.state, reader.message.as_mut()) {
            let at = last_time(&reader.feed, if at == Timestamp::default() { message.first.at } else { at });
            let last = Mark { position: last_position, at };
            let whole = body.ends_at_close() && end == End::Closed;
            let nearly = body.lacks_only_last_line() && end == End::Closed && reader.feed.held() < 2;
            if nearly {
                message.note("the last line end of the chunks is missing");
            }
            if whole || nearly {
                self.complete(direction, last, out);
            } else {
                self.cut(direction, last, completeness_at(end), out);
            }
        } else {
            self.cut_head(direction, completeness_at(end), 0, out);
        }
        self.readers[index].feed.clear(last_position);
        if direction == Direction::ServerToClient {
            self.ask = None;
            self.put_out_interim(out);
            self.pairing.end(out);
        }
    }

    /// What a direction has held back is read now, as nothing else will come in between.
    fn stop_waiting(&mut self, direction: Direction, out: &mut Outbox) {
        let index = direction.index();
        match &mut self.readers[index].state {
            State::Waiting => {
                if direction == Direction::ClientToServer {
                    self.ask = None;
                }
                self.awaited = 0;
                self.readers[index].start_anew();
                self.read_again(direction, out);
            }
            State::Lost(search) => {
                let mut feed = take(&mut self.readers[index].feed);
                if let Found::Start(at) = search.next(feed.bytes(), direction, true) {
                    let mut window = feed.reopen();
                    window.consume(at);
                    self.readers[index].start_anew();
                    self.read(direction, &mut window, out);
                    window.close();
                }
                self.readers[index].feed = feed;
            }
            State::Start | State::Body(_) => {}
        }
    }

    /// Whether the body that is being read may not be there at all; told by its first bytes.
    fn doubts_body(&self, direction: Direction, body: &Body) -> bool {
        let doubts = match direction {
            Direction::ClientToServer => self.expectation == Expectation::Refused,
            Direction::ServerToClient => self.body_in_doubt,
        };
        doubts && body.received() == 0
    }

    fn trust_body(&mut self, direction: Direction) {
        match direction {
            Direction::ClientToServer => self.expectation = Expectation::None,
            Direction::ServerToClient => self.body_in_doubt = false,
        }
    }

    /// The head was all of the message.
    fn end_without_body(&mut self, direction: Direction, last: Mark, out: &mut Outbox) {
        self.trust_body(direction);
        let reader = &mut self.readers[direction.index()];
        reader.state = State::Start;
        if let Some(message) = reader.message.as_mut() {
            message.note(match direction {
                Direction::ClientToServer => "the body was held back after a final response",
                Direction::ServerToClient => "no body follows: it seems to answer a HEAD",
            });
        }
        self.complete(direction, last, out);
    }

    /// How many bytes of this message's body to keep, as sent.
    pub(super) fn keep_limit(&self, message: &Message) -> usize {
        if self.body_limit == 0 { 0 } else { content::keep_limit(message, self.body_limit) }
    }
}

/// When the last byte held was seen; `otherwise` where none is held.
fn last_time(feed: &Feed, otherwise: Timestamp) -> Timestamp {
    if feed.held() == 0 { otherwise } else { feed.time_of(feed.end() - 1) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_idle_connection_is_small() {
        // A hundred thousand of them take 65 MB.
        assert!(size_of::<super::Http1Parser>() <= 648, "{} bytes", size_of::<super::Http1Parser>());
    }
}
