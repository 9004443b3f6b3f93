//! One stream: its two messages as they come together, frame by frame.

use l7trace_event::{Cause, Direction, End, Timestamp};

use super::head;
use crate::content;
use crate::grpc::{self, Deframer};
use crate::{Completeness, Mark, Message, Nested, Outbox, OwnedChunk, Role};

/// A stream that is not over.
pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) request: Half,
    pub(super) response: Half,
    /// What goes by after a CONNECT.
    pub(super) tunnel: Tunnel,
    /// What the stream was last counted to hold.
    pub(super) held: usize,
}

/// Whether a stream is a tunnel.
pub(super) enum Tunnel {
    /// It is none.
    None,
    /// It was asked for, and not yet answered; what the client said meanwhile.
    Asked(Vec<OwnedChunk>),
    /// It is one: request and response have been pushed.
    Open(Box<Nested>),
}

/// One direction of a stream.
pub(super) struct Half {
    pub(super) message: Option<Box<Message>>,
    pub(super) phase: Phase,
    /// Whether its head was seen (for a response: the final one).
    pub(super) headed: bool,
    /// Whether frames of it may have gone by unseen.
    pub(super) torn: bool,
    /// Whether something of its header fields is not known.
    pub(super) unknown: bool,
    /// Bytes of its body, padding excluded.
    body_bytes: u64,
    /// Whether a padding of unknown length leaves `body_bytes` unknown.
    body_unknown: bool,
    /// Whether all of the body is in [`Message::body`], as it was sent.
    body_kept: bool,
    /// Length-prefixed messages in the body, where there may be some.
    deframer: Option<Box<Deframer>>,
}

/// How far a half has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing of it was seen.
    Awaited,
    /// It has begun.
    Open,
    /// Its END_STREAM was seen, or nothing more of it can come.
    Ended,
}

/// Why a stream is over.
#[derive(Clone, Debug)]
pub(super) enum Over {
    /// Both halves were seen to their ends.
    Ended,
    /// RST_STREAM, by the sender in this direction, with the code's name.
    Reset { by: Direction, code: u32, name: String, at: Mark },
    /// GOAWAY says that it was not processed.
    NotProcessed(String),
    /// The connection ended.
    Connection(End),
    /// Too many streams were open.
    Evicted,
}

impl Stream {
    pub(super) fn new(id: u32) -> Stream {
        Stream { id, request: Half::new(), response: Half::new(), tunnel: Tunnel::None, held: 0 }
    }

    /// Whether the server promised it.
    fn is_pushed(&self) -> bool {
        self.id.is_multiple_of(2)
    }

    /// The half that frames of this direction belong to.
    pub(super) fn half(&mut self, direction: Direction) -> &mut Half {
        match direction {
            Direction::ClientToServer => &mut self.request,
            Direction::ServerToClient => &mut self.response,
        }
    }

    /// The message of a half, made where there is none.
    pub(super) fn message<'a>(&'a mut self, direction: Direction, first: Mark, out: &mut Outbox) -> &'a mut Message {
        let role = match direction {
            Direction::ClientToServer => Role::Request,
            Direction::ServerToClient => Role::Response,
        };
        let id = self.id;
        self.half(direction).message.get_or_insert_with(|| message(id, direction, role, first, out))
    }

    /// What it holds in memory, about.
    pub(super) fn holds(&self) -> usize {
        let half = |half: &Half| {
            let message = half.message.as_ref().map_or(0, |message| size_of::<Message>() + message.held());
            message + half.deframer.as_ref().map_or(0, |deframer| deframer.held())
        };
        let tunnel = match &self.tunnel {
            Tunnel::None => 0,
            Tunnel::Asked(early) => early.iter().map(|chunk| chunk.bytes.len()).sum(),
            Tunnel::Open(nested) => nested.held(),
        };
        size_of::<Stream>() + half(&self.request) + half(&self.response) + tunnel
    }

    /// Whether both halves are at their ends.
    pub(super) fn is_done(&self) -> bool {
        self.request.phase == Phase::Ended && self.response.phase == Phase::Ended
    }

    /// Pushes what there is of both messages, finished as far as they ever will be.
    pub(super) fn close(mut self, over: &Over, body_limit: usize, schema: Option<&dyn grpc::Schema>, out: &mut Outbox) {
        if let Tunnel::Open(nested) = &mut self.tunnel {
            let (end, at) = match over {
                Over::Connection(end) => (*end, Timestamp::default()),
                Over::Reset { at, .. } => (End::Reset, at.at),
                _ => (End::Closed, Timestamp::default()),
            };
            for direction in Direction::BOTH {
                nested.end(direction, end, at, out);
            }
            return;
        }
        self.explain(over, out);
        let pushed = self.is_pushed();
        for (half, is_request) in [(&mut self.request, true), (&mut self.response, false)] {
            if is_request && pushed {
                continue;
            }
            half.finish(over, is_request, body_limit);
        }
        self.finish_calls(schema, body_limit);
        for message in [self.request.message, self.response.message].into_iter().flatten() {
            out.push(message);
        }
    }

    /// Pushes the request alone: its direction has ended, the response may still come.
    pub(super) fn close_request(&mut self, end: End, body_limit: usize, schema: Option<&dyn grpc::Schema>, out: &mut Outbox) {
        if !self.is_pushed() {
            self.request.finish(&Over::Connection(end), true, body_limit);
        }
        self.finish_calls(schema, body_limit);
        self.request.phase = Phase::Ended;
        if let Some(message) = self.request.message.take() {
            out.push(message);
        }
    }

    /// Notes and failures that tell why the stream is over.
    fn explain(&mut self, over: &Over, out: &mut Outbox) {
        match over {
            Over::Reset { by, code, name, at } => self.explain_reset(*by, *code, name, *at, out),
            Over::NotProcessed(name) => {
                if let Some(request) = &mut self.request.message {
                    request.note(format!("GOAWAY: {name}: the server did not process it"));
                }
            }
            Over::Evicted => {
                for message in [&mut self.request.message, &mut self.response.message].into_iter().flatten() {
                    message.note("given up: too many open streams");
                }
            }
            Over::Ended | Over::Connection(_) => {}
        }
        if self.response.message.is_none()
            && self.response.torn
            && let Some(request) = &mut self.request.message
        {
            request.note("its answer may have gone by unseen");
            request.completeness = Completeness::Partial;
        }
    }

    fn explain_reset(&mut self, by: Direction, code: u32, name: &str, at: Mark, out: &mut Outbox) {
        let who = match by {
            Direction::ClientToServer => "client",
            Direction::ServerToClient => "server",
        };
        let note = format!("RST_STREAM by the {who}: {name}");
        if self.response.phase == Phase::Ended {
            // The answer was complete: what was reset is the rest of a request that nobody needed.
            if let Some(request) = &mut self.request.message {
                let harmless = matches!(code, super::error_code::NO_ERROR | super::error_code::CANCEL);
                request.failed |= !harmless;
                request.note(note);
            }
            return;
        }
        let id = self.id;
        let response = self
            .response
            .message
            .get_or_insert_with(|| message(id, Direction::ServerToClient, Role::Response, at, out));
        response.failed = true;
        response.note(note);
        if self.response.phase == Phase::Awaited {
            // Nothing came but the reset: it is the whole answer.
            response.last = at;
            self.response.phase = Phase::Ended;
        }
    }

    /// Finds out whether the stream is a gRPC call, and says of both messages what that means.
    fn finish_calls(&mut self, schema: Option<&dyn grpc::Schema>, body_limit: usize) {
        grpc::finish(
            self.request.message.as_deref_mut().map(|message| (message, self.request.deframer.take())),
            self.response.message.as_deref_mut().map(|message| (message, self.response.deframer.take())),
            self.response.phase == Phase::Ended,
            schema,
            body_limit,
        );
    }
}

fn message(id: u32, direction: Direction, role: Role, first: Mark, out: &mut Outbox) -> Box<Message> {
    let mut message = out.message("http2", direction, role);
    message.key.id = u64::from(id);
    message.first = first;
    message.last = first;
    message.fact("stream", id);
    message
}

impl Half {
    fn new() -> Half {
        Half {
            message: None,
            phase: Phase::Awaited,
            headed: false,
            torn: false,
            unknown: false,
            body_bytes: 0,
            body_unknown: false,
            body_kept: true,
            deframer: None,
        }
    }

    /// Looks for messages in the body, where there may be some.
    pub(super) fn expect_messages(&mut self, kind: grpc::Framing) {
        if self.deframer.is_none() && self.body_bytes == 0 {
            self.deframer = Some(Box::new(Deframer::new(kind)));
        }
    }

    /// Takes body bytes that were seen.
    pub(super) fn body(&mut self, bytes: &[u8], at: Timestamp, body_limit: usize) {
        self.body_bytes += bytes.len() as u64;
        if let Some(deframer) = &mut self.deframer {
            deframer.bytes(bytes, at, body_limit);
        }
        let Some(message) = &mut self.message else { return };
        // What lies beyond a hole is not kept: it would seem to belong to what lies before.
        if self.body_kept {
            let room = content::keep_limit(message, body_limit).saturating_sub(message.body.len());
            self.body_kept = bytes.len() <= room;
            message.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// Takes body bytes that were not seen.
    pub(super) fn missing_body(&mut self, length: u64, cause: Cause, at: Timestamp) {
        self.body_bytes += length;
        self.body_kept = false;
        if let Some(deframer) = &mut self.deframer {
            deframer.gap(length, at);
        }
        if cause.is_loss()
            && let Some(message) = &mut self.message
        {
            message.lost_bytes += length;
        }
    }

    /// A padding went by whose length was not seen.
    pub(super) fn unknown_padding(&mut self) {
        self.body_unknown = true;
    }

    /// Sets what a message's end tells.
    fn finish(&mut self, over: &Over, is_request: bool, body_limit: usize) {
        let proven = self.is_proven_whole();
        let Some(message) = &mut self.message else { return };
        message.body_bytes = (!self.body_unknown).then_some(self.body_bytes);
        content::undo(message, self.body_kept, body_limit);
        if self.unknown {
            message.note(head::UNKNOWN_ENTRY);
        }
        let ended = self.phase == Phase::Ended;
        message.completeness = if message.completeness == Completeness::Partial
            || self.unknown
            || !self.headed && self.body_bytes + message.bytes > 0
            || self.torn && !proven
        {
            Completeness::Partial
        } else if ended {
            Completeness::Whole
        } else {
            match over {
                // A whole answer came: the rest of the request was not needed.
                Over::Reset { .. } if is_request => Completeness::Whole,
                Over::Reset { .. } | Over::Connection(End::Closed | End::Reset) => Completeness::Cut,
                Over::Ended => Completeness::Whole,
                Over::NotProcessed(_) | Over::Connection(End::Unknown) | Over::Evicted => Completeness::Unfinished,
            }
        };
    }

    /// Whether nothing can be missing although frames went by unseen: head and end were seen, and
    /// as many body bytes as the head announced.
    fn is_proven_whole(&self) -> bool {
        let Some(message) = &self.message else { return false };
        let announced = head::value_of(message, b"content-length").map(|value| message.text(value));
        let announced = announced.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
        self.headed && self.phase == Phase::Ended && announced == Some(self.body_bytes)
    }
}
