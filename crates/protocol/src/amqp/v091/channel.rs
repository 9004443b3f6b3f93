//! What is open on one channel.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use l7trace_event::Direction;

use super::methods::Method;
use crate::{Key, Mark, Message};

/// The most that is remembered of each kind on one channel.
const MOST: usize = 65_536;

/// basic.publish, by class and method.
pub(super) const PUBLISH: (u16, u16) = (60, 40);

/// How many unconfirmed publishes are looked through for the one that is returned: brokers return in
/// order, and at once.
const MOST_LOOKED_AT: usize = 1024;

/// One channel, from its opening to its close.
pub(super) struct Channel {
    /// Unique within the connection: a channel number may be used again.
    serial: u64,
    /// By direction of the asker: methods that wait for their answer.
    asked: [VecDeque<Asked>; 2],
    /// Publisher confirms: the tag of the next publish, once they are on.
    confirm: Option<u64>,
    /// Publishes were lost: the tags of the later ones are not known.
    confirm_lost: bool,
    /// Publishes that have no confirm, for joining returns and errors.
    published: VecDeque<Published>,
    /// The route of the last publish: mostly the next one's as well.
    last_route: Arc<[u8]>,
    /// By consumer tag: whether its deliveries need no acknowledgement.
    consumers: HashMap<String, bool>,
    /// Messages taken by basic.get that are not acknowledged, by tag.
    got: BTreeMap<u64, Got>,
    /// By direction: content that is not all there.
    pub(super) content: [Option<Content>; 2],
}

/// A method that waits for its answer.
pub(super) struct Asked {
    pub(super) method: &'static Method,
    pub(super) key: Key,
    /// Where it began, in its direction.
    pub(super) position: u64,
    /// Bytes were lost since.
    pub(super) stale: bool,
    /// basic.consume: its consumer tag and whether it needs no acknowledgements.
    pub(super) consumer: Option<(String, bool)>,
    /// basic.get: its queue, and whether what it gets needs no acknowledgement.
    pub(super) get: Option<Got>,
}

/// A publish that has no confirm.
struct Published {
    tag: u64,
    /// Exchange and routing key, as they stand in the resource.
    route: Arc<[u8]>,
    /// Only such a one is returned.
    mandatory: bool,
    returned: bool,
    confirmed: bool,
}

/// A message taken by basic.get.
#[derive(Clone)]
pub(super) struct Got {
    pub(super) queue: Vec<u8>,
    pub(super) asked: Mark,
    pub(super) no_ack: bool,
}

/// A message whose content is still coming.
pub(super) struct Content {
    pub(super) message: Box<Message>,
    /// From the content header; none before it came.
    pub(super) size: Option<u64>,
    pub(super) got: u64,
    /// basic.get-ok: its delivery tag, where it will be acknowledged.
    pub(super) get: Option<(u64, Got)>,
}

/// Kinds of ids on a channel: [`Key::space`] is the channel's serial and one of these.
#[derive(Clone, Copy)]
enum Space {
    Asked = 0,
    Published = 1,
    Delivered = 2,
}

impl Channel {
    pub(super) fn new(serial: u64) -> Channel {
        Channel {
            serial,
            asked: Default::default(),
            confirm: None,
            confirm_lost: false,
            published: VecDeque::new(),
            last_route: Arc::default(),
            consumers: HashMap::new(),
            got: BTreeMap::new(),
            content: [None, None],
        }
    }

    fn space(&self, space: Space) -> u64 {
        self.serial * 4 + space as u64
    }

    /// The key of something that asks; `id` is unique within the connection.
    pub(super) fn asked_key(&self, id: u64) -> Key {
        Key { space: self.space(Space::Asked), id }
    }

    pub(super) fn delivery_key(&self, tag: u64) -> Key {
        Key { space: self.space(Space::Delivered), id: tag }
    }

    pub(super) fn publish_key(&self, tag: u64) -> Key {
        Key { space: self.space(Space::Published), id: tag }
    }

    pub(super) fn ask(&mut self, direction: Direction, asked: Asked) {
        let queue = &mut self.asked[direction.index()];
        // Who asks anew has given up what was lost: a channel's methods wait for each other.
        queue.retain(|earlier| !earlier.stale);
        if queue.len() < MOST {
            queue.push_back(asked);
        }
    }

    /// What a method that went in `direction` answers. `read`: how far its sender had read.
    pub(super) fn answered(
        &mut self,
        method: u16,
        class: u16,
        direction: Direction,
        read: Option<u64>,
    ) -> Option<Asked> {
        let queue = &mut self.asked[direction.opposite().index()];
        let fits = |asked: &Asked| asked.method.class == class && asked.method.id == method;
        let index = queue.iter().position(fits)?;
        let several = queue.iter().filter(|asked| fits(asked)).count() > 1;
        let asked = queue.get(index)?;
        // Who had not read the question does not answer it; which of several lost ones is answered
        // cannot be told.
        if read.is_some_and(|read| read <= asked.position) || (asked.stale && several) {
            return None;
        }
        queue.remove(index)
    }

    /// Whether a connection.close that names this method can mean one of this channel.
    pub(super) fn may_have_failed(&self, class: u16, method: u16, direction: Direction) -> bool {
        let asked = &self.asked[direction.opposite().index()];
        let publishes = (class, method) == PUBLISH && direction == Direction::ServerToClient;
        asked.iter().any(|asked| (asked.method.class, asked.method.id) == (class, method))
            || (publishes && !self.published.is_empty())
    }

    /// A channel.close or connection.close that names a method answers what waits for it.
    pub(super) fn failed(&mut self, class: u16, method: u16, direction: Direction) -> Option<Asked> {
        self.answered(method, class, direction, None)
    }

    pub(super) fn confirm_select(&mut self) {
        if self.confirm.is_none() {
            self.confirm = Some(1);
        }
    }

    /// The tag of a publish, where confirms are on and none was lost.
    pub(super) fn publish(&mut self, route: &[u8], mandatory: bool) -> Option<u64> {
        if self.confirm_lost {
            return None;
        }
        let tag = self.confirm?;
        self.confirm = Some(tag + 1);
        if self.published.len() < MOST {
            if *self.last_route != *route {
                self.last_route = route.into();
            }
            let route = Arc::clone(&self.last_route);
            self.published.push_back(Published { tag, route, mandatory, returned: false, confirmed: false });
        }
        Some(tag)
    }

    /// Whether confirms are on and their tags are unknown.
    pub(super) fn confirms_are_lost(&self) -> bool {
        self.confirm.is_some() && self.confirm_lost
    }

    /// The oldest unconfirmed publish of this route that was not returned yet.
    pub(super) fn returned(&mut self, route: &[u8]) -> Option<u64> {
        let open = |one: &&mut Published| one.mandatory && !one.returned && !one.confirmed && *one.route == *route;
        let published = self.published.iter_mut().take(MOST_LOOKED_AT).find(open)?;
        published.returned = true;
        Some(published.tag)
    }

    /// The unconfirmed publish that a publish error closed the channel for: the first to the exchange
    /// that `text` names, else the last.
    pub(super) fn refused(&mut self, text: &str) -> Option<u64> {
        let exchange = text.split_once("exchange '").and_then(|(_, rest)| rest.split('\'').next());
        let to_it = |route: &[u8], exchange: &str| {
            route.strip_prefix(exchange.as_bytes()).is_some_and(|key| matches!(key, [] | [b'/', ..]))
        };
        let mut open = self.published.iter().filter(|published| !published.confirmed);
        let refused = match exchange {
            Some(exchange) => open.find(|published| to_it(&published.route, exchange)),
            None => open.next_back(),
        };
        let tag = refused?.tag;
        self.published.clear();
        Some(tag)
    }

    pub(super) fn confirmed(&mut self, tag: u64, multiple: bool) {
        let index = self.published.partition_point(|published| published.tag < tag);
        if multiple {
            let upto = self.published.get(index).is_some_and(|published| published.tag == tag);
            self.published.drain(..index + usize::from(upto));
        } else if let Some(published) = self.published.get_mut(index).filter(|published| published.tag == tag) {
            published.confirmed = true;
        }
        while self.published.front().is_some_and(|published| published.confirmed) {
            self.published.pop_front();
        }
    }

    pub(super) fn consumes(&mut self, tag: String, no_ack: bool) {
        if self.consumers.len() < MOST {
            self.consumers.insert(tag, no_ack);
        }
    }

    /// Whether this consumer's deliveries need no acknowledgement, as far as is known.
    pub(super) fn needs_no_ack(&self, consumer: &str) -> bool {
        self.consumers.get(consumer).copied().unwrap_or(false)
    }

    pub(super) fn got(&mut self, tag: u64, got: Got) {
        if self.got.len() < MOST {
            self.got.insert(tag, got);
        }
    }

    /// Messages of basic.get that a settlement covers, and whether it covers nothing else for certain.
    pub(super) fn settled(&mut self, tag: u64, multiple: bool) -> Vec<Got> {
        if !multiple {
            return self.got.remove(&tag).into_iter().collect();
        }
        let above = self.got.split_off(&tag.saturating_add(1));
        std::mem::replace(&mut self.got, above).into_values().collect()
    }

    /// Bytes were lost in `direction`.
    pub(super) fn lost(&mut self, direction: Direction) {
        for asked in self.asked.iter_mut().flatten() {
            asked.stale = true;
        }
        if direction == Direction::ClientToServer {
            self.confirm_lost = true;
        }
    }

    pub(super) fn held(&self) -> usize {
        let content: usize = self.content.iter().flatten().map(|content| content.message.body.len() + 512).sum();
        let asked: usize = self.asked.iter().map(|queue| queue.len() * 128).sum();
        content + asked + self.published.len() * 64 + self.got.len() * 96 + self.consumers.len() * 64
    }
}
