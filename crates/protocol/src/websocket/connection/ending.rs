//! Bytes that are missing, and the end.

use l7trace_event::{Cause, Direction};

use super::{Connection, Payload, State};
use crate::websocket::NAME;
use crate::websocket::assembly::Compression;
use crate::{Chunk, Completeness, End, Feed, Key, Mark, Outbox, Role};

/// Told to a nested parser where it is not known how much it missed: more than any of its messages.
const UNKNOWN_MUCH: u64 = 1 << 40;

impl Connection {
    pub(super) fn gap(&mut self, chunk: &Chunk<'_>, length: u64, cause: Cause, out: &mut Outbox) {
        let direction = chunk.direction;
        let way = &mut self.ways[direction.index()];
        let begun = way.feed.held() > 0;
        way.feed.clear(chunk.position.saturating_add(length));
        let mut beyond = length;
        if let State::Within(payload) = &mut way.state {
            let taken = payload.left.min(length);
            payload.left -= taken;
            payload.offset += taken;
            beyond -= taken;
            let mut missed = 0;
            if let Some(control) = &mut payload.control {
                control.assembly.gap(taken, cause, &mut way.inflater);
            } else if let Some(data) = &mut way.data {
                missed = if data.compression == Compression::None { taken } else { UNKNOWN_MUCH };
                data.gap(taken, cause, &mut way.inflater);
            }
            let over = payload.left == 0;
            if let Some(nested) = &mut self.nested {
                nested.gap(direction, missed, cause, chunk.at, out);
            }
            if over {
                let end = Mark { position: chunk.position.saturating_add(taken), at: chunk.at };
                self.finish_frame(direction, end, out);
            }
        }
        if beyond > 0 || begun {
            self.lose(direction, cause, beyond, out);
            if let Some(nested) = &mut self.nested {
                nested.gap(direction, UNKNOWN_MUCH, cause, chunk.at, out);
            }
        }
    }

    /// From here on it is not known where frames begin, and frames may have gone by.
    fn lose(&mut self, direction: Direction, cause: Cause, beyond: u64, out: &mut Outbox) {
        if cause.is_loss() {
            self.lost_bytes += beyond;
        }
        self.break_off(direction, Completeness::Partial, "its end was not seen", out);
        for way in &mut self.ways {
            way.pings.forget();
        }
        let way = &mut self.ways[direction.index()];
        way.state = State::Lost;
        way.unsure = true;
        way.inflater.lose();
    }

    pub(super) fn end(&mut self, chunk: &Chunk<'_>, end: End, out: &mut Outbox) {
        let direction = chunk.direction;
        let completeness = if end == End::Unknown { Completeness::Unfinished } else { Completeness::Cut };
        let way = &mut self.ways[direction.index()];
        if way.ended.is_some() {
            return;
        }
        way.ended = Some(end);
        way.feed = Feed::default();
        if let State::Within(Payload { left, control, .. }) = std::mem::replace(&mut way.state, State::Between) {
            match control {
                Some(mut control) => {
                    control.assembly.message.completeness = completeness;
                    control.assembly.message.bytes -= left.min(control.assembly.message.bytes);
                    control.assembly.payload -= left.min(control.assembly.payload);
                    control.assembly.message.body_bytes = Some(control.assembly.payload);
                    self.put(direction, control.assembly, out);
                }
                None => {
                    if let Some(data) = &mut way.data {
                        data.message.bytes -= left.min(data.message.bytes);
                        data.payload -= left.min(data.payload);
                    }
                }
            }
        }
        self.break_off(direction, completeness, "", out);
        if let Some(nested) = &mut self.nested {
            nested.end(direction, end, chunk.at, out);
        }
        if self.ways.iter().all(|way| way.ended.is_some()) {
            self.tell_all(chunk, out);
        }
    }

    /// The record of the connection as one thing: its counts both ways and how it ended.
    fn tell_all(&mut self, chunk: &Chunk<'_>, out: &mut Outbox) {
        self.over = true;
        let began = Mark { position: chunk.position.min(self.last.position), at: chunk.at };
        let Some(first) = self.first.or((!self.guessed).then_some(began)) else { return };
        let mut message = out.message(NAME, Direction::ClientToServer, Role::Transaction);
        message.key = Key { space: 1, id: 0 };
        message.first = first;
        message.last = if self.last.at < first.at { Mark { at: chunk.at, ..first } } else { self.last };
        message.set_operation(NAME.as_bytes());
        if let Some(path) = &self.agreement.path {
            message.set_resource(path.as_bytes());
        }
        if let Some(host) = &self.agreement.host {
            message.set_host(host);
        }
        for note in &self.agreement.notes {
            message.note(note.clone());
        }
        message.bytes = self.totals.iter().map(|totals| totals.wire).sum();
        message.lost_bytes = self.lost_bytes;
        let unknown = self.ways.iter().any(|way| way.ended == Some(End::Unknown));
        match self.close {
            Some((_, code)) => {
                if code > 0 {
                    message.set_status(code.to_string().as_bytes());
                }
                message.failed = matches!(code, 1002 | 1003 | 1007..=1014);
            }
            None if unknown => message.completeness = Completeness::Unfinished,
            None => {
                message.completeness = Completeness::Cut;
                message.note("ended without a close frame");
            }
        }
        message.facts = crate::Parser::facts(self);
        // What stands elsewhere in the record.
        message.facts.retain(|fact| fact.name != "path" && fact.name != "close_code");
        for (name, totals) in ["client_messages", "server_messages"].into_iter().zip(self.totals) {
            let kinds =
                [("text", totals.text), ("binary", totals.binary), ("ping", totals.pings), ("pong", totals.pongs)];
            let kinds = kinds.into_iter().map(|(kind, count)| (kind.into(), count.into()));
            message.attribute(name, crate::Value::Map(kinds.collect()));
        }
        out.push(message);
    }
}
