//! What methods ask, answer and settle.

use super::super::Frame;
use super::super::channel::{Asked, Got, PUBLISH};
use super::super::methods::{Arguments, Method, Part};
use super::{Connection, Place};
use crate::{Attribute, Key, Message, Outbox, Role};

use l7trace_event::Direction::{self, ClientToServer, ServerToClient};

impl Connection {
    pub(super) fn method(&mut self, direction: Direction, frame: &Frame<'_>, place: &Place, out: &mut Outbox) {
        let Some(method) = Method::of(frame.payload) else {
            self.unknown_methods += 1;
            return;
        };
        let Some(arguments) = method.arguments(frame.payload) else {
            self.unknown_methods += 1;
            return;
        };
        let mut message = out.message("amqp", direction, Role::OneWay);
        message.first = place.first;
        message.last = place.last;
        message.bytes = place.size;
        message.fact("channel", u64::from(frame.channel));
        match method.part {
            Part::Asks => self.asks(method, arguments, frame.channel, place, message, out),
            Part::Answers(asked) => {
                self.answers(method, asked, arguments, frame.channel, place, message, out);
            }
            Part::Publish => self.publish(method, arguments, frame.channel, message),
            Part::Return => self.returned(method, arguments, frame.channel, message, out),
            Part::Deliver => self.deliver(method, arguments, frame.channel, message),
            Part::GetOk => self.get_ok(method, arguments, frame.channel, place, message),
            Part::Settles => self.settles(method, &arguments, frame.channel, message, out),
            Part::Alone => {
                tell(method, arguments, &mut message);
                out.push(message);
            }
        }
    }

    pub(super) fn asks(
        &mut self,
        method: &'static Method,
        arguments: Arguments,
        number: u16,
        place: &Place,
        mut message: Box<Message>,
        out: &mut Outbox,
    ) {
        let direction = message.direction;
        let resource = arguments.text("queue").or(arguments.text("exchange")).or(arguments.text("destination"));
        if let Some(resource) = resource.filter(|resource| !resource.is_empty()) {
            message.set_resource(resource.as_bytes());
        }
        if let (10 | 20, 40 | 50, Some(code)) = (method.class, method.id, arguments.number("reply_code")) {
            self.close(method, &arguments, code, number, &message, out);
        }
        self.next += 1;
        let id = self.next;
        let channel = self.channel(number);
        let no_wait = arguments.is_set("no_wait");
        if method.class == 85 {
            channel.confirm_select();
        }
        let no_ack = arguments.is_set("no_ack");
        let consumer = (method.class == 60 && method.id == 20)
            .then(|| (arguments.text("consumer_tag").unwrap_or_default().to_owned(), no_ack));
        if no_wait {
            if let Some((tag, no_ack)) = consumer {
                channel.consumes(tag, no_ack);
            }
        } else {
            message.role = Role::Request;
            message.key = channel.asked_key(id);
            let get = (method.class == 60 && method.id == 70).then(|| Got {
                queue: arguments.text("queue").unwrap_or_default().as_bytes().to_vec(),
                asked: message.first,
                no_ack,
            });
            let position = place.first.position;
            channel.ask(direction, Asked { method, key: message.key, position, stale: false, consumer, get });
        }
        tell(method, arguments, &mut message);
        out.push(message);
    }

    /// A close that names a method is the answer to what waits for that method.
    pub(super) fn close(
        &mut self,
        method: &'static Method,
        arguments: &Arguments,
        code: u64,
        number: u16,
        close: &Message,
        out: &mut Outbox,
    ) {
        let part = |name| arguments.number(name).and_then(|id| u16::try_from(id).ok()).unwrap_or(0);
        let (class, id) = (part("class_id"), part("method_id"));
        let direction = close.direction;
        let number = if method.class == 10 {
            // It does not say which channel's method it means: told where only one has such a method.
            let mut may = self.channels.iter().filter(|(_, channel)| channel.may_have_failed(class, id, direction));
            may.next().filter(|_| may.next().is_none()).map(|(number, _)| *number)
        } else {
            Some(number)
        };
        if let Some(channel) = number.and_then(|number| self.channels.get_mut(&number)) {
            let key = match channel.failed(class, id, direction) {
                Some(asked) => Some(asked.key),
                None if (class, id) == PUBLISH && direction == ServerToClient => {
                    let text = arguments.text("reply_text").unwrap_or_default();
                    channel.refused(text).map(|tag| channel.publish_key(tag))
                }
                None => None,
            };
            if let Some(key) = key {
                let mut response = out.message("amqp", direction, Role::Response);
                response.key = key;
                (response.first, response.last, response.bytes) = (close.first, close.last, close.bytes);
                response.failed = code >= 300;
                response.set_status(code.to_string().as_bytes());
                response.attribute("closed_by", method.name);
                response.attribute("reply_text", arguments.text("reply_text").unwrap_or_default().to_owned());
                out.push(response);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one call site, and each is a thing of its own")]
    pub(super) fn answers(
        &mut self,
        method: &'static Method,
        asked: u16,
        arguments: Arguments,
        number: u16,
        place: &Place,
        mut message: Box<Message>,
        out: &mut Outbox,
    ) {
        self.next += 1;
        let fresh = Key { space: u64::MAX, id: self.next };
        let direction = message.direction;
        let channel = self.channel(number);
        message.role = Role::Response;
        message.set_status(method.name.as_bytes());
        message.key = match channel.answered(asked, method.class, direction, place.read) {
            Some(asked) => {
                if let Some((tag, no_ack)) = asked.consumer {
                    let named = arguments.text("consumer_tag").map_or(tag, str::to_owned);
                    channel.consumes(named, no_ack);
                }
                asked.key
            }
            None => fresh,
        };
        add(arguments, &mut message);
        out.push(message);
        if method.class == 20 && method.id == 41 {
            self.channels.remove(&number);
        }
    }

    pub(super) fn publish(
        &mut self,
        method: &'static Method,
        arguments: Arguments,
        number: u16,
        mut message: Box<Message>,
    ) {
        let route = route(&arguments);
        message.set_resource(&route);
        let mandatory = arguments.is_set("mandatory") || arguments.is_set("immediate");
        let channel = self.channel(number);
        if let Some(tag) = channel.publish(&route, mandatory) {
            message.role = Role::Request;
            message.key = channel.publish_key(tag);
        } else if channel.confirms_are_lost() {
            message.note("its confirm cannot be told: publishes before it were lost");
        }
        tell(method, arguments, &mut message);
        self.begin_content(number, message, None);
    }

    pub(super) fn returned(
        &mut self,
        method: &'static Method,
        arguments: Arguments,
        number: u16,
        mut message: Box<Message>,
        out: &mut Outbox,
    ) {
        let route = route(&arguments);
        message.set_resource(&route);
        message.failed = true;
        let channel = self.channel(number);
        if let Some(tag) = channel.returned(&route) {
            let mut step = out.message("amqp", ServerToClient, Role::Step);
            step.key = channel.publish_key(tag);
            (step.first, step.last, step.bytes) = (message.first, message.last, message.bytes);
            step.set_operation(method.name.as_bytes());
            out.push(step);
            message.attribute("publish_tag", tag);
        }
        tell(method, arguments, &mut message);
        self.begin_content(number, message, None);
    }

    pub(super) fn deliver(
        &mut self,
        method: &'static Method,
        arguments: Arguments,
        number: u16,
        mut message: Box<Message>,
    ) {
        message.set_resource(&route(&arguments));
        let channel = self.channel(number);
        if !channel.needs_no_ack(arguments.text("consumer_tag").unwrap_or_default()) {
            message.role = Role::Request;
            message.key = channel.delivery_key(arguments.number("delivery_tag").unwrap_or(0));
        }
        tell(method, arguments, &mut message);
        self.begin_content(number, message, None);
    }

    pub(super) fn get_ok(
        &mut self,
        method: &'static Method,
        arguments: Arguments,
        number: u16,
        place: &Place,
        mut message: Box<Message>,
    ) {
        self.next += 1;
        message.key = Key { space: u64::MAX, id: self.next };
        message.role = Role::Response;
        message.set_status(method.name.as_bytes());
        let tag = arguments.number("delivery_tag").unwrap_or(0);
        let channel = self.channel(number);
        let mut get = None;
        if let Some(asked) = channel.answered(70, 60, ServerToClient, place.read) {
            message.key = asked.key;
            get = asked.get.filter(|got| !got.no_ack).map(|got| (tag, got));
        }
        add(arguments, &mut message);
        self.begin_content(number, message, get);
    }

    pub(super) fn settles(
        &mut self,
        method: &'static Method,
        arguments: &Arguments,
        number: u16,
        mut message: Box<Message>,
        out: &mut Outbox,
    ) {
        let tag = arguments.number("delivery_tag").unwrap_or(0);
        let multiple = arguments.is_set("multiple");
        // Tag 0 with `multiple` stands for everything that is open.
        let upper = if multiple && tag == 0 { u64::MAX } else { tag };
        let direction = message.direction;
        let channel = self.channel(number);
        message.role = Role::Response;
        message.up_to = multiple;
        message.failed = method.id != 80;
        message.set_status(method.name.as_bytes());
        if arguments.is_set("requeue") {
            message.attribute("requeue", true);
        }
        if multiple {
            message.attribute("multiple", true);
        }
        if direction == ServerToClient {
            message.key = channel.publish_key(upper);
            channel.confirmed(upper, multiple);
            out.push(message);
            return;
        }
        message.key = channel.delivery_key(upper);
        let got = channel.settled(upper, multiple);
        let only_got = !multiple && !got.is_empty();
        for got in got {
            let mut whole = out.message("amqp", ClientToServer, Role::Transaction);
            whole.set_operation(b"basic.get");
            whole.set_resource(&got.queue);
            whole.set_status(method.name.as_bytes());
            whole.failed = message.failed;
            (whole.first, whole.last, whole.bytes) = (got.asked, message.last, message.bytes);
            whole.fact("channel", u64::from(number));
            out.push(whole);
        }
        if !only_got {
            out.push(message);
        }
    }
}

/// `exchange/routing-key`, empty parts left out.
fn route(arguments: &Arguments) -> Vec<u8> {
    let (exchange, key) =
        (arguments.text("exchange").unwrap_or_default(), arguments.text("routing_key").unwrap_or_default());
    match (exchange.is_empty(), key.is_empty()) {
        (false, false) => format!("{exchange}/{key}").into_bytes(),
        _ => format!("{exchange}{key}").into_bytes(),
    }
}

/// Names the method and adds its arguments.
fn tell(method: &Method, arguments: Arguments, message: &mut Message) {
    message.set_operation(method.name.as_bytes());
    add(arguments, message);
}

fn add(arguments: Arguments, message: &mut Message) {
    message.attributes.extend(arguments.0.into_iter().map(|(name, value)| Attribute::new(name, value)));
}
