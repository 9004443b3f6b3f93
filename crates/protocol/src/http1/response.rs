//! Heads of responses.

use l7trace_event::Direction;

use super::HTTP1;
use super::body::Body;
use super::framing::{Framing, of_response};
use super::head::{Block, Fields, Scan, note_line_ends, read_fields};
use super::pairing::{Answer, Kind};
use super::parser::{Expectation, Http1Parser, Interim};
use super::reader::{State, finish, skip_empty_lines};
use super::search::Search;
use super::start_line::{StatusLine, last_line, line_of, status_line, without_returns};
use super::switch::Change;
use crate::lines::KnownLines;
use crate::{Completeness, Mark, Message, Outbox, Role, Value, Window};

const TOO_LONG: &str = "the head is longer than the limit: not understood beyond it";

/// The most interim responses that are told by their codes.
const MOST_INTERIM: usize = 16;

impl Http1Parser {
    /// Reads a response's head. Whether something else follows.
    pub(super) fn read_response(&mut self, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        self.complete_simple_request(out);
        let (limit, bare) = (self.head_limit, self.bare_answer);
        let reader = self.server();
        // Before the first response nothing stands that the last one could have left behind.
        let is_first = reader.first == Some(window.position());
        if !is_first && !bare && reader.scan.is_fresh() && skip_empty_lines(window) {
            reader.oddity = Some("empty line before the start line");
        }
        let bytes = window.bytes();
        if !reader.scan.checked {
            if !may_be_status_line(bytes) {
                return self.read_bare_answer(window, out);
            }
            let Some(end) = reader.scan.first_line(bytes).filter(|end| *end <= limit) else {
                return bytes.len() > limit && self.give_up_response(window, out);
            };
            if status_line(without_returns(&bytes[..end - 1])).is_none() {
                return self.read_bare_answer(window, out);
            }
            self.server().scan.checked = true;
        }
        match self.server().scan.end(bytes) {
            Some(end) if end <= limit => self.read_response_head(window, end, out),
            None if bytes.len() <= limit => false,
            _ => self.give_up_response(window, out),
        }
    }

    fn read_response_head(&mut self, window: &mut Window<'_>, end: usize, out: &mut Outbox) -> bool {
        let first = window.mark(window.position());
        let read = window.acknowledged_at(first.position);
        if self.must_await_request(read, window.bytes().len()) {
            return true;
        }
        let bytes = &window.bytes()[..end];
        let Some((line_bytes, line_length)) = line_of(bytes) else { return false };
        let Some(line) = status_line(line_bytes) else { return false };
        let last = window.end_mark(first.position + end as u64);
        if (100..=199).contains(&line.code) && line.code != 101 {
            self.take_interim(line.code, first, last, read);
            window.consume(end);
            return true;
        }
        let mut message = out.message(HTTP1, Direction::ServerToClient, Role::Response);
        let fields = fill_response(&mut message, bytes, line_length, line, &mut out.lines);
        let answer = self.begin_response(&mut message, first, read, out);
        window.consume(end);
        self.bare_answer = false;
        if self.expectation == Expectation::Asked && self.pairing.is_reading(answer.key) {
            self.expectation = Expectation::Refused;
        }
        let is_tunnel = answer.kind == Some(Kind::Connect) && (200..=299).contains(&line.code);
        let bodyless = answer.kind == Some(Kind::Head) || is_tunnel;
        let framing = of_response(&fields, line.code, bodyless, &mut message);
        self.answer = Some(answer);
        let body = Body::new(framing, self.keep_limit(&message), self.deframer(&message));
        let Some(body) = body else {
            self.server().start_anew();
            finish(&mut message, None, last, 0);
            self.finish_response_of_call(&mut message, None);
            self.change_protocol(line.code, is_tunnel, &fields, &message);
            self.put_out_response(message, out);
            return true;
        };
        self.body_in_doubt = answer.kind.is_none() && framing != Framing::UntilClose;
        let reader = self.server();
        reader.state = State::Body(body);
        reader.scan = Scan::default();
        reader.message = Some(message);
        true
    }

    /// Whether a response has to wait for its request; then the reader waits.
    fn must_await_request(&mut self, read: Option<u64>, held: usize) -> bool {
        self.awaited = read.unwrap_or_default();
        if held > super::parser::MOST_WAITING || self.server().ended || !self.awaits_request(self.awaited) {
            return false;
        }
        self.server().state = State::Waiting;
        true
    }

    /// Finds whose answer a response is, and adds what came before it.
    fn begin_response(&mut self, message: &mut Message, first: Mark, read: Option<u64>, out: &mut Outbox) -> Answer {
        message.first = first;
        if let Some(oddity) = self.server().oddity.take() {
            message.note(oddity);
        }
        let interim = self.interim.take();
        let (start, read) = interim.as_ref().map_or((first.position, read), |it| (it.first.position, it.read));
        if let Some(interim) = interim {
            message.bytes += interim.bytes;
            let codes = interim.codes.iter().map(|code| Value::Text(code.to_string().into())).collect();
            message.attribute("interim", Value::List(codes));
        }
        let answer = self.pairing.response(start, read, out);
        message.key = answer.key;
        answer
    }

    /// Puts a response out, or gives it to be held until its request is.
    pub(super) fn put_out_response(&mut self, message: Box<Message>, out: &mut Outbox) {
        match self.answer.take() {
            Some(answer) => {
                if self.ask.as_ref().is_some_and(|ask| ask.key == answer.key) {
                    // It was no, or the change is on its way: the client is free to go on.
                    self.ask = None;
                }
                self.pairing.response_done(message, answer, out);
            }
            None => out.push(message),
        }
    }

    /// Takes note of what a response without a body makes of the connection.
    fn change_protocol(&mut self, code: u16, is_tunnel: bool, fields: &Fields, message: &Message) {
        let ask = self.ask.take_if(|ask| ask.key == message.key);
        let copy = || Box::new(message.clone());
        if is_tunnel {
            self.change = Some(Box::new(Change::to_tunnel(ask.and_then(|ask| ask.request), copy())));
        } else if code == 101 {
            self.change = Some(Box::new(Change::to_upgrade(ask, fields.upgrade, copy())));
        }
    }

    /// Takes note of an interim response: it counts in the final one.
    fn take_interim(&mut self, code: u16, first: Mark, last: Mark, read: Option<u64>) {
        if self.expectation == Expectation::Asked && code == 100 {
            self.expectation = Expectation::None;
        }
        self.server().start_anew();
        let interim =
            self.interim.get_or_insert_with(|| Box::new(Interim { first, last, read, bytes: 0, codes: Vec::new() }));
        interim.last = last;
        interim.bytes += last.position - first.position;
        if interim.codes.len() < MOST_INTERIM {
            interim.codes.push(code);
        }
    }

    /// The server ended after an interim response: that is all that there is to tell.
    pub(super) fn put_out_interim(&mut self, out: &mut Outbox) {
        let Some(interim) = self.interim.take() else { return };
        let Some(key) = self.pairing.first_open() else { return };
        let mut message = out.message(HTTP1, Direction::ServerToClient, Role::Step);
        message.key = key;
        message.first = interim.first;
        message.last = interim.last;
        message.bytes = interim.bytes;
        if let Some(code) = interim.codes.last() {
            message.set_status(code.to_string().as_bytes());
        }
        out.push(message);
    }

    /// What the server says has no status line: the answer to a request without a version, or to one
    /// that is the connection's first (some answer so to anything), lasts until it closes. Else it
    /// belongs to nothing that is known.
    fn read_bare_answer(&mut self, window: &Window<'_>, out: &mut Outbox) -> bool {
        let position = window.position();
        let is_first = self.server().first == Some(position) && self.pairing.is_sure();
        if !self.pairing.has_open() || !(self.bare_answer || is_first) {
            self.server().oddity = Some("something that is no HTTP stands before it");
            self.server().lose(Search::default());
            return true;
        }
        let mut message = out.message(HTTP1, Direction::ServerToClient, Role::Response);
        let answer = self.begin_response(&mut message, window.mark(position), window.acknowledged_at(position), out);
        message.note("an answer without a head (HTTP/0.9)");
        self.bare_answer = false;
        self.answer = Some(answer);
        if let Some(body) = Body::new(Framing::UntilClose, self.keep_limit(&message), None) {
            let reader = self.server();
            reader.state = State::Body(body);
            reader.message = Some(message);
        }
        true
    }

    /// The head is longer than the limit.
    fn give_up_response(&mut self, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        let bytes = &window.bytes()[..self.head_limit.min(window.bytes().len())];
        let first = window.mark(window.position());
        let last = window.end_mark(first.position + bytes.len() as u64);
        let search = if bytes.ends_with(b"\n") { Search::default() } else { Search::in_line() };
        let mut message = out.message(HTTP1, Direction::ServerToClient, Role::Response);
        fill_cut_response(&mut message, bytes, &mut out.lines);
        message.note(TOO_LONG);
        message.completeness = Completeness::Partial;
        let answer = self.begin_response(&mut message, first, window.acknowledged_at(first.position), out);
        self.answer = Some(answer);
        window.consume(bytes.len());
        finish(&mut message, None, last, 0);
        message.body_bytes = None;
        self.put_out_response(message, out);
        self.lose(Direction::ServerToClient, search, false, last.position, out);
        true
    }

    /// Puts out what there is of a response whose head will not come whole. Whether there was
    /// nothing of one.
    pub(super) fn cut_response(&mut self, completeness: Completeness, lost: u64, out: &mut Outbox) -> bool {
        let feed = std::mem::take(&mut self.server().feed);
        let bytes = feed.bytes();
        let is_known = line_of(bytes).is_some_and(|(line, _)| status_line(line).is_some());
        if bytes.is_empty() || !(is_known || may_be_status_line(bytes)) {
            self.server().feed.clear(feed.end());
            return bytes.is_empty();
        }
        let mut message = out.message(HTTP1, Direction::ServerToClient, Role::Response);
        fill_cut_response(&mut message, bytes, &mut out.lines);
        if completeness != Completeness::Partial {
            // Its meaning may be in the fields that its sender did not send: RFC 9112, section 8.
            message.status = None;
            message.failed = false;
            let line = line_of(bytes).map_or(bytes, |(line, _)| line);
            message.attribute("status_line", String::from_utf8_lossy(&line[..line.len().min(256)]).into_owned());
        }
        message.completeness = completeness;
        message.lost_bytes = lost;
        let first = Mark { position: feed.start(), at: feed.time_of(feed.start()) };
        let answer = self.begin_response(&mut message, first, feed.acknowledged_at(feed.start()), out);
        self.answer = Some(answer);
        finish(&mut message, None, Mark { position: feed.end(), at: feed.time_of(feed.end() - 1) }, 0);
        message.body_bytes = None;
        self.server().feed.clear(feed.end());
        self.server().start_anew();
        self.put_out_response(message, out);
        false
    }

    /// Puts out what there is of a message whose head will not come whole. Whether the direction
    /// stood between two messages.
    pub(super) fn cut_head(
        &mut self,
        direction: Direction,
        completeness: Completeness,
        lost: u64,
        out: &mut Outbox,
    ) -> bool {
        if !matches!(self.readers[direction.index()].state, State::Start) {
            return false;
        }
        match direction {
            Direction::ClientToServer => self.cut_request(completeness, lost, out),
            Direction::ServerToClient => self.cut_response(completeness, lost, out),
        }
    }
}

/// Fills a message with a response's whole head.
fn fill_response(
    message: &mut Message,
    head: &[u8],
    line_length: usize,
    line: StatusLine,
    known: &mut KnownLines,
) -> Fields {
    let span = message.put(head);
    let version = &head[line.version.0..line.version.1];
    if version != b"HTTP/1.1" {
        message.attribute("version", String::from_utf8_lossy(version).into_owned());
        if version != b"HTTP/1.0" {
            message.note("odd version");
        }
    }
    message.status = line.status.map(|(from, to)| span.part(from, to));
    message.failed = (500..=599).contains(&line.code);
    let word = &head[line.word.0..line.word.1];
    if line.status != Some(line.word) || word.len() != 3 {
        if word.is_empty() {
            message.note("no status code");
        } else {
            let word = String::from_utf8_lossy(&word[..word.len().min(64)]).into_owned();
            message.note("the status code is not three digits");
            message.attribute("status_as_sent", word);
        }
    }
    note_line_ends(&head[..line_length], message);
    read_fields(&head[line_length..], span.part(line_length, head.len()), Block::Headers, message, known)
}

/// Fills a message with what can be told of a response whose head breaks off: only what is whole.
fn fill_cut_response(message: &mut Message, bytes: &[u8], known: &mut KnownLines) {
    match line_of(bytes) {
        Some((line, length)) => {
            if let Some(line) = status_line(line) {
                fill_response(message, &bytes[..last_line(bytes)], length, line, known);
            }
        }
        None => {
            // The code is known once something follows it.
            if let Some(line) = status_line(bytes)
                && let Some((from, to)) = line.status
                && line.word.1 < bytes.len()
            {
                message.set_status(&bytes[from..to]);
                message.failed = (500..=599).contains(&line.code);
            }
        }
    }
}

/// Whether bytes begin a status line, or may when more of them come.
fn may_be_status_line(bytes: &[u8]) -> bool {
    let begins = |name: &[u8]| bytes.starts_with(name) || name.starts_with(bytes);
    begins(b"HTTP") || begins(b"ICY ")
}
