//! Reads both directions of a connection.

use std::collections::BTreeMap;

use l7trace_event::Direction::{self, ClientToServer, ServerToClient};

use super::channel::{Asked, Channel, Content, Got};
use super::methods::{Arguments, Method, Part};
use super::values::properties;
use super::{BODY, FRAME_END, FRAME_HEADER, Frame, HEADER, HEARTBEAT, METHOD};
use crate::amqp::cursor::Cursor;
use crate::{
    Attribute, Chunk, Completeness, End, Feed, Input, Key, Mark, Message, Outbox, Parser, Role, Settings, Value, Window,
};

/// The most channels at once; AMQP allows 65,535.
const MOST_CHANNELS: usize = 65_536;

/// A method or header frame beyond this is no frame.
const MOST_OF_FRAME: usize = 1 << 20;

pub(in crate::amqp) struct Connection {
    settings: Settings,
    feeds: [Feed; 2],
    readers: [Reader; 2],
    channels: BTreeMap<u16, Channel>,
    /// Counts what was asked, for keys.
    next: u64,
    /// Counts channels that were opened.
    serial: u64,
    heartbeats: [u64; 2],
    facts: Vec<Attribute>,
    unknown_methods: u64,
}

/// Where one direction stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Before its first byte: a protocol header may come.
    Start,
    /// At the beginning of a frame.
    Frame,
    /// Inside a body frame of this channel, with so many bytes and the end octet to come.
    Body(u16, u64),
    /// Bytes were lost: frames are looked for where chunks begin.
    Lost,
}

impl Connection {
    pub(in crate::amqp) fn new(settings: Settings, from_start: [bool; 2]) -> Connection {
        Connection {
            settings,
            feeds: Default::default(),
            readers: from_start.map(|from_start| if from_start { Reader::Start } else { Reader::Lost }),
            channels: BTreeMap::new(),
            next: 0,
            serial: 0,
            heartbeats: [0; 2],
            facts: Vec::new(),
            unknown_methods: 0,
        }
    }

    fn channel(&mut self, number: u16) -> &mut Channel {
        if self.channels.len() >= MOST_CHANNELS {
            self.channels.clear();
        }
        let serial = &mut self.serial;
        self.channels.entry(number).or_insert_with(|| {
            *serial += 1;
            Channel::new(*serial)
        })
    }
}

impl Parser for Connection {
    fn push(&mut self, chunk: Chunk<'_>, out: &mut Outbox) {
        let direction = chunk.direction;
        match chunk.input {
            Input::Bytes(bytes) => {
                let mut feed = std::mem::take(&mut self.feeds[direction.index()]);
                let mut window = feed.open(bytes, chunk.position, chunk.at, chunk.acknowledged);
                while !window.is_empty() && self.step(direction, &mut window, out) {}
                window.close();
                self.feeds[direction.index()] = feed;
            }
            Input::Gap { length, cause } => {
                let lost = if cause.is_loss() { length } else { 0 };
                self.gap(direction, chunk.position, length, lost, out);
            }
            Input::End(end) => {
                let completeness = if end == End::Unknown { Completeness::Unfinished } else { Completeness::Cut };
                self.give_up_contents(direction, completeness, out);
            }
        }
    }

    fn skippable(&self, direction: Direction) -> u64 {
        match self.readers[direction.index()] {
            Reader::Body(_, left) if self.settings.body_limit == 0 => left,
            _ => 0,
        }
    }

    fn held(&self) -> usize {
        let channels: usize = self.channels.values().map(Channel::held).sum();
        channels + self.feeds.iter().map(Feed::held).sum::<usize>()
    }

    fn facts(&self) -> Vec<Attribute> {
        let mut facts = self.facts.clone();
        facts.push(Attribute::new("heartbeats", self.heartbeats.iter().sum::<u64>()));
        if self.unknown_methods > 0 {
            facts.push(Attribute::new("unknown_methods", self.unknown_methods));
        }
        facts
    }
}

// Frames.
impl Connection {
    /// Reads what comes next. Whether something was consumed.
    fn step(&mut self, direction: Direction, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        match self.readers[direction.index()] {
            Reader::Start => self.protocol_header(direction, window),
            Reader::Frame => self.frame(direction, window, out),
            Reader::Body(channel, left) => self.body(direction, channel, left, window, out),
            Reader::Lost => self.find_frame(direction, window),
        }
    }

    fn protocol_header(&mut self, direction: Direction, window: &mut Window<'_>) -> bool {
        let bytes = window.bytes();
        if b"AMQP".starts_with(&bytes[..bytes.len().min(4)]) {
            if bytes.len() < 8 {
                return false;
            }
            let version = format!("{}-{}-{}", bytes[5], bytes[6], bytes[7]);
            let name = if direction == ClientToServer { "version" } else { "version_offered_by_server" };
            self.facts.push(Attribute::new(name, version));
            window.consume(8);
        }
        self.readers[direction.index()] = Reader::Frame;
        true
    }

    fn frame(&mut self, direction: Direction, window: &mut Window<'_>, out: &mut Outbox) -> bool {
        let mut cursor = Cursor(window.bytes());
        let (Some(kind), Some(channel), Some(length)) = (cursor.u8(), cursor.u16(), cursor.u32()) else {
            return false;
        };
        if kind == BODY {
            let (start, at) = (window.position(), FRAME_HEADER as u64);
            window.consume(FRAME_HEADER);
            self.count(direction, channel, at, window.end_mark(start + at));
            self.readers[direction.index()] = Reader::Body(channel, length.into());
            return true;
        }
        if !matches!(kind, METHOD | HEADER | HEARTBEAT) || length as usize > MOST_OF_FRAME {
            self.lose(direction, out);
            return true;
        }
        let frame = match Frame::parse(window.bytes()) {
            None => return false,
            Some(Err(())) => {
                self.lose(direction, out);
                return true;
            }
            Some(Ok(frame)) => frame,
        };
        let start = window.position();
        let place = Place {
            first: window.mark(start),
            last: window.end_mark(start + frame.size as u64),
            size: frame.size as u64,
            read: window.acknowledged_at(start),
        };
        match frame.kind {
            METHOD => self.method(direction, &frame, &place, out),
            HEADER => self.content_header(direction, &frame, &place, out),
            _ => self.heartbeats[direction.index()] += 1,
        }
        let size = frame.size;
        window.consume(size);
        true
    }

    fn body(
        &mut self,
        direction: Direction,
        channel: u16,
        left: u64,
        window: &mut Window<'_>,
        out: &mut Outbox,
    ) -> bool {
        let length = window.bytes().len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let last = window.end_mark(window.position() + length as u64);
        let limit = self.settings.body_limit;
        if let Some(content) = self.content(direction, channel) {
            let bytes = &window.bytes()[..length];
            let room = limit.saturating_sub(content.message.body.len()).min(length);
            content.message.body.extend_from_slice(&bytes[..room]);
            content.message.body_truncated |= room < length && limit > 0;
            content.got += length as u64;
            content.message.bytes += length as u64;
            content.message.last = last;
        }
        window.consume(length);
        let left = left - length as u64;
        self.readers[direction.index()] = Reader::Body(channel, left);
        if left > 0 {
            return true;
        }
        let Some(end) = window.bytes().first().copied() else { return false };
        if end != FRAME_END {
            self.lose(direction, out);
            return true;
        }
        let last = window.end_mark(window.position() + 1);
        window.consume(1);
        self.count(direction, channel, 1, last);
        self.readers[direction.index()] = Reader::Frame;
        self.finish_content(direction, channel, out);
        true
    }

    /// After a loss: the first method frame that decodes to its last byte is where reading goes on.
    fn find_frame(&mut self, direction: Direction, window: &mut Window<'_>) -> bool {
        let bytes = window.bytes();
        let skipped = (0..bytes.len()).find(|at| !matches!(certainty(&bytes[*at..]), Certainty::No));
        let Some(skipped) = skipped else {
            let all = bytes.len();
            window.consume(all);
            return true;
        };
        let found = matches!(certainty(&bytes[skipped..]), Certainty::Yes);
        window.consume(skipped);
        if found {
            self.readers[direction.index()] = Reader::Frame;
        }
        found
    }

    fn gap(&mut self, direction: Direction, position: u64, length: u64, lost: u64, out: &mut Outbox) {
        if let Reader::Body(channel, left) = self.readers[direction.index()]
            && length <= left
        {
            if let Some(content) = self.content(direction, channel) {
                content.got += length;
                content.message.bytes += length;
                content.message.lost_bytes += lost;
                content.message.body_truncated = true;
            }
            self.readers[direction.index()] = Reader::Body(channel, left - length);
            return;
        }
        self.feeds[direction.index()].clear(position + length);
        self.lose(direction, out);
    }

    /// The framing of a direction is lost: what was being put together is told as it is.
    fn lose(&mut self, direction: Direction, out: &mut Outbox) {
        self.readers[direction.index()] = Reader::Lost;
        self.give_up_contents(direction, Completeness::Partial, out);
        for channel in self.channels.values_mut() {
            channel.lost(direction);
        }
    }

    fn give_up_contents(&mut self, direction: Direction, completeness: Completeness, out: &mut Outbox) {
        for channel in self.channels.values_mut() {
            if let Some(mut content) = channel.content[direction.index()].take() {
                content.message.completeness = completeness;
                out.push(content.message);
            }
        }
    }
}

/// Whether some bytes begin with a method frame.
enum Certainty {
    Yes,
    More,
    No,
}

/// The longest method frame that is waited for while frames are looked for.
const MOST_OF_CANDIDATE: u32 = 64 << 10;

fn certainty(bytes: &[u8]) -> Certainty {
    if bytes.first() != Some(&METHOD) {
        return Certainty::No;
    }
    match Frame::parse(bytes) {
        Some(Ok(frame)) => {
            let decodes = Method::of(frame.payload).is_some_and(|method| method.arguments(frame.payload).is_some());
            if decodes { Certainty::Yes } else { Certainty::No }
        }
        Some(Err(())) => Certainty::No,
        None => {
            let mut cursor = Cursor(bytes.get(3..).unwrap_or_default());
            let length_fits = cursor.u32().is_none_or(|length| (4..=MOST_OF_CANDIDATE).contains(&length));
            let known = cursor.0.len() < 4 || Method::of(cursor.0).is_some();
            if length_fits && known { Certainty::More } else { Certainty::No }
        }
    }
}

/// Where a frame stands.
struct Place {
    first: Mark,
    last: Mark,
    size: u64,
    /// How far its sender had read the other direction.
    read: Option<u64>,
}

// Methods.
impl Connection {
    fn method(&mut self, direction: Direction, frame: &Frame<'_>, place: &Place, out: &mut Outbox) {
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

    fn asks(
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
    fn close(
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
        let numbers: Vec<u16> = if method.class == 10 { self.channels.keys().copied().collect() } else { vec![number] };
        for number in numbers {
            let Some(channel) = self.channels.get_mut(&number) else { continue };
            let key = match channel.failed(class, id, direction) {
                Some(asked) => Some(asked.key),
                None if (class, id) == (60, 40) && direction == ServerToClient => {
                    channel.last_published().map(|tag| channel.publish_key(tag))
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
                return;
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one call site, and each is a thing of its own")]
    fn answers(
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

    fn publish(&mut self, method: &'static Method, arguments: Arguments, number: u16, mut message: Box<Message>) {
        let route = route(&arguments);
        message.set_resource(&route);
        let channel = self.channel(number);
        if let Some(tag) = channel.publish(&route) {
            message.role = Role::Request;
            message.key = channel.publish_key(tag);
        } else if channel.confirms_are_lost() {
            message.note("its confirm cannot be told: publishes before it were lost");
        }
        tell(method, arguments, &mut message);
        self.begin_content(number, message, None);
    }

    fn returned(
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

    fn deliver(&mut self, method: &'static Method, arguments: Arguments, number: u16, mut message: Box<Message>) {
        message.set_resource(&route(&arguments));
        let channel = self.channel(number);
        if !channel.needs_no_ack(arguments.text("consumer_tag").unwrap_or_default()) {
            message.role = Role::Request;
            message.key = channel.delivery_key(arguments.number("delivery_tag").unwrap_or(0));
        }
        tell(method, arguments, &mut message);
        self.begin_content(number, message, None);
    }

    fn get_ok(
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

    fn settles(
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

// Content.
impl Connection {
    fn begin_content(&mut self, number: u16, message: Box<Message>, get: Option<(u64, Got)>) {
        let direction = message.direction;
        let channel = self.channel(number);
        channel.content[direction.index()] = Some(Content { message, size: None, got: 0, get });
    }

    fn content(&mut self, direction: Direction, number: u16) -> Option<&mut Content> {
        self.channels.get_mut(&number)?.content[direction.index()].as_mut()
    }

    /// Counts framing of a message whose content is coming.
    fn count(&mut self, direction: Direction, channel: u16, bytes: u64, last: Mark) {
        if let Some(content) = self.content(direction, channel) {
            content.message.bytes += bytes;
            content.message.last = last;
        }
    }

    fn content_header(&mut self, direction: Direction, frame: &Frame<'_>, place: &Place, out: &mut Outbox) {
        let mut cursor = Cursor(frame.payload);
        let (Some(_class), Some(_weight), Some(size)) = (cursor.u16(), cursor.u16(), cursor.u64()) else { return };
        if let Some(content) = self.content(direction, frame.channel) {
            content.size = Some(size);
            content.message.bytes += place.size;
            content.message.last = place.last;
            content.message.body_bytes = Some(size);
            match properties(&mut cursor) {
                Some(properties) if !properties.is_empty() => {
                    let map = properties.into_iter().map(|(name, value)| (name.into(), value)).collect();
                    content.message.attribute("properties", Value::Map(map));
                }
                Some(_) => {}
                None => content.message.note("the content's properties do not decode"),
            }
        }
        self.finish_content(direction, frame.channel, out);
    }

    /// Tells a message whose content is all there.
    fn finish_content(&mut self, direction: Direction, number: u16, out: &mut Outbox) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let slot = &mut channel.content[direction.index()];
        if slot.as_ref().is_none_or(|content| content.size.is_none_or(|size| content.got < size)) {
            return;
        }
        let Some(content) = slot.take() else { return };
        if let Some((tag, got)) = content.get {
            channel.got(tag, got);
        }
        out.push(content.message);
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
