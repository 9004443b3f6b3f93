//! Header blocks: what they say, and of which stream.

use l7trace_event::Direction;

use super::super::head;
use super::super::stream::{Phase, Stream, Tunnel};
use super::{Block, Connection};
use crate::grpc::{self, Framing};
use crate::{Attribute, Completeness, Outbox, Value};

impl Connection {
    /// A header block that belongs to no stream that matters: only the table learns of it.
    pub(in crate::http2) fn learn(&mut self, direction: Direction, fragment: &[u8], whole: bool) {
        let decoder = &mut self.decoders[direction.index()];
        if decoder.decode(fragment, &mut self.scratch, |_| ()).is_err() || !whole {
            decoder.lose();
        }
    }

    /// A header block.
    pub(in crate::http2) fn block(&mut self, direction: Direction, block: Block, fragment: &[u8], out: &mut Outbox) {
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
    pub(in crate::http2) fn headed(
        &mut self,
        id: u32,
        block: Block,
        unknown: bool,
        direction: Direction,
        out: &mut Outbox,
    ) {
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
