//! Heads of requests.

use l7trace_event::Direction;

use super::body::Body;
use super::framing::of_request;
use super::head::{Block, Fields, Scan, is_field_line, is_odd, note_line_ends, note_odd_bytes, read_fields};
use super::pairing::{Kind, Server};
use super::parser::{Expectation, Http1Parser};
use super::reader::{State, finish, skip_empty_lines};
use super::search::{Search, begins_known_method, known_method};
use super::start_line::{
    LONGEST_METHOD, RequestLine, is_space, is_token, is_version_1, line_of, request_line, without_returns,
};
use super::switch::{Ask, Change, PREFACE};
use super::{HTTP1, search::is_status_start};
use crate::lines::KnownLines;
use crate::{Completeness, Mark, Message, Outbox, Role, Window};

const TOO_LONG: &str = "the head is longer than the limit: not understood beyond it";

impl Http1Parser {
    /// Reads a request's head. Whether something else follows.
    pub(super) fn read_request(&mut self, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        let limit = self.head_limit;
        let reader = self.client();
        if reader.scan.is_fresh() && skip_empty_lines(window) {
            reader.oddity = Some("empty line before the start line");
        }
        let bytes = window.bytes();
        if !reader.scan.checked {
            let end = reader.scan.first_line(bytes);
            if end.is_none_or(|end| end > limit) {
                // What lies beyond the limit has no say, however much of it has come already.
                if !may_be_request_line(&bytes[..bytes.len().min(limit)]) {
                    return self.lose_request(window, out);
                }
                return bytes.len() > limit && self.give_up_request(window, out);
            }
            let end = end.unwrap_or_default();
            match request_line(without_returns(&bytes[..end - 1])) {
                Some(line) if line.version.is_some() => {}
                Some(line) => match self.is_simple(line, bytes, end) {
                    Some(true) => return self.read_simple_request(window, end, out),
                    Some(false) => return self.lose_request(window, out),
                    None if self.simple => return false,
                    None => {}
                },
                None => return self.lose_request(window, out),
            }
            self.client().scan.checked = true;
        }
        match self.client().scan.end(bytes) {
            Some(end) if end <= limit => {
                self.read_request_head(window, end, out);
                true
            }
            None if bytes.len() <= limit => false,
            _ => self.give_up_request(window, out),
        }
    }

    fn read_request_head(&mut self, window: &mut Window<'_>, end: usize, out: &mut Outbox) {
        let bytes = &window.bytes()[..end];
        let Some((line_bytes, line_length)) = line_of(bytes) else { return };
        let Some(line) = request_line(line_bytes) else { return };
        if line_bytes == PREFACE {
            // HTTP/2 with prior knowledge, on a connection that spoke HTTP/1 before.
            self.change = Some(Box::new(Change::to_http2()));
            return;
        }
        let mut message = out.message(HTTP1, Direction::ClientToServer, Role::Request);
        let first = window.mark(window.position());
        let fields = fill_request(&mut message, bytes, line_length, line, &mut out.lines);
        if let Some(oddity) = self.client().oddity.take() {
            message.note(oddity);
        }
        self.begin_request(&mut message, first, window.acknowledged_at(first.position), out);
        window.consume(end);
        let framing = of_request(&fields, &mut message);
        let kind = kind_of(&message);
        if kind == Kind::Connect || (fields.upgrade.is_some() && fields.connection_upgrade) {
            self.ask = Some(Box::new(Ask { key: message.key, upgrade: fields.upgrade, request: None }));
        }
        self.bare_answer |= line.version.is_none();
        self.expectation = if fields.expects { Expectation::Asked } else { Expectation::None };
        match Body::new(framing, self.keep_limit(&message), self.deframer(&message)) {
            Some(body) => {
                let reader = self.client();
                reader.state = State::Body(body);
                reader.scan = Scan::default();
                reader.message = Some(message);
            }
            None => {
                self.client().start_anew();
                finish(&mut message, None, window.end_mark(window.position()), 0);
                self.finish_request_of_call(&mut message, None);
                self.put_out_request(message, out);
            }
        }
    }

    /// Gives a request its place in the order of things.
    fn begin_request(&mut self, message: &mut Message, first: Mark, heard: Option<u64>, out: &mut Outbox) {
        message.first = first;
        let [client, server] = &self.readers;
        let known = Server {
            position: server.position,
            spoke: server.first.is_some(),
            read: server.read,
            at_boundary: server.at_boundary(),
        };
        let begin = client.first.unwrap_or_default();
        let kind = kind_of(message);
        message.key = self.pairing.request(first.position, begin, heard, kind, known, out);
    }

    /// Puts a request out.
    pub(super) fn put_out_request(&mut self, message: Box<Message>, out: &mut Outbox) {
        if let Some(ask) = self.ask.as_mut().filter(|ask| ask.key == message.key) {
            ask.request = Some(message.clone());
            if message.completeness == Completeness::Whole && !self.client().ended {
                self.client().state = State::Waiting;
            }
        }
        self.expectation = Expectation::None;
        out.push(message);
        self.pairing.request_done(out);
    }

    /// Whether a request line without a version is all of its request (HTTP/0.9); none where what
    /// follows will tell (then [`Http1Parser::simple`]), or where header fields follow.
    fn is_simple(&mut self, line: RequestLine, bytes: &[u8], end: usize) -> Option<bool> {
        let method = &bytes[line.method.0..line.method.1];
        let is_get = method == b"GET" && matches!(bytes.get(line.target.0), Some(b'/' | b'h' | b'*'));
        let is_known = known_method(&bytes[line.method.0..]).is_some();
        self.simple = false;
        let rest = &bytes[end..];
        match line_of(rest) {
            Some((next, _)) if !is_known || (next.is_empty() && !is_get) => Some(false),
            Some((next, _)) if is_field_line(next) => None,
            Some(_) => Some(is_get),
            None if is_get => {
                self.simple = true;
                None
            }
            None if is_known => {
                // A header field has to follow.
                self.simple = true;
                None
            }
            None => Some(false),
        }
    }

    /// A request that is its request line alone.
    fn read_simple_request(&mut self, window: &mut Window<'_>, end: usize, out: &mut Outbox) -> bool {
        let bytes = &window.bytes()[..end];
        let Some(line) = request_line(without_returns(&bytes[..end - 1])) else { return false };
        let mut message = out.message(HTTP1, Direction::ClientToServer, Role::Request);
        let first = window.mark(window.position());
        fill_request(&mut message, bytes, end, line, &mut out.lines);
        self.begin_request(&mut message, first, window.acknowledged_at(first.position), out);
        window.consume(end);
        self.simple = false;
        self.bare_answer = true;
        self.client().start_anew();
        finish(&mut message, None, window.end_mark(window.position()), 0);
        self.put_out_request(message, out);
        true
    }

    /// The server answers, or nothing more comes: the request line that stands there is a request.
    pub(super) fn complete_simple_request(&mut self, out: &mut Outbox) {
        if !self.simple {
            return;
        }
        self.simple = false;
        let mut feed = std::mem::take(&mut self.client().feed);
        let mut window = feed.reopen();
        let is_get = window.bytes().starts_with(b"GET ");
        if let (true, Some((_, end))) = (is_get, line_of(window.bytes())) {
            self.read_simple_request(&mut window, end, out);
        }
        window.close();
        self.client().feed = feed;
    }

    /// What stands where a request should begin is no HTTP.
    fn lose_request(&mut self, window: &Window<'_>, out: &mut Outbox) -> bool {
        self.client().oddity = Some("something that is no HTTP stands before it");
        self.lose(Direction::ClientToServer, Search::default(), false, window.position(), out);
        true
    }

    /// The head is longer than the limit.
    fn give_up_request(&mut self, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        let bytes = &window.bytes()[..self.head_limit.min(window.bytes().len())];
        let first = window.mark(window.position());
        let last = window.end_mark(first.position + bytes.len() as u64);
        let search = if bytes.ends_with(b"\n") { Search::default() } else { Search::in_line() };
        let mut message = out.message(HTTP1, Direction::ClientToServer, Role::Request);
        fill_cut_request(&mut message, bytes, &mut out.lines);
        message.note(TOO_LONG);
        message.completeness = Completeness::Partial;
        self.begin_request(&mut message, first, window.acknowledged_at(first.position), out);
        window.consume(bytes.len());
        finish(&mut message, None, last, 0);
        message.body_bytes = None;
        self.put_out_request(message, out);
        self.lose(Direction::ClientToServer, search, false, last.position, out);
        true
    }

    /// Puts out what there is of a request whose head will not come whole. Whether there was
    /// nothing of one.
    pub(super) fn cut_request(&mut self, completeness: Completeness, lost: u64, out: &mut Outbox) -> bool {
        if completeness != Completeness::Partial {
            self.complete_simple_request(out);
        }
        let feed = std::mem::take(&mut self.client().feed);
        let bytes = feed.bytes();
        let has_method = bytes.iter().position(|byte| !is_token(*byte)).is_some_and(|end| end > 0);
        if !has_method || !may_be_request_line(bytes) {
            self.client().feed.clear(feed.end());
            return bytes.is_empty();
        }
        let mut message = out.message(HTTP1, Direction::ClientToServer, Role::Request);
        fill_cut_request(&mut message, bytes, &mut out.lines);
        message.completeness = completeness;
        message.lost_bytes = lost;
        let first = Mark { position: feed.start(), at: feed.time_of(feed.start()) };
        self.begin_request(&mut message, first, feed.acknowledged_at(feed.start()), out);
        finish(&mut message, None, Mark { position: feed.end(), at: feed.time_of(feed.end() - 1) }, 0);
        message.body_bytes = None;
        self.client().feed.clear(feed.end());
        self.client().start_anew();
        self.put_out_request(message, out);
        false
    }

    /// Whether bytes that may be a body are the next message instead; none where more will tell.
    pub(super) fn is_next_message(&self, direction: Direction, bytes: &[u8]) -> Option<bool> {
        match direction {
            Direction::ClientToServer if !begins_known_method(bytes) => Some(false),
            Direction::ClientToServer => match line_of(bytes) {
                Some((line, _)) => Some(
                    request_line(line)
                        .and_then(|line| line.version)
                        .is_some_and(|(from, to)| is_version_1(&bytes[from..to])),
                ),
                None if bytes.len() > 8 << 10 => Some(false),
                None => None,
            },
            Direction::ServerToClient if is_status_start(bytes) => Some(true),
            Direction::ServerToClient => {
                let shown = bytes.len().min(b"HTTP/1.".len());
                if bytes.len() < b"HTTP/1.1 200".len() && bytes[..shown] == b"HTTP/1."[..shown] {
                    None
                } else {
                    Some(false)
                }
            }
        }
    }
}

/// Fills a message with a request's whole head.
fn fill_request(
    message: &mut Message,
    head: &[u8],
    line_length: usize,
    line: RequestLine,
    known: &mut KnownLines,
) -> Fields {
    let span = message.put(head);
    message.operation = Some(span.part(line.method.0, line.method.1));
    if line.target.0 < line.target.1 {
        message.resource = Some(span.part(line.target.0, line.target.1));
    } else {
        message.note("no request target");
    }
    match line.version {
        Some((from, to)) if head[from..to] == *b"HTTP/1.1" => {}
        Some((from, to)) => {
            let version = &head[from..to];
            message.attribute("version", String::from_utf8_lossy(version).into_owned());
            if version != b"HTTP/1.0" {
                message.note("odd version");
            }
        }
        None => {
            message.attribute("version", "HTTP/0.9");
            message.note("no version in the request line (HTTP/0.9)");
        }
    }
    if line.spacious {
        message.note("space where none belongs in the start line");
    }
    let start_line = &head[..line_length];
    note_line_ends(start_line, message);
    if start_line.strip_suffix(b"\r\n").is_none_or(is_odd) {
        note_odd_bytes(start_line, message);
    }
    read_fields(&head[line_length..], span.part(line_length, head.len()), Block::Headers, message, known)
}

/// Fills a message with what can be told of a request whose head breaks off: only what is whole.
fn fill_cut_request(message: &mut Message, bytes: &[u8], known: &mut KnownLines) {
    if let Some((line, length)) = line_of(bytes) {
        if let Some(line) = request_line(line) {
            let whole = super::start_line::last_line(bytes);
            fill_request(message, &bytes[..whole], length, line, known);
        }
        return;
    }
    let space = bytes.iter().position(|byte| !is_token(*byte)).filter(|end| bytes[*end] == b' ');
    if let Some(space) = space {
        message.set_operation(&bytes[..space]);
    }
}

/// What the method of a request means for its response.
fn kind_of(message: &Message) -> Kind {
    match message.text_of(message.operation) {
        Some(b"HEAD") => Kind::Head,
        Some(b"CONNECT") => Kind::Connect,
        _ => Kind::Other,
    }
}

/// Whether bytes without a line end may begin a request line: a token, then space.
fn may_be_request_line(bytes: &[u8]) -> bool {
    let start = bytes.iter().take_while(|byte| is_space(**byte)).count();
    let rest = &bytes[start..];
    let method = rest.iter().take_while(|byte| is_token(**byte)).count();
    method <= LONGEST_METHOD && rest.get(method).is_none_or(|byte| method > 0 && is_space(*byte))
}
