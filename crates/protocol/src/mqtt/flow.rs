//! Which part a packet has in which exchange.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use l7trace_event::{Direction, Timestamp};

use super::cursor::text_value;
use super::decode::Decoded;
use super::open::{Answered, Ask, DOUBTFUL, Opens, Publish, Unseen, space};
use super::packet::{Header, Kind};
use super::reason;
use super::version::Level;
use crate::{Attribute, Key, Mark, Message, Outbox, Role, Value};

/// A packet's place.
pub(super) struct Read {
    pub(super) header: Header,
    pub(super) level: Level,
    pub(super) first: Mark,
    /// The position after its last byte.
    pub(super) end: u64,
    /// How far its sender had read the other direction.
    pub(super) acknowledged: Option<u64>,
}

/// Ties the packets of a connection together.
#[derive(Debug)]
pub(super) struct Flow {
    opens: Opens,
    from_start: bool,
    /// Whether a CONNECT is waiting for its CONNACK.
    connecting: bool,
    /// How many CONNECTs there were: one, in a proper connection.
    connects: u64,
    /// The re-authentication under way.
    authenticating: Option<Key>,
    client_id: Option<Vec<u8>>,
    hasher: RandomState,
}

const UNSEEN: &str = "what this answers was sent before tracing, on an earlier connection, or in lost bytes";
const RESUMED: &str = "its PUBLISH was sent before tracing, on an earlier connection, or in lost bytes";
const UNASKED: &str = "answers nothing that was sent on this connection";

impl Flow {
    pub(super) fn new(from_start: [bool; 2]) -> Flow {
        Flow {
            opens: Opens::default(),
            from_start: from_start == [true; 2],
            connecting: false,
            connects: 0,
            authenticating: None,
            client_id: None,
            hasher: RandomState::new(),
        }
    }

    pub(super) fn held(&self) -> usize {
        self.opens.held()
    }

    pub(super) fn facts(&self) -> Vec<Attribute> {
        let client_id = self.client_id.as_deref().map(|id| Attribute::new("client_id", text_value(id)));
        client_id.into_iter().collect()
    }

    pub(super) fn lose(&mut self, direction: Direction, at: Timestamp) {
        self.opens.lose(direction, at);
    }

    /// How many filters the packet had that this one answers.
    pub(super) fn filters_of(&self, kind: Kind, body: &[u8]) -> Option<usize> {
        let id = u16::from_be_bytes([*body.first()?, *body.get(1)?]);
        self.opens.filters_of(usize::from(kind == Kind::Unsuback), id)
    }

    /// Gives a message its role, key and name. None where it is told later, with what follows it.
    pub(super) fn relate(
        &mut self,
        read: &Read,
        decoded: Decoded,
        mut message: Box<Message>,
        out: &mut Outbox,
    ) -> Option<Box<Message>> {
        if !read.header.kind.may_go(message.direction) {
            message.note("this end must not send such a packet");
            return Some(self.alone(read, message));
        }
        match read.header.kind {
            Kind::Publish => self.publish(read, &decoded, message, out),
            Kind::Puback => self.last_of_publish(read, &decoded, message, 1),
            Kind::Pubrec if message.failed => self.last_of_publish(read, &decoded, message, 2),
            Kind::Pubcomp => self.last_of_publish(read, &decoded, message, 2),
            Kind::Pubrec | Kind::Pubrel => self.step_of_publish(read, &decoded, message),
            Kind::Subscribe | Kind::Unsubscribe => Some(self.ask(read, decoded, message)),
            Kind::Suback | Kind::Unsuback => Some(self.answer(read, &decoded, message)),
            Kind::Connect => Some(self.connect(read, message)),
            Kind::Connack => Some(self.connack(read, message)),
            Kind::Pingreq => {
                message.key = self.opens.ping(read.first, read.end);
                Some(request(read, message))
            }
            Kind::Pingresp => Some(self.pingresp(read, message)),
            Kind::Auth => Some(self.auth(read, &decoded, message)),
            Kind::Disconnect => Some(self.alone(read, message)),
            Kind::Reserved => {
                out.recycle(message);
                None
            }
        }
    }

    /// Everything is over: tells what was kept back.
    pub(super) fn end(&mut self, out: &mut Outbox) {
        for publish in self.opens.take_unseen() {
            self.give_up(publish, out);
        }
    }

    /// What stands alone.
    fn alone(&mut self, read: &Read, mut message: Box<Message>) -> Box<Message> {
        message.role = Role::OneWay;
        message.key = self.opens.alone();
        message.set_operation(read.header.kind.name().as_bytes());
        message
    }

    /// An answer to something that was not seen, or is not certain.
    fn unpaired(&mut self, read: &Read, id: Option<u16>, mut message: Box<Message>, doubtful: bool) -> Box<Message> {
        message.key = self.opens.alone();
        if let Some(id) = id {
            message.fact("packet_id", u64::from(id));
        }
        message.note(match () {
            () if doubtful => DOUBTFUL,
            () if self.from_start && !self.opens.has_lost() => UNASKED,
            () => UNSEEN,
        });
        response(read, message)
    }

    fn connect(&mut self, read: &Read, mut message: Box<Message>) -> Box<Message> {
        if self.connects > 0 {
            message.note("a second CONNECT on this connection");
        }
        self.connects += 1;
        self.connecting = true;
        self.client_id = message.text_of(message.resource).map(<[u8]>::to_vec);
        message.key = Key { space: space::CONNECT, id: self.connects };
        request(read, message)
    }

    fn connack(&mut self, read: &Read, mut message: Box<Message>) -> Box<Message> {
        if !std::mem::take(&mut self.connecting) {
            return self.unpaired(read, None, message, false);
        }
        message.key = Key { space: space::CONNECT, id: self.connects };
        response(read, message)
    }

    fn publish(
        &mut self,
        read: &Read,
        decoded: &Decoded,
        mut message: Box<Message>,
        out: &mut Outbox,
    ) -> Option<Box<Message>> {
        let qos = read.header.qos();
        let (Some(id), 1 | 2) = (decoded.packet_id, qos) else {
            if matches!(qos, 1 | 2) {
                message.note("packet id unknown");
            }
            return Some(self.alone(read, message));
        };
        let direction = message.direction;
        let print = self.print_of(&message);
        let key = Key { space: space::publish(direction), id: u64::from(id) };
        message.key = key;
        if read.header.is_duplicate() && self.opens.is_repeated(direction, id, qos, print) {
            let mut repeat = request(read, message);
            repeat.role = Role::Repeat;
            return Some(repeat);
        }
        if read.header.is_duplicate() {
            message.note("sent before, on an earlier connection or unseen");
        }
        let sent = self.opens.sent(key.space, key.id, read.end);
        let before = self.opens.publish(direction, id, Publish { sent, qos, print, unseen: None });
        if let Some(before) = before.filter(|before| before.unseen.is_some()) {
            self.give_up(before, out);
        }
        Some(request(read, message))
    }

    /// What tells a PUBLISH from another one of the same id.
    fn print_of(&self, message: &Message) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        message.text_of(message.resource).hash(&mut hasher);
        message.body_bytes.hash(&mut hasher);
        hasher.finish()
    }

    /// PUBACK, PUBCOMP, or a PUBREC that refuses.
    fn last_of_publish(
        &mut self,
        read: &Read,
        decoded: &Decoded,
        mut message: Box<Message>,
        qos: u8,
    ) -> Option<Box<Message>> {
        let direction = message.direction.opposite();
        let Some(id) = decoded.packet_id else { return Some(self.unpaired(read, None, message, false)) };
        let key = match self.opens.acknowledged(direction, id, qos, read.acknowledged) {
            Answered::Yes(open) => open.sent.key,
            Answered::Doubtful => return Some(self.unpaired(read, Some(id), message, true)),
            Answered::No => return Some(self.unpaired(read, Some(id), message, false)),
        };
        if let Some(unseen) = self.opens.close_publish(direction, id).and_then(|open| open.unseen) {
            tell_steps(&unseen, &mut message);
            message.key = self.opens.alone();
            message.fact("packet_id", u64::from(id));
            message.note(RESUMED);
            return Some(response(read, message));
        }
        message.key = key;
        Some(response(read, message))
    }

    /// PUBREC and PUBREL, the middle of a QoS 2 exchange.
    fn step_of_publish(&mut self, read: &Read, decoded: &Decoded, mut message: Box<Message>) -> Option<Box<Message>> {
        let name = read.header.kind.name();
        message.set_status(name.as_bytes());
        let direction = if read.header.kind == Kind::Pubrel { message.direction } else { message.direction.opposite() };
        let Some(id) = decoded.packet_id else { return Some(self.unpaired(read, None, message, false)) };
        // A PUBREL answers the PUBREC, whose place is not remembered.
        let acknowledged = if read.header.kind == Kind::Pubrel { None } else { read.acknowledged };
        let doubtful = match self.opens.acknowledged(direction, id, 2, acknowledged) {
            Answered::Yes(open) => {
                if let Some(unseen) = &mut open.unseen {
                    unseen.add(name, message);
                    return None;
                }
                message.role = Role::Step;
                message.key = open.sent.key;
                return Some(message);
            }
            Answered::Doubtful => true,
            Answered::No => false,
        };
        if doubtful {
            message.note(DOUBTFUL);
        }
        let sent = self.opens.sent(space::publish(direction), u64::from(id), 0);
        let mut unseen = Unseen::default();
        unseen.add(name, message);
        let open = Publish { sent, qos: 2, print: 0, unseen: Some(Box::new(unseen)) };
        self.opens.publish(direction, id, open);
        None
    }

    /// Tells what was seen of a QoS 2 exchange that has neither beginning nor end.
    fn give_up(&mut self, publish: Publish, out: &mut Outbox) {
        let Some(mut unseen) = publish.unseen else { return };
        let Some(mut message) = unseen.latest.take() else { return };
        unseen.steps.pop();
        tell_steps(&unseen, &mut message);
        message.key = self.opens.alone();
        message.fact("packet_id", publish.sent.key.id);
        message.note(RESUMED);
        // A PUBREC answers; a PUBREL asks, and was not answered.
        if message.text_of(message.status) == Some(b"PUBREL") {
            message.role = Role::OneWay;
            message.operation = message.status.take();
        } else {
            message.role = Role::Response;
        }
        out.push(message);
    }

    fn ask(&mut self, read: &Read, decoded: Decoded, mut message: Box<Message>) -> Box<Message> {
        let Some(id) = decoded.packet_id else {
            message.note("packet id unknown");
            return self.alone(read, message);
        };
        let unsubscribe = read.header.kind == Kind::Unsubscribe;
        let space = if unsubscribe { space::UNSUBSCRIBE } else { space::SUBSCRIBE };
        let sent = self.opens.sent(space, u64::from(id), read.end);
        message.key = sent.key;
        let again = self.opens.ask(usize::from(unsubscribe), id, sent, decoded.filters);
        let mut message = request(read, message);
        // MQTT 3.1 sends these again with a flag set.
        if again && read.header.is_duplicate() {
            message.role = Role::Repeat;
        }
        message
    }

    fn answer(&mut self, read: &Read, decoded: &Decoded, mut message: Box<Message>) -> Box<Message> {
        let kind = read.header.kind;
        let unsubscribe = kind == Kind::Unsuback;
        let answered = match decoded.packet_id {
            Some(id) => self.opens.answered(usize::from(unsubscribe), id, read.acknowledged),
            None => Answered::No,
        };
        let (ask, doubtful) = match answered {
            Answered::Yes(ask) => (Some(ask), false),
            Answered::Doubtful => (None, true),
            Answered::No => (None, false),
        };
        tell_filters(read, ask.as_ref(), &decoded.reasons, &mut message);
        match ask {
            Some(ask) => {
                message.key = ask.sent.key;
                response(read, message)
            }
            None => self.unpaired(read, decoded.packet_id, message, doubtful),
        }
    }

    fn pingresp(&mut self, read: &Read, mut message: Box<Message>) -> Box<Message> {
        match self.opens.pong(read.acknowledged) {
            Answered::Yes(key) => {
                message.key = key;
                response(read, message)
            }
            Answered::Doubtful => self.unpaired(read, None, message, true),
            Answered::No => self.unpaired(read, None, message, false),
        }
    }

    /// MQTT 5.0, 4.12: AUTH goes to and fro within CONNECT's exchange, or in one of its own.
    fn auth(&mut self, read: &Read, decoded: &Decoded, mut message: Box<Message>) -> Box<Message> {
        let by_client = message.direction == Direction::ClientToServer;
        if self.connecting {
            message.role = Role::Step;
            message.key = Key { space: space::CONNECT, id: self.connects };
            message.set_status(b"AUTH");
            return message;
        }
        match (decoded.reason, self.authenticating) {
            (Some(0x19), _) if by_client => {
                let key = Key { space: space::AUTH, id: self.opens.alone().id };
                self.authenticating = Some(key);
                message.key = key;
                request(read, message)
            }
            (Some(0), Some(key)) if !by_client => {
                self.authenticating = None;
                message.key = key;
                response(read, message)
            }
            (_, Some(key)) => {
                message.role = Role::Step;
                message.key = key;
                message.set_status(b"AUTH");
                message
            }
            (Some(0), None) if !by_client => self.unpaired(read, None, message, false),
            (_, None) => {
                message.note(UNSEEN);
                self.alone(read, message)
            }
        }
    }
}

impl Unseen {
    fn add(&mut self, name: &'static str, message: Box<Message>) {
        const MOST_STEPS: usize = 16;
        if self.steps.len() == MOST_STEPS {
            self.steps.remove(0);
        }
        self.steps.push((name, message.last.at));
        self.latest = Some(message);
    }
}

fn request(read: &Read, mut message: Box<Message>) -> Box<Message> {
    message.role = Role::Request;
    message.set_operation(read.header.kind.name().as_bytes());
    message
}

fn response(read: &Read, mut message: Box<Message>) -> Box<Message> {
    message.role = Role::Response;
    message.set_status(read.header.kind.name().as_bytes());
    message
}

/// The steps of an exchange whose beginning was not seen.
fn tell_steps(unseen: &Unseen, message: &mut Message) {
    let steps = unseen.steps.iter().map(|(name, at)| {
        Value::Map(vec![("name".into(), Value::from(*name)), ("at".into(), Value::Text(Cow::Owned(at.to_string())))])
    });
    let steps: Vec<Value> = steps.collect();
    if !steps.is_empty() {
        message.attribute("earlier_steps", steps);
    }
}

/// Each filter with what came of it.
fn tell_filters(read: &Read, ask: Option<&Ask>, reasons: &[u8], message: &mut Message) {
    let kind = read.header.kind;
    if reasons.is_empty() {
        return;
    }
    if ask.is_some_and(|ask| ask.count != reasons.len()) {
        message.note("as many reason codes as filters are due");
    }
    let filters = ask.map(|ask| ask.filters.as_slice()).filter(|filters| filters.len() == reasons.len());
    let each = reasons.iter().enumerate().map(|(index, code)| {
        let mut one: Vec<(Cow<'static, str>, Value)> = Vec::with_capacity(3);
        if let Some(filter) = filters.and_then(|filters| filters.get(index)) {
            one.push(("filter".into(), text_value(filter)));
        }
        one.push(("reason_code".into(), Value::Unsigned(u64::from(*code))));
        if let Some(name) = reason::name(kind, *code, read.level) {
            one.push(("reason".into(), Value::from(name)));
        }
        Value::Map(one)
    });
    let each: Vec<Value> = each.collect();
    message.attribute("filters", each);
}
