//! Records that wait for the owners of their connection: packets name no process, and whoever finds
//! it needs a moment.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use l7trace_event::{Process, Tuple};
use l7trace_exchange::{Connection, ConnectionRecord, Exchange};

/// How long the first records of a connection wait, so that they can name its processes. What is
/// known then is known; a line is no later than this.
pub(crate) const NAMING: Duration = Duration::from_millis(25);

/// How long a record waits where only its owner can tell whether it is wanted.
pub(crate) const DECIDING: Duration = Duration::from_secs(2);

/// How many bytes of records may wait, about.
const MOST_HELD: usize = 8 << 20;

/// Connections of which it is remembered that they have waited.
const REMEMBERED: usize = 1 << 16;

/// A record with everything of its own.
#[derive(Debug)]
pub(crate) enum Held {
    Exchange(Box<Exchange>),
    Connection(Box<ConnectionRecord>),
}

/// The records that wait, in order.
#[derive(Default)]
pub(crate) struct Holding {
    queue: VecDeque<Entry>,
    bytes: usize,
    /// When the first record of a connection came that could not name its processes.
    first: HashMap<u64, Instant>,
}

struct Entry {
    until: Instant,
    held: Held,
}

impl Held {
    pub(crate) fn connection(&self) -> &Arc<Connection> {
        match self {
            Held::Exchange(exchange) => &exchange.connection,
            Held::Connection(record) => &record.connection,
        }
    }

    fn connection_mut(&mut self) -> &mut Connection {
        Arc::make_mut(match self {
            Held::Exchange(exchange) => &mut exchange.connection,
            Held::Connection(record) => &mut record.connection,
        })
    }

    /// What it takes in memory, about.
    fn size(&self) -> usize {
        const RECORD: usize = 1024;
        match self {
            Held::Exchange(exchange) => {
                let messages = [&exchange.request, &exchange.response];
                RECORD + messages.into_iter().flatten().map(|message| message.heap_bytes()).sum::<usize>()
            }
            Held::Connection(_) => RECORD,
        }
    }
}

impl Holding {
    /// Whether something of this connection waits: what comes after it must not pass it by.
    pub(crate) fn has(&self, connection: u64) -> bool {
        self.queue.iter().any(|entry| entry.held.connection().number == connection)
    }

    /// How long a record of this connection is to wait from now on, where one may wait for `most`
    /// after its first record; none where that is over.
    pub(crate) fn patience(&mut self, connection: &Connection, most: Duration) -> Option<Instant> {
        if self.first.len() >= REMEMBERED {
            self.first.clear();
        }
        let now = Instant::now();
        let until = *self.first.entry(connection.number).or_insert(now) + most;
        (until > now).then_some(until)
    }

    pub(crate) fn hold(&mut self, held: Held, until: Instant) {
        self.bytes += held.size();
        self.queue.push_back(Entry { until, held });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The owner of the tuple's source is known now.
    pub(crate) fn owner(&mut self, tuple: &Tuple, process: &Arc<Process>) {
        for entry in &mut self.queue {
            let ends = entry.held.connection();
            let ends = (ends.client.endpoint, ends.server.endpoint);
            if ends == (tuple.source, tuple.destination) {
                entry.held.connection_mut().client.process = Some(Arc::clone(process));
            } else if ends == (tuple.destination, tuple.source) {
                entry.held.connection_mut().server.process = Some(Arc::clone(process));
            }
        }
    }

    /// Takes out, in order, what is not to wait any longer; all of it where `all` is said.
    /// `is_ready` tells of a record whether it has what it waited for.
    pub(crate) fn release(&mut self, all: bool, mut is_ready: impl FnMut(&Held) -> bool) -> Vec<Held> {
        let mut released = Vec::new();
        let mut waiting = HashSet::new();
        let now = Instant::now();
        let bytes = &mut self.bytes;
        let mut index = 0;
        while let Some(entry) = self.queue.get(index) {
            let connection = entry.held.connection().number;
            let over = all || *bytes > MOST_HELD || entry.until <= now;
            if !waiting.contains(&connection) && (over || is_ready(&entry.held)) {
                let Some(entry) = self.queue.remove(index) else { break };
                *bytes -= entry.held.size();
                released.push(entry.held);
            } else {
                waiting.insert(connection);
                index += 1;
            }
        }
        released
    }
}

/// Whether both ends' processes are known.
pub(crate) fn is_named(connection: &Connection) -> bool {
    connection.client.process.is_some() && connection.server.process.is_some()
}
