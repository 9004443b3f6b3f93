//! From HTTP/1 to something else: `101 Switching Protocols`, tunnels, and HTTP/2 with prior knowledge.

use l7trace_event::Direction;

use super::parser::Http1Parser;
use crate::{Handshake, Key, Message, Next, Outbox, OwnedChunk, Span, Switch, by_name};

/// A request whose answer may change what the connection speaks.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) key: Key,
    /// Its Upgrade field.
    pub(super) upgrade: Option<Span>,
    /// A copy of it, once it is all there.
    pub(super) request: Option<Box<Message>>,
}

/// What a connection changes to.
#[derive(Debug)]
pub(super) struct Change {
    next: Next,
    handshake: Option<Box<Handshake>>,
}

impl Change {
    /// HTTP/2 with prior knowledge.
    pub(super) fn to_http2() -> Change {
        Change { next: known("http2"), handshake: None }
    }

    /// A tunnel, which may carry anything.
    pub(super) fn to_tunnel(request: Option<Box<Message>>, response: Box<Message>) -> Change {
        Change { next: Next::Recognise, handshake: Some(Box::new(Handshake { request, response: Some(response) })) }
    }

    /// What a 101 agrees to: what its Upgrade field names, else what the request's does.
    pub(super) fn to_upgrade(ask: Option<Box<Ask>>, upgrade: Option<Span>, response: Box<Message>) -> Change {
        let (asked, request) = ask.map_or((None, None), |ask| (ask.upgrade, ask.request));
        let agreed = response.text_of(upgrade);
        let asked = request.as_ref().and_then(|request| request.text_of(asked));
        let next = agreed.or(asked).map_or(Next::Recognise, of_upgrade);
        Change { next, handshake: Some(Box::new(Handshake { request, response: Some(response) })) }
    }
}

/// The first line of HTTP/2's connection preface (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// The protocol that an Upgrade field names.
fn of_upgrade(value: &[u8]) -> Next {
    let mut names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let named = |name: &[u8]| -> Option<Next> {
        if name.eq_ignore_ascii_case(b"websocket") {
            Some(known("websocket"))
        } else if name.eq_ignore_ascii_case(b"h2c") {
            Some(known("http2"))
        } else {
            None
        }
    };
    names.find_map(named).unwrap_or(Next::Recognise)
}

fn known(name: &'static str) -> Next {
    if by_name(name).is_some() { Next::Protocol(name) } else { Next::Recognise }
}

impl Http1Parser {
    /// Hands the connection on, with all that was not read here.
    pub(super) fn switch(&mut self, out: &mut Outbox) {
        let Some(change) = self.change.take() else { return };
        for direction in Direction::BOTH {
            let reader = &mut self.readers[direction.index()];
            let Some(mut message) = reader.message.take() else { continue };
            message.note("the connection changed its protocol before this was all there");
            let position = reader.feed.start();
            message.last = crate::Mark { position, at: message.first.at };
            message.bytes += position.saturating_sub(message.first.position);
            self.put_out(direction, message, out);
        }
        self.pairing.request_done(out);
        self.pairing.end(out);
        let [client, server] = &mut self.readers;
        let mut rest: Vec<OwnedChunk> = client.feed.take_chunks(Direction::ClientToServer);
        rest.append(&mut server.feed.take_chunks(Direction::ServerToClient));
        rest.sort_by_key(|chunk| chunk.at);
        out.switch(Switch { next: change.next, handshake: change.handshake, rest });
    }
}
