//! Which response answers which request.
//!
//! HTTP/1 has no ids: the n-th response answers the n-th request (RFC 9112, section 9.3). As long as
//! nothing was missed that is all there is to it: requests wait in a queue, a response takes the
//! first. What follows is for connections of which something was missed, and rests on what each side
//! had read of the other when it spoke ([`crate::Chunk::acknowledged`]).
//!
//! **A hole in the requests** (bytes missing anywhere but inside a body of known length, or a start
//! in the middle) may hide any number of requests. It takes its own place in the queue: the requests
//! before it are answered in order, as ever; once the hole is first, a response belongs to something
//! unseen, or to a request after the hole, and nobody can tell: it stays alone.
//!
//! **A hole in the responses** leaves the requests that were open at that time, and those sent before
//! the client had read up to the hole's end, with an unknown number of answers gone. A response is
//! theirs only where it can be but one's: it was sent after the server had read that request's
//! beginning, and begins no earlier than where the client's reading stood when it asked. The same is so
//! of a request that is seen after a response which answers something as late, and stayed alone.
//!
//! **Finding the way back.** A request is asked in a quiet moment when
//! 1. the client had read all that the server ever sent, up to a boundary between messages;
//! 2. the server, when it last spoke, had read all that the client ever sent before this request;
//! 3. no request is known to be unanswered: the responses seen since the hole are at least as many
//!    as the requests known to have been in it and after it.
//!
//! Then nothing is open (but for a client that keeps several requests in flight all the time), and
//! what the server says next answers this request. As that "but" cannot be excluded at this point,
//! the responses from there on are held back, on trial, until the next quiet moment, the end of
//! either direction, or sixty-four matches: if by then each request had one response and none came
//! unasked, they are let go as pairs, else each on its own. Only a connection joined in the middle
//! pays no such price: its first request in a quiet moment is answered by a response that begins
//! exactly where the client's reading stood, or else by nobody known.

use std::collections::VecDeque;

use crate::{Key, Message, Outbox};

/// The most requests that may be open at once; beyond it a client does not read what it asks for,
/// or the responses are not seen.
const MOST_OPEN: usize = 16_384;

/// The most responses held on trial.
const MOST_ON_TRIAL: usize = 64;

/// The state of a connection's pairing.
#[derive(Debug)]
pub(super) struct Pairing {
    /// Requests without a response, oldest first.
    open: VecDeque<Open>,
    next_id: u64,
    /// How many holes `open` has.
    holes: usize,
    /// Responses that came while a hole was first.
    unexplained: usize,
    /// Whether an unknown number of the open requests was answered unseen.
    responses_missed: bool,
    /// Up to where responses were missed, or came that nothing known had asked for.
    missed_to: u64,
    trust: Trust,
    /// Whether the client was seen to ask again before it was answered.
    pipelines: bool,
    /// The request that is being read: responses to it wait until it is put out.
    reading: Option<u64>,
    /// The current response's trial was refuted while it was being read.
    refuted: bool,
    /// Responses not yet put out.
    held: Vec<Held>,
}

#[derive(Debug)]
enum Open {
    Request(Request),
    /// Requests may be missing here: at least so many.
    Hole(usize),
}

#[derive(Clone, Copy, Debug)]
struct Request {
    id: u64,
    start: u64,
    /// How far the client had read when it asked.
    heard: Option<u64>,
    kind: Kind,
}

/// What the method of a request means for its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// No body follows (HEAD).
    Head,
    /// A 2xx opens a tunnel (CONNECT).
    Connect,
    /// Nothing special.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// The queue is what it seems.
    Full,
    /// The connection was joined in the middle, and nothing was missed since.
    Joined,
    /// As `Joined`, after a request in a quiet moment: its response must fit.
    JoinedAsked,
    /// Holes were met; what `open` and its flags say holds.
    Broken,
    /// After a request in a quiet moment, until that is known to be right.
    Trial,
}

#[derive(Debug)]
struct Held {
    message: Box<Message>,
    on_trial: bool,
}

/// What is known of the server's direction when a request begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    /// Where it ends so far.
    pub(super) position: u64,
    /// Whether anything came from it.
    pub(super) spoke: bool,
    /// How far the server had read when it sent its last byte; none where that byte was not seen.
    pub(super) read: Option<u64>,
    /// Whether `position` is between two messages; none where that is not known.
    pub(super) at_boundary: Option<bool>,
}

/// Whose answer a response is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) key: Key,
    /// Of the request; none where that is not known.
    pub(super) kind: Option<Kind>,
    on_trial: bool,
}

impl Pairing {
    /// For a connection that is seen from its start, or not.
    pub(super) fn new(from_start: bool) -> Pairing {
        Pairing {
            open: if from_start { VecDeque::new() } else { VecDeque::from([Open::Hole(0)]) },
            next_id: 0,
            holes: usize::from(!from_start),
            unexplained: 0,
            responses_missed: false,
            missed_to: 0,
            trust: if from_start { Trust::Full } else { Trust::Joined },
            pipelines: false,
            reading: None,
            refuted: false,
            held: Vec::new(),
        }
    }

    /// Whether the client was seen to ask again before it was answered.
    pub(super) fn pipelines(&self) -> bool {
        self.pipelines
    }

    /// Whether a request is known to which a response could come now.
    pub(super) fn has_open(&self) -> bool {
        matches!(self.open.front(), Some(Open::Request(_)))
    }

    /// The oldest request without a response.
    pub(super) fn first_open(&self) -> Option<Key> {
        match self.open.front() {
            Some(Open::Request(request)) => Some(Key { space: 0, id: request.id }),
            _ => None,
        }
    }

    /// Whether the request of this key is still being read.
    pub(super) fn is_reading(&self, key: Key) -> bool {
        self.reading == Some(key.id)
    }

    /// Whether nothing was missed.
    pub(super) fn is_sure(&self) -> bool {
        self.trust == Trust::Full
    }

    /// A request began at `start`, when its client had read up to `heard`. `first` is where the
    /// client's direction began for us.
    pub(super) fn request(
        &mut self,
        start: u64,
        first: u64,
        heard: Option<u64>,
        kind: Kind,
        server: Server,
        out: &mut Outbox,
    ) -> Key {
        if heard.is_some_and(|heard| heard < self.missed_to) {
            self.responses_missed = true;
            if self.trust == Trust::Full {
                self.trust = Trust::Broken;
            }
        }
        if self.trust != Trust::Full && self.is_quiet(start, first, heard, server) {
            self.begin_anew(out);
        }
        if let Some(Open::Request(last)) = self.open.back()
            && (last.heard == heard || self.trust == Trust::Full)
        {
            self.pipelines = true;
        }
        let key = self.fresh_key();
        if self.open.len() >= MOST_OPEN {
            self.break_trust(out);
            self.open.clear();
            self.open.push_back(Open::Hole(0));
            self.holes = 1;
        }
        // Most connections have one at a time, and there may be very many connections.
        if self.open.capacity() == 0 {
            self.open.reserve_exact(1);
        }
        self.open.push_back(Open::Request(Request { id: key.id, start, heard, kind }));
        self.reading = Some(key.id);
        key
    }

    /// The request that was being read is put out, or given up.
    pub(super) fn request_done(&mut self, out: &mut Outbox) {
        self.reading = None;
        if !self.held.is_empty() {
            self.release(out);
        }
    }

    /// A final response began at `start`, when its server had read up to `read`.
    pub(super) fn response(&mut self, start: u64, read: Option<u64>, out: &mut Outbox) -> Answer {
        self.refuted = false;
        if self.responses_missed && self.trust == Trust::Broken {
            return self.response_among_several(start, read);
        }
        match self.open.front() {
            Some(Open::Request(request)) if self.fits(request, start, read) => {
                let (id, kind) = (request.id, Some(request.kind));
                self.open.pop_front();
                if self.trust == Trust::JoinedAsked {
                    self.trust = Trust::Full;
                }
                Answer { key: Key { space: 0, id }, kind, on_trial: self.trust == Trust::Trial }
            }
            Some(Open::Request(_)) => {
                self.break_trust(out);
                self.alone()
            }
            Some(Open::Hole(_)) => self.alone(),
            None => {
                // Its request may come to be known later: who asks without having read it may have it already.
                self.missed_to = self.missed_to.max(start.saturating_add(1));
                if self.trust == Trust::Trial {
                    self.break_trust(out);
                }
                self.alone()
            }
        }
    }

    /// A response is all there: puts it out, or holds it until its request is.
    pub(super) fn response_done(&mut self, mut message: Box<Message>, answer: Answer, out: &mut Outbox) {
        message.key = answer.key;
        let on_trial = answer.on_trial && self.trust == Trust::Trial && !self.refuted;
        if answer.on_trial && self.refuted {
            message.key = self.fresh_key();
        }
        self.refuted = false;
        if on_trial || self.reading == Some(message.key.id) {
            self.held.push(Held { message, on_trial });
            if on_trial && self.held.len() >= MOST_ON_TRIAL {
                self.confirm(out);
            }
        } else {
            out.push(message);
        }
    }

    /// Bytes of the client were missed, which may hold requests; `between`: the hole began between
    /// two messages, so that it holds at least one.
    pub(super) fn requests_missed(&mut self, between: bool, out: &mut Outbox) {
        self.break_trust(out);
        let at_least = usize::from(between);
        match self.open.back_mut() {
            Some(Open::Hole(count)) => *count = count.saturating_add(at_least),
            _ => {
                self.open.push_back(Open::Hole(at_least));
                self.holes += 1;
            }
        }
    }

    /// Bytes of the server up to `end` were missed, which may hold responses.
    pub(super) fn responses_missed(&mut self, end: u64, out: &mut Outbox) {
        let was_full = self.trust == Trust::Full;
        self.break_trust(out);
        self.missed_to = self.missed_to.max(end);
        if self.open.is_empty() && was_full {
            // Nothing was open: nothing was missed yet.
            self.trust = Trust::Full;
        } else {
            self.responses_missed = true;
        }
    }

    /// One of the directions has ended: nothing will refute what is on trial.
    pub(super) fn end(&mut self, out: &mut Outbox) {
        if self.trust == Trust::Trial {
            self.confirm(out);
        }
    }

    /// How many bytes are held.
    pub(super) fn held(&self) -> usize {
        self.held.iter().map(|held| held.message.body.len() + 512).sum()
    }

    /// See the head of this file.
    fn is_quiet(&self, start: u64, first: u64, heard: Option<u64>, server: Server) -> bool {
        let minimum = |open: &Open| match open {
            Open::Request(_) => 1,
            Open::Hole(at_least) => *at_least,
        };
        let none_known_open = match self.trust {
            Trust::Trial => self.open.is_empty(),
            _ => self.responses_missed || self.open.iter().map(minimum).sum::<usize>() <= self.unexplained,
        };
        if !none_known_open {
            return false;
        }
        if !server.spoke {
            return start == first && matches!(self.trust, Trust::Joined);
        }
        let client_knows_all = heard == Some(server.position) && server.at_boundary.unwrap_or(!self.pipelines);
        let server_knows_all = match server.read {
            Some(read) => read == start,
            // Its last word was missed, or the client is heard for the first time.
            None => !self.pipelines,
        };
        client_knows_all && (server_knows_all || start == first)
    }

    /// Nothing is open: what comes next begins a trial, or ends one well.
    fn begin_anew(&mut self, out: &mut Outbox) {
        let trust = match self.trust {
            Trust::Trial => {
                self.confirm(out);
                Trust::Full
            }
            Trust::Joined | Trust::JoinedAsked => Trust::JoinedAsked,
            Trust::Full | Trust::Broken => Trust::Trial,
        };
        self.trust = trust;
        self.open.clear();
        self.holes = 0;
        self.unexplained = 0;
        self.responses_missed = false;
    }

    /// Whether a response that began at `start` can be this request's, by what each had read.
    fn fits(&self, request: &Request, start: u64, read: Option<u64>) -> bool {
        let server_had_read = read.is_none_or(|read| request.start < read);
        match self.trust {
            // By order alone: the requests before a hole are as sure as on a whole connection.
            Trust::Full | Trust::Broken | Trust::Joined => true,
            // Whether the server had read it is not asked: captures that were made by hand, and begin
            // without a handshake, often acknowledge nothing.
            Trust::JoinedAsked => request.heard.is_none_or(|heard| heard == start),
            Trust::Trial => server_had_read && request.heard.is_none_or(|heard| heard <= start),
        }
    }

    /// A response after others were missed: it is somebody's only where one alone can have asked.
    fn response_among_several(&mut self, start: u64, read: Option<u64>) -> Answer {
        let (Some(read), 0) = (read, self.holes) else { return self.alone() };
        let mut able = self.open.iter().filter_map(|open| match open {
            Open::Request(request) => {
                (request.start < read && request.heard.is_none_or(|heard| heard <= start)).then_some(*request)
            }
            Open::Hole(_) => None,
        });
        match (able.next(), able.next()) {
            (Some(only), None) => {
                // It is the first: whoever asked before it could be answered too.
                self.open.pop_front();
                // What is open beyond it, the server had not read when it answered.
                self.responses_missed = false;
                self.trust = Trust::Full;
                Answer { key: Key { space: 0, id: only.id }, kind: Some(only.kind), on_trial: false }
            }
            _ => self.alone(),
        }
    }

    fn alone(&mut self) -> Answer {
        self.unexplained = self.unexplained.saturating_add(1);
        Answer { key: self.fresh_key(), kind: None, on_trial: false }
    }

    fn fresh_key(&mut self) -> Key {
        let id = self.next_id;
        self.next_id += 1;
        Key { space: 0, id }
    }

    /// The order of things is not known any more; what is on trial has failed.
    fn break_trust(&mut self, out: &mut Outbox) {
        if self.trust == Trust::Trial {
            self.refuted = true;
            // Whose the open requests' answers are is not known either.
            self.open.push_front(Open::Hole(0));
            self.holes += 1;
            for index in 0..self.held.len() {
                if self.held[index].on_trial {
                    self.held[index].message.key = self.fresh_key();
                    self.held[index].on_trial = false;
                }
            }
            self.unexplained = 0;
        } else if matches!(self.trust, Trust::JoinedAsked) {
            self.open.push_front(Open::Hole(0));
            self.holes += 1;
        }
        self.trust = Trust::Broken;
        self.release(out);
    }

    fn confirm(&mut self, out: &mut Outbox) {
        self.trust = Trust::Full;
        for held in &mut self.held {
            held.on_trial = false;
        }
        self.release(out);
    }

    /// Puts out what nothing holds back any more.
    fn release(&mut self, out: &mut Outbox) {
        let reading = self.reading;
        let mut kept = Vec::new();
        for held in self.held.drain(..) {
            if held.on_trial || reading == Some(held.message.key.id) {
                kept.push(held);
            } else {
                out.push(held.message);
            }
        }
        self.held = kept;
    }
}
