//! What both sides say in turn, and SASL.

use l7trace_event::Direction::{self, ClientToServer, ServerToClient};

use super::super::link::{Link, MOST, Session};
use super::super::performatives::{
    ATTACH, BEGIN, CLOSE, DETACH, END, OPEN, Performative, SASL_CHALLENGE, SASL_INIT, SASL_OUTCOME, SASL_RESPONSE,
};
use super::{ASKED, Connection, Place};
use crate::{Key, Outbox, Role, Value};

impl Connection {
    /// open, begin, attach, detach, end and close: each side says it, the second answers the first.
    pub(super) fn two_sided(
        &mut self,
        direction: Direction,
        performative: &Performative,
        place: Place,
        out: &mut Outbox,
    ) {
        let side = direction.index();
        let mut message = self.message(direction, Role::Request, performative, place, out);
        let what = self.what(direction, performative, place.channel);
        let resource = match performative.code {
            OPEN => performative.text("hostname").or(performative.text("container_id")).map(str::to_owned),
            ATTACH => address(performative),
            DETACH => self.link(direction, place.channel, performative).and_then(|link| link.address.clone()),
            _ => None,
        };
        let error = performative.field("error").map(condition);
        if let Some(error) = &error {
            message.failed = true;
            message.attribute("condition", error.clone());
        }
        let asked = self.open.answers(side, &what);
        if asked.is_some() || self.is_answer(direction, performative) {
            message.role = Role::Response;
            message.operation = None;
            message.set_status(performative.name.as_bytes());
            message.key = match asked {
                Some(id) => Key { space: ASKED, id },
                None => self.new_key(),
            };
        } else {
            message.key = self.new_key();
            if let Some(resource) = resource {
                message.set_resource(resource.as_bytes());
            }
            self.open.asks(side, what, message.key.id);
            if let Some(error) = &error {
                self.fail_cause(direction, performative, error, place, out);
            }
        }
        out.push(message);
        self.remember(direction, performative, place.channel);
    }

    /// Whether this answers a question that was not seen.
    fn is_answer(&self, direction: Direction, performative: &Performative) -> bool {
        let names_its_question = performative.code == BEGIN && performative.field("remote_channel").is_some();
        // Mostly it is clients who ask.
        names_its_question || direction == ServerToClient && self.missed[ClientToServer.index()]
    }

    /// An end or a close with an error answers what the other side waits for, where that is one thing alone.
    fn fail_cause(
        &mut self,
        direction: Direction,
        performative: &Performative,
        error: &Value,
        place: Place,
        out: &mut Outbox,
    ) {
        let beginning = match performative.code {
            END => format!("attach {} ", self.session(direction, place.channel)),
            CLOSE => String::new(),
            _ => return,
        };
        let Some(id) = self.open.take_only(direction.opposite().index(), &beginning) else { return };
        let mut response = out.message("amqp", direction, Role::Response);
        (response.first, response.last, response.bytes) = (place.first, place.last, place.size);
        response.key = Key { space: ASKED, id };
        response.failed = true;
        if let Value::List(fields) = error
            && let Some(Value::Text(symbol)) = fields.first()
        {
            response.set_status(symbol.as_bytes());
        }
        response.attribute("closed_by", performative.name);
        response.attribute("condition", error.clone());
        out.push(response);
    }

    /// A session is named by the client's channel where that is known.
    fn session(&self, direction: Direction, channel: u16) -> u16 {
        match (direction, self.sessions[direction.index()].get(&channel).and_then(|it| it.peer)) {
            (ClientToServer, _) | (_, None) => channel,
            (_, Some(peer)) => peer,
        }
    }

    /// What is the same for a question and its answer.
    fn what(&self, direction: Direction, performative: &Performative, channel: u16) -> String {
        let session = self.session(direction, channel);
        match performative.code {
            OPEN | CLOSE => performative.name.to_owned(),
            BEGIN => {
                let remote = performative.number("remote_channel");
                format!("begin {}", remote.unwrap_or(u64::from(channel)))
            }
            ATTACH => format!("attach {session} {}", performative.text("name").unwrap_or_default()),
            DETACH => {
                let name = self.link(direction, channel, performative).map_or("", |link| &link.name);
                format!("detach {session} {name}")
            }
            _ => format!("{} {session}", performative.name),
        }
    }

    pub(super) fn link(&self, direction: Direction, channel: u16, performative: &Performative) -> Option<&Link> {
        let session = self.sessions[direction.index()].get(&channel)?;
        session.links.get(&performative.number("handle")?)
    }

    /// Keeps what later frames refer to, and forgets what has ended.
    fn remember(&mut self, direction: Direction, performative: &Performative, channel: u16) {
        let (this, other) = (direction.index(), direction.opposite().index());
        if self.sessions[this].len() >= MOST {
            self.sessions[this].clear();
        }
        match performative.code {
            BEGIN => {
                let remote = performative.number("remote_channel").and_then(|remote| u16::try_from(remote).ok());
                self.sessions[this].insert(channel, Session { peer: remote, ..Session::default() });
                if let Some(peer) = remote.and_then(|remote| self.sessions[other].get_mut(&remote)) {
                    peer.peer = Some(channel);
                }
            }
            ATTACH => {
                let link = Link {
                    name: performative.text("name").unwrap_or_default().to_owned(),
                    address: address(performative),
                    unsure: false,
                };
                let session = self.sessions[this].entry(channel).or_default();
                if session.links.len() < MOST {
                    session.links.insert(performative.number("handle").unwrap_or(0), link);
                }
            }
            DETACH => {
                if let (Some(session), Some(handle)) =
                    (self.sessions[this].get_mut(&channel), performative.number("handle"))
                {
                    session.links.remove(&handle);
                }
            }
            END => {
                self.sessions[this].remove(&channel);
            }
            _ => {}
        }
    }

    pub(super) fn sasl(&mut self, direction: Direction, performative: &Performative, place: Place, out: &mut Outbox) {
        let mut message = self.message(direction, Role::OneWay, performative, place, out);
        match (performative.code, self.sasl) {
            (SASL_INIT, _) => {
                message.role = Role::Request;
                message.key = self.new_key();
                self.sasl = Some(message.key);
                if let Some(mechanism) = performative.text("mechanism") {
                    message.set_resource(mechanism.as_bytes());
                }
            }
            (SASL_CHALLENGE | SASL_RESPONSE, Some(key)) => {
                message.role = Role::Step;
                message.key = key;
            }
            (SASL_OUTCOME, asked) => {
                message.role = Role::Response;
                message.key = asked.unwrap_or_else(|| self.new_key());
                message.operation = None;
                let code = performative.number("code").unwrap_or(0);
                let name =
                    ["ok", "auth", "sys", "sys-perm", "sys-temp"].get(code as usize).copied().unwrap_or("unknown");
                message.set_status(name.as_bytes());
                message.failed = code != 0;
                self.sasl = None;
            }
            _ => {}
        }
        out.push(message);
    }
}

/// A sender attaches to a target, a receiver to a source.
fn address(attach: &Performative) -> Option<String> {
    let (first, second) = if attach.is_set("role") { ("source", "target") } else { ("target", "source") };
    attach.address(first).or(attach.address(second)).map(str::to_owned)
}

/// An error's condition and description.
fn condition(error: &Value) -> Value {
    match error {
        Value::List(described) => described.get(1).cloned().unwrap_or(Value::Null),
        other => other.clone(),
    }
}
