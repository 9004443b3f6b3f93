//! One stream: its two messages as they come together, frame by frame.

use l7trace_event::{Cause, Direction, Timestamp};

use super::head;
use crate::content;
use crate::grpc::{self, Deframer};
use crate::{
    Attribute, Completeness, End, Handshake, Key, Mark, Message, Nested, Next, Outbox, OwnedChunk, Role, Settings,
};

/// A stream that is not over.
pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) request: Half,
    pub(super) response: Half,
    /// What goes by after a CONNECT.
    pub(super) tunnel: Tunnel,
    /// How the client gave it up, while its answer may still be on its way.
    pub(super) cancelled: Option<Box<Over>>,
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
    /// The connection ended: how, by direction of the message.
    Connection([End; 2]),
    /// Too many streams were open.
    Evicted,
}

impl Stream {
    pub(super) fn new(id: u32) -> Stream {
        Stream { id, request: Half::new(), response: Half::new(), tunnel: Tunnel::None, cancelled: None, held: 0 }
    }

    /// The half that frames of this direction belong to.
    pub(super) fn half(&mut self, direction: Direction) -> &mut Half {
        match direction {
            Direction::ClientToServer => &mut self.request,
            Direction::ServerToClient => &mut self.response,
        }
    }

    /// The same, to look at.
    pub(super) fn half_of(&self, direction: Direction) -> &Half {
        match direction {
            Direction::ClientToServer => &self.request,
            Direction::ServerToClient => &self.response,
        }
    }

    /// The message of a half, made where there is none.
    pub(super) fn message(&mut self, direction: Direction, first: Mark, out: &mut Outbox) -> &mut Message {
        let role = match direction {
            Direction::ClientToServer => Role::Request,
            Direction::ServerToClient => Role::Response,
        };
        let id = self.id;
        self.half(direction).message.get_or_insert_with(|| message(id, direction, role, first, out))
    }

    /// Takes a promise as the request of this stream.
    pub(super) fn promise(&mut self, parent: u32, first: Mark, out: &mut Outbox) {
        let mut message = message(self.id, Direction::ServerToClient, Role::Request, first, out);
        message.note("pushed");
        message.fact("promised_on", parent);
        self.request.message = Some(message);
    }

    /// Takes the request of an HTTP/1 upgrade as the request of this stream, which has ended.
    pub(super) fn upgraded(&mut self, mut message: Box<Message>) {
        message.protocol = "http2";
        message.role = Role::Request;
        message.key = Key { space: 0, id: u64::from(self.id) };
        message.fact("stream", self.id);
        message.note("upgraded from HTTP/1");
        self.request.body_unknown = message.body_bytes.is_none();
        self.request.body_bytes = message.body_bytes.unwrap_or_default();
        self.request.body_kept = !message.body_truncated;
        self.request.message = Some(message);
        (self.request.phase, self.request.headed) = (Phase::Ended, true);
    }

    /// Pushes both messages of a CONNECT that was granted, and opens the tunnel.
    pub(super) fn open_tunnel(&mut self, settings: &Settings, out: &mut Outbox) {
        let Tunnel::Asked(early) = std::mem::replace(&mut self.tunnel, Tunnel::None) else { return };
        self.request.finish(&Over::Ended, true, settings.body_limit);
        self.response.finish(&Over::Ended, false, settings.body_limit);
        let handshake = Handshake { request: self.request.message.clone(), response: self.response.message.clone() };
        let protocol = handshake.request.as_ref().and_then(|request| request.header(":protocol"));
        let next = match protocol {
            None => Next::Recognise,
            Some(name) => match crate::REGISTRY.iter().find(|known| known.name().as_bytes() == name) {
                Some(known) => Next::Protocol(known.name()),
                None => Next::Protocol(""),
            },
        };
        for message in [self.request.message.take(), self.response.message.take()].into_iter().flatten() {
            out.push(message);
        }
        let facts = vec![Attribute::new("stream", self.id)];
        let mut nested = Nested::new(next, Some(Box::new(handshake)), settings, u64::from(self.id), facts);
        for chunk in early {
            nested.bytes(chunk.direction, &chunk.bytes, chunk.position, chunk.at, out);
        }
        self.tunnel = Tunnel::Open(Box::new(nested));
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
            for direction in Direction::BOTH {
                let (end, at) = match over {
                    Over::Connection(ends) => (ends[direction.index()], Timestamp::default()),
                    Over::Reset { at, .. } => (End::Reset, at.at),
                    Over::Evicted => (End::Unknown, Timestamp::default()),
                    Over::Ended | Over::NotProcessed(_) => (End::Closed, Timestamp::default()),
                };
                nested.end(direction, end, at, out);
            }
            return;
        }
        self.explain(over, out);
        self.request.finish(over, true, body_limit);
        self.response.finish(over, false, body_limit);
        self.finish_calls(schema, body_limit);
        for message in [self.request.message, self.response.message].into_iter().flatten() {
            out.push(message);
        }
    }

    /// Pushes the request alone: its direction has ended, the response may still come.
    pub(super) fn close_request(
        &mut self,
        end: End,
        body_limit: usize,
        schema: Option<&dyn grpc::Schema>,
        out: &mut Outbox,
    ) {
        self.request.finish(&Over::Connection([end; 2]), true, body_limit);
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
        if self.response.phase == Phase::Ended && by == Direction::ClientToServer && self.request.phase == Phase::Ended
        {
            // The answer came in spite of it.
            if let Some(response) = &mut self.response.message {
                response.failed = true;
                response.note(note);
            }
            return;
        }
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
    pub(super) fn expect_messages(&mut self, kind: grpc::Framing, limit: usize) {
        if self.deframer.is_none() && self.body_bytes == 0 {
            self.deframer = Some(Box::new(Deframer::new(kind, limit)));
        }
    }

    /// Whether messages are looked for in its body.
    pub(super) fn expects_messages(&self) -> bool {
        self.deframer.is_some()
    }

    /// Takes body bytes that were seen.
    pub(super) fn body(&mut self, bytes: &[u8], at: Timestamp, body_limit: usize) {
        self.body_bytes += bytes.len() as u64;
        if let Some(deframer) = &mut self.deframer {
            deframer.bytes(bytes, at);
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
        if body_limit > 0 {
            content::undo(message, self.body_kept, body_limit);
        }
        if self.unknown {
            message.note(head::UNKNOWN_ENTRY);
        }
        if self.torn && !proven {
            message.note("frames of it may have gone by unseen");
        }
        let ended = self.phase == Phase::Ended;
        message.completeness = if message.completeness == Completeness::Partial
            || self.unknown
            || self.body_unknown
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
                Over::Reset { .. } => Completeness::Cut,
                Over::Connection(ends) if ends[usize::from(!is_request)] != End::Unknown => Completeness::Cut,
                Over::Ended => Completeness::Whole,
                Over::NotProcessed(_) | Over::Connection(_) | Over::Evicted => Completeness::Unfinished,
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
