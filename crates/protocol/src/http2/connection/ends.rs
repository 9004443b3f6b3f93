//! How streams end.

use std::collections::BTreeMap;

use l7trace_event::Direction;

use super::super::error_code;
use super::super::stream::{Over, Phase, Tunnel};
use super::{Connection, MOST_CLOSED, Place};
use crate::{End, Mark, Outbox};

impl Connection {
    /// END_STREAM was seen.
    pub(in crate::http2) fn end_half(&mut self, direction: Direction, id: u32, place: Place, out: &mut Outbox) {
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
    pub(in crate::http2) fn reset(&mut self, direction: Direction, id: u32, code: u32, at: Mark, out: &mut Outbox) {
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
    pub(in crate::http2) fn goaway(&mut self, direction: Direction, last: u32, code: u32, out: &mut Outbox) {
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

    /// A direction has ended.
    pub(in crate::http2) fn end(&mut self, direction: Direction, end: End, out: &mut Outbox) {
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
    pub(in crate::http2) fn abandon(&mut self) {
        self.streams = BTreeMap::new();
        self.held = 0;
    }

    pub(in crate::http2) fn close(&mut self, id: u32, over: &Over, out: &mut Outbox) {
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
}
