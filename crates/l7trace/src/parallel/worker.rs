//! Reads some of the connections, and makes records of what they say.

use std::sync::mpsc::{Receiver, Sender, SyncSender};

use l7trace_exchange::{Exchange, Options, Receiver as Records, Record, Statistics, Tracker};
use l7trace_output::Output;
use l7trace_stream::{Facts, Holding, Sink};

use super::collector::Came;
use super::job::{Item, Job};
use crate::emitter::is_among;

/// What a worker is.
pub(super) struct Worker {
    tracker: Tracker<Recorder>,
    connections: Vec<Option<Box<Connection>>>,
    /// Those that were told something since it was asked what they hold.
    listed: Vec<u32>,
}

struct Connection {
    facts: Facts,
    state: <Tracker<Recorder> as Sink>::State,
    listed: bool,
}

/// Formats records into a job's output.
struct Recorder {
    output: Box<dyn Output>,
    protocols: Vec<String>,
    statistics: Statistics,
    buffer: Vec<u8>,
}

/// What a worker counted.
pub(super) struct Tally {
    pub(super) statistics: Statistics,
    pub(super) unrecognised: (u64, u64),
}

/// Does jobs until none comes any more.
pub(super) fn run(
    mut worker: Worker,
    jobs: &Receiver<Job>,
    done: &SyncSender<Came>,
    report: &Sender<Vec<Holding>>,
) -> Tally {
    for mut job in jobs {
        worker.work(&mut job, report);
        if done.send(Came::Done(job)).is_err() {
            break;
        }
    }
    let unrecognised = worker.tracker.unrecognised();
    Tally { statistics: worker.tracker.into_receiver().statistics, unrecognised }
}

impl Worker {
    pub(super) fn new(options: Options, output: Box<dyn Output>, protocols: Vec<String>) -> Worker {
        let recorder = Recorder { output, protocols, statistics: Statistics::default(), buffer: Vec::new() };
        Worker { tracker: Tracker::new(options, recorder), connections: Vec::new(), listed: Vec::new() }
    }

    fn work(&mut self, job: &mut Job, report: &Sender<Vec<Holding>>) {
        std::mem::swap(&mut self.tracker.receiver().buffer, &mut job.output);
        let mut written = 0;
        let items = std::mem::take(&mut job.items);
        for item in &items {
            let order = match item {
                Item::Deliver(told) => {
                    let Some(connection) = at(&mut self.connections, told.slot) else { continue };
                    connection.facts.last_seen = told.last_seen;
                    if !std::mem::replace(&mut connection.listed, true) {
                        self.listed.push(told.slot);
                    }
                    self.tracker.deliver(&connection.facts, &mut connection.state, job.delivery(told));
                    told.order
                }
                Item::Open { slot, facts } => {
                    let state = self.tracker.opened(facts);
                    let slot = *slot as usize;
                    if self.connections.len() <= slot {
                        self.connections.resize_with(slot + 1, || None);
                    }
                    self.connections[slot] =
                        Some(Box::new(Connection { facts: Facts::clone(facts), state, listed: false }));
                    continue;
                }
                Item::Facts { slot, facts } => {
                    if let Some(connection) = at(&mut self.connections, *slot) {
                        connection.facts = Facts::clone(facts);
                    }
                    continue;
                }
                Item::Again { slot, again } => {
                    if let Some(connection) = at(&mut self.connections, *slot) {
                        self.tracker.witnessed(&connection.facts, &mut connection.state, *again);
                    }
                    continue;
                }
                Item::Close { slot, order, facts, why } => {
                    let connection = self.connections.get_mut(*slot as usize).and_then(Option::take);
                    if let Some(connection) = connection {
                        self.tracker.closed(facts, connection.state, *why);
                    }
                    *order
                }
                Item::Ask => {
                    // Nobody hears it where the whole is about to end.
                    let _ = report.send(self.holdings());
                    continue;
                }
            };
            let length = self.tracker.receiver().buffer.len();
            if length > written {
                written = length;
                job.marks.push((order, length));
            }
        }
        job.items = items;
        std::mem::swap(&mut self.tracker.receiver().buffer, &mut job.output);
    }

    fn holdings(&mut self) -> Vec<Holding> {
        let mut holdings = Vec::with_capacity(self.listed.len());
        for slot in self.listed.drain(..) {
            if let Some(connection) = at(&mut self.connections, slot)
                && std::mem::take(&mut connection.listed)
            {
                let Facts { number, place, .. } = connection.facts;
                holdings.push(Holding { number, place, bytes: self.tracker.held(&connection.state) });
            }
        }
        holdings
    }
}

fn at(connections: &mut [Option<Box<Connection>>], slot: u32) -> Option<&mut Connection> {
    connections.get_mut(slot as usize)?.as_deref_mut()
}

impl Recorder {
    fn exchange(&mut self, exchange: &Exchange) -> bool {
        let wanted = is_among(&self.protocols, exchange.protocol());
        if wanted {
            self.statistics.add(exchange);
        }
        wanted
    }
}

impl Records for Recorder {
    fn record(&mut self, record: &Record<'_>) {
        let wanted = match record {
            Record::Exchange(exchange) => self.exchange(exchange),
            Record::Connection(connection) => is_among(&self.protocols, connection.protocol),
            Record::Summary(_) => true,
        };
        if wanted {
            self.output.write(record, &mut self.buffer);
        }
    }
}
