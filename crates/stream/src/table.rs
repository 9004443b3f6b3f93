use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::mem;
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashTable};
use l7trace_event::{Cause, ConnectionKey, Event, Flags, Ledger, Segment, Side, Timestamp, What};

use crate::afterlife::Afterlife;
use crate::connection::{Connection, Context};
use crate::foreknown::Foreknown;
use crate::intake::Verdict;
use crate::now::{FAR, Now};
use crate::roster::Roster;
use crate::{Closed, Evictions, Facts, Holding, Limits, Sink};

/// The connections, and what is needed to put their bytes in order.
///
/// Takes events in the order in which they come and gives everything to a [`Sink`]. Neither the
/// order of the connections in memory nor the hash of a key has any influence on what the sink is
/// given: the same events give the same deliveries.
pub struct Table<S: Sink> {
    limits: Limits,
    hasher: DefaultHashBuilder,
    /// Places in the roster, by the hash of the connection's key.
    index: HashTable<u32>,
    roster: Roster<Connection<S::State>>,
    /// Connections in which something waits, by when it is to be given up.
    deadlines: BTreeSet<(Timestamp, u32)>,
    afterlife: Afterlife,
    foreknown: Foreknown,
    /// What all connections hold.
    held: usize,
    /// Connections whose holding in the sink may have changed since that was asked.
    listed: Vec<u32>,
    /// What the sink held when it was last asked: counted when it is asked again.
    asked: Vec<Holding>,
    /// What came since the sink was asked, and how much that may be.
    unasked: usize,
    ask_after: usize,
    opened: u64,
    evictions: Evictions,
    /// The account of the connections that are over.
    closed: Ledger,
    ring_full: Option<Timestamp>,
    now: Now,
    /// When it was last looked what has waited too long.
    looked: Timestamp,
    strays: u64,
}

/// How often, in event time, it is looked what has waited too long.
const TICK: Duration = Duration::from_millis(5);

/// The sink is asked what it holds whenever a 64th of the limit came, within these bounds, each
/// segment counting [`WEIGHT_OF_SEGMENT`] more. Its answer counts at the next time: so a sink that works in other
/// threads can be a little behind, and limits still strike at the same places.
const MOST_UNASKED: usize = 1 << 20;
const LEAST_UNASKED: usize = 64 << 10;
const WEIGHT_OF_SEGMENT: usize = 128;

impl<S: Sink> Table<S> {
    /// An empty table.
    pub fn new(limits: Limits) -> Table<S> {
        Table {
            hasher: DefaultHashBuilder::default(),
            index: HashTable::new(),
            roster: Roster::default(),
            deadlines: BTreeSet::new(),
            afterlife: Afterlife::new(&limits),
            foreknown: Foreknown::default(),
            held: 0,
            listed: Vec::new(),
            asked: Vec::new(),
            unasked: 0,
            ask_after: (limits.total_bytes / 64).clamp(LEAST_UNASKED, MOST_UNASKED),
            opened: 0,
            evictions: Evictions::default(),
            closed: Ledger::default(),
            ring_full: None,
            now: Now::default(),
            looked: Timestamp::default(),
            strays: 0,
            limits,
        }
    }

    /// Takes in an event, and delivers what it makes ready; gives up what has waited too long by its
    /// time.
    pub fn push(&mut self, event: &Event<'_>, sink: &mut S) {
        let now = self.now.tell(event.at);
        // Believed times go back only where the one before was wrong.
        if now > self.looked + TICK || now + FAR < self.looked {
            let spared = match event.what {
                What::RingFull { .. } => None,
                _ => self.find(&event.tuple.connection().0),
            };
            self.expire(now, spared, sink);
        }
        if let What::RingFull { .. } = event.what {
            self.ring_full = self.ring_full.max(Some(now));
            return;
        }
        let (key, side) = event.tuple.connection();
        match &event.what {
            What::Segment(segment) => self.segment(event, segment, (&key, side), now, sink),
            What::Owner(owner) => match self.find(&key).and_then(|index| self.roster.get_mut(index)) {
                Some(connection) => connection.facts.owners[side.index()] = Some(owner.clone()),
                None => self.foreknown.owner(key, side, owner.clone()),
            },
            What::Name(name) => match self.find(&key).and_then(|index| self.roster.get_mut(index)) {
                Some(connection) => connection.facts.names[side.index()] = Some(name.clone()),
                None => self.foreknown.name(key, side, name.clone()),
            },
            What::Exists => {
                if self.find(&key).is_none() && !self.afterlife.has(&key) {
                    let index = self.open(&key, event.at, now, sink);
                    if let Some(connection) = self.roster.get_mut(index) {
                        connection.facts.witnessed[event.witness.source as usize] = true;
                    }
                }
            }
            What::RingFull { .. } => {}
        }
    }

    /// Gives up what has waited too long at `now` (a time more than a minute away from the last one
    /// known counts when it is told a second time): holes that were acknowledged past or are too old,
    /// and connections that are idle. To be called now and then where time goes by without events:
    /// on a live host.
    pub fn advance(&mut self, now: Timestamp, sink: &mut S) {
        let now = self.now.tell(now);
        self.expire(now, None, sink);
    }

    /// What time it is, as far as was told and is believed.
    pub fn now(&self) -> Option<Timestamp> {
        self.now.latest()
    }

    /// Gives up what has waited too long at `now`. `spared` goes on just now, and is not idle.
    fn expire(&mut self, now: Timestamp, spared: Option<u32>, sink: &mut S) {
        self.looked = now;
        let later = self.deadlines.split_off(&(Timestamp(now.0.saturating_add(1)), 0));
        for (_, index) in mem::replace(&mut self.deadlines, later) {
            let context = Context { limits: &self.limits, ring_full: self.ring_full };
            let Some(connection) = self.roster.get_mut(index) else { continue };
            connection.queued = None;
            connection.expire(now, context, sink);
            self.settle(index, sink);
        }
        if let Some(spared) = spared.filter(|index| self.roster.get(*index).is_some()) {
            self.roster.touch(spared);
        }
        while let Some(oldest) = self.roster.oldest()
            && Some(oldest) != spared
            && self.roster.get(oldest).is_some_and(|connection| connection.facts.last_seen + self.limits.idle <= now)
        {
            self.evictions.idle += 1;
            self.close(oldest, Closed::Idle, sink);
        }
        self.afterlife.advance(now);
    }

    /// The trace is over: delivers what is left and closes every connection, in the order of their
    /// numbers.
    pub fn finish(&mut self, sink: &mut S) {
        let mut open: Vec<(u64, u32)> =
            self.roster.iter().map(|(index, connection)| (connection.facts.number, index)).collect();
        open.sort_unstable();
        for (_, index) in open {
            self.close(index, Closed::TraceEnded, sink);
        }
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.roster.len()
    }

    /// How many connections there were so far, open ones included.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// How many bytes are held, out of order here and unfinished in the sink; what waits here counts
    /// with what it costs to keep it.
    pub fn buffered(&self) -> usize {
        self.held
    }

    /// What was given up because of a limit.
    pub fn evictions(&self) -> Evictions {
        self.evictions
    }

    /// How many segments were not believed: far from where their connection stands, or telling it
    /// to break off or begin anew without fitting it.
    pub fn strays(&self) -> u64 {
        self.strays
    }

    /// The account of all bytes so far. It is closed only when every connection is.
    pub fn ledger(&self) -> Ledger {
        let mut total = self.closed.clone();
        for facts in self.open_connections() {
            facts.ledgers.iter().for_each(|ledger| total.add(ledger));
        }
        total
    }

    /// The connections that are open, in no order that means anything.
    pub fn open_connections(&self) -> impl Iterator<Item = &Facts> {
        self.roster.iter().map(|(_, connection)| &connection.facts)
    }

    fn segment(
        &mut self,
        event: &Event<'_>,
        segment: &Segment<'_>,
        (key, from): (&ConnectionKey, Side),
        now: Timestamp,
        sink: &mut S,
    ) {
        self.unasked += segment.bytes.len() + WEIGHT_OF_SEGMENT;
        if self.unasked >= self.ask_after {
            self.ask(sink);
        }
        let mut found = self.find(key);
        if let Some(index) = found
            && let Some(connection) = self.roster.get_mut(index)
            && connection.queued.is_some_and(|deadline| deadline <= now)
        {
            let context = Context { limits: &self.limits, ring_full: self.ring_full };
            connection.expire(now, context, sink);
            self.settle(index, sink);
            found = self.find(key);
        }
        let mut index = match found {
            Some(index) => index,
            None => {
                let grace = self.limits.grace;
                // A reset of what is not known tells nothing, and no more does a sighting.
                let tells = !segment.flags.has(Flags::RESET) && !segment.flags.has(Flags::ELSEWHERE);
                if !tells || self.afterlife.claims(key, from, segment, now, grace) {
                    return;
                }
                self.open(key, event.at, now, sink)
            }
        };
        self.roster.touch(index);
        let Some(connection) = self.roster.get_mut(index) else { return };
        match connection.take(event, segment, from, now, sink) {
            Verdict::Taken => {}
            Verdict::Stray => self.strays += 1,
            Verdict::Reused(suspect) => {
                self.close(index, Closed::Reused, sink);
                index = self.open(key, event.at, now, sink);
                let Some(connection) = self.roster.get_mut(index) else { return };
                if let Some((asker, sequence)) = suspect {
                    connection.resume(asker, sequence);
                }
                connection.take(event, segment, from, now, sink);
            }
        }
        self.settle(index, sink);
    }

    /// Draws the consequences of what happened in a connection: its limits, its deadline, its end.
    #[inline]
    fn settle(&mut self, index: u32, sink: &mut S) {
        let Some(connection) = self.roster.get_mut(index) else { return };
        // As it mostly is: nothing waits, and all is counted.
        if connection.is_quiet() {
            if mem::take(&mut connection.told) && !mem::replace(&mut connection.listed, true) {
                self.listed.push(index);
            }
            return;
        }
        if connection.waiting() > self.limits.connection_bytes {
            self.evictions.connection_bytes += 1;
            let context = Context { limits: &self.limits, ring_full: self.ring_full };
            while connection.waiting() > self.limits.connection_bytes
                && connection.force(Cause::BufferLimit, context, sink)
            {}
        }
        if connection.is_over() {
            self.close(index, Closed::Finished, sink);
        } else {
            self.account(index);
        }
        if self.held > self.limits.total_bytes {
            self.shed(sink);
        }
    }

    /// Keeps count of what a connection holds and of its deadline.
    #[inline]
    fn account(&mut self, index: u32) {
        let Some(connection) = self.roster.get_mut(index) else { return };
        if mem::take(&mut connection.told) && !mem::replace(&mut connection.listed, true) {
            self.listed.push(index);
        }
        let deadline = connection.deadline(&self.limits);
        if deadline != connection.queued {
            if let Some(before) = connection.queued {
                self.deadlines.remove(&(before, index));
            }
            if let Some(deadline) = deadline {
                self.deadlines.insert((deadline, index));
            }
            connection.queued = deadline;
        }
        let held = connection.held();
        if held != connection.counted {
            self.held = self.held - connection.counted + held;
            connection.counted = held;
            self.roster.weigh(index, held);
        }
    }

    /// Asks the sink what it holds, and counts what it held when it was asked before.
    #[inline(never)]
    fn ask(&mut self, sink: &mut S) {
        self.unasked = 0;
        let mut now = Vec::with_capacity(self.listed.len());
        for place in self.listed.drain(..) {
            if let Some(connection) = self.roster.get_mut(place)
                && mem::take(&mut connection.listed)
            {
                now.push(Holding { number: connection.facts.number, place, bytes: sink.held(&connection.state) });
            }
        }
        let before = mem::replace(&mut self.asked, now);
        let mut counts = sink.holdings().unwrap_or(before);
        // Whoever it came from: which connection is found to hold most depends on the order.
        counts.sort_unstable();
        for holding in counts {
            let Some(connection) = self.roster.get_mut(holding.place) else { continue };
            if connection.facts.number == holding.number {
                connection.sink_held = holding.bytes;
                self.account(holding.place);
            }
        }
        if self.held > self.limits.total_bytes {
            self.shed(sink);
        }
    }

    /// Makes room: the connection that holds most gives up what it waits for, and is dropped where
    /// that does not help; where all hold little, the one idle for longest is dropped.
    fn shed(&mut self, sink: &mut S) {
        while self.held > self.limits.total_bytes {
            let Some(index) = self.roster.heaviest().or_else(|| self.roster.oldest()) else { return };
            let Some(connection) = self.roster.get_mut(index) else { return };
            self.evictions.total_bytes += 1;
            let before = connection.held();
            let context = Context { limits: &self.limits, ring_full: self.ring_full };
            if connection.waiting() > before / 2 {
                while connection.waiting() > 0 && connection.force(Cause::BufferLimit, context, sink) {}
            }
            // Also one that holds nothing: there may be many that hold little.
            if connection.is_over() || connection.held() >= before.div_ceil(2) {
                self.close(index, Closed::Evicted, sink);
            } else {
                self.account(index);
            }
        }
    }

    fn open(&mut self, key: &ConnectionKey, at: Timestamp, now: Timestamp, sink: &mut S) -> u32 {
        while self.roster.len() >= self.limits.connections.max(1)
            && let Some(oldest) = self.roster.oldest()
        {
            self.evictions.connections += 1;
            self.close(oldest, Closed::Evicted, sink);
        }
        self.opened += 1;
        let mut facts = Facts {
            number: self.opened,
            place: self.roster.next_place(),
            key: *key,
            initiator: None,
            from_start: [false; 2],
            first_seen: at,
            last_seen: now,
            owners: [None, None],
            names: [None, None],
            witnessed: [false; 4],
            ledgers: [Ledger::default(), Ledger::default()],
        };
        self.foreknown.tell(&mut facts);
        let state = sink.opened(&facts);
        let index = self.roster.insert(Box::new(Connection::new(facts, state)));
        let (hasher, roster) = (&self.hasher, &self.roster);
        self.index.insert_unique(hasher.hash_one(key), index, |index| hash_of(hasher, roster, *index));
        index
    }

    /// Closes a connection, for this reason unless it is known how both its directions ended.
    fn close(&mut self, index: u32, why: Closed, sink: &mut S) {
        let Some(mut connection) = self.roster.remove(index) else { return };
        let hash = self.hasher.hash_one(connection.facts.key);
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == index) {
            entry.remove();
        }
        if let Some(deadline) = connection.queued {
            self.deadlines.remove(&(deadline, index));
        }
        self.held -= connection.counted;
        let cause = if why == Closed::Evicted { Cause::Evicted } else { Cause::NotCaptured };
        let context = Context { limits: &self.limits, ring_full: self.ring_full };
        connection.flush(cause, context, sink);
        let why = connection.how_over().unwrap_or(why);
        connection.facts.ledgers.iter().for_each(|ledger| self.closed.add(ledger));
        if matches!(why, Closed::Finished | Closed::Reset) {
            self.afterlife.bury(&connection);
        }
        let Connection { facts, state, .. } = *connection;
        sink.closed(&facts, state, why);
    }

    #[inline]
    fn find(&self, key: &ConnectionKey) -> Option<u32> {
        let is_it = |index: &u32| self.roster.get(*index).is_some_and(|connection| connection.facts.key == *key);
        // Mostly it is the one that was used last: its other direction, or a second witness.
        if let Some(newest) = self.roster.newest().filter(is_it) {
            return Some(newest);
        }
        self.index.find(self.hasher.hash_one(key), is_it).copied()
    }
}

fn hash_of<State>(hasher: &DefaultHashBuilder, roster: &Roster<Connection<State>>, index: u32) -> u64 {
    roster.get(index).map_or(0, |connection| hasher.hash_one(connection.facts.key))
}
