//! What becomes of each record: filtered, counted, formatted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use l7trace_event::{Process, SourceKind, Tuple};
use l7trace_exchange::{Connection, Exchange, Kind, Receiver, Record, Statistics};
use l7trace_output::Output;

use crate::holding::{DECIDING, Held, Holding, NAMING, is_named};
use crate::owner_filter::OwnerFilter;
use crate::writer::Writer;

/// Takes records from the tracker to the writer.
pub(crate) struct Emitter {
    output: Box<dyn Output>,
    writer: Writer,
    /// Only connections of these owners.
    owners: Option<OwnerFilter>,
    /// Records that wait for owners.
    holding: Holding,
    names_come_late: bool,
    ownerless: u64,
    /// Only these protocols; all where empty.
    protocols: Vec<String>,
    /// How many more exchanges and messages to report.
    remaining: Option<u64>,
    statistics: Statistics,
    /// How many exchanges and messages were reported, and when the last one was.
    reported: (u64, Option<Instant>),
    reported_before: u64,
}

/// Whether a record has to wait.
enum Wait {
    No,
    Until(Instant),
    Unwanted,
}

impl Emitter {
    pub(crate) fn new(
        output: Box<dyn Output>,
        writer: Writer,
        owners: Option<OwnerFilter>,
        protocols: Vec<String>,
        count: Option<u64>,
    ) -> Emitter {
        Emitter {
            output,
            writer,
            owners,
            holding: Holding::default(),
            names_come_late: false,
            ownerless: 0,
            protocols,
            remaining: count,
            statistics: Statistics::default(),
            reported: (0, None),
            reported_before: 0,
        }
    }

    /// How many were reported, and when the last one was, within the time between two calls.
    pub(crate) fn reported(&mut self) -> (u64, Option<Instant>) {
        if self.reported.0 != self.reported_before {
            self.reported_before = self.reported.0;
            self.reported.1 = Some(Instant::now());
        }
        self.reported
    }

    /// Whether everything that was asked for is reported, or nobody reads any more.
    pub(crate) fn is_done(&self) -> bool {
        self.remaining == Some(0) || self.writer.is_closed()
    }

    pub(crate) fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    pub(crate) fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }

    fn exchange(&mut self, exchange: &Exchange) {
        if !is_among(&self.protocols, exchange.protocol()) {
            return;
        }
        let wait = self.wait(&exchange.connection, &exchange.witnesses);
        match wait {
            Wait::Unwanted => {}
            Wait::Until(until) => self.holding.hold(Held::Exchange(Box::new(exchange.clone())), until),
            Wait::No => self.report(exchange),
        }
    }

    /// Whether a record is to wait for the owners of its connection.
    fn wait(&mut self, connection: &Connection, witnesses: &[SourceKind]) -> Wait {
        let decision = self.owners.as_mut().map_or(Some(true), |owners| owners.decide(connection, witnesses));
        let patience = match decision {
            Some(false) => return Wait::Unwanted,
            None => DECIDING,
            Some(true) if self.names_come_late && !is_named(connection) => NAMING,
            Some(true) => Duration::ZERO,
        };
        if patience > Duration::ZERO
            && let Some(until) = self.holding.patience(connection, patience)
        {
            return Wait::Until(until);
        }
        if decision.is_none() {
            self.leave_out(connection);
            return Wait::Unwanted;
        }
        if !self.holding.is_empty() && self.holding.has(connection.number) {
            return Wait::Until(Instant::now());
        }
        Wait::No
    }

    /// Nobody can tell whether a record is wanted. Where one end is known, it is not: the other one is
    /// another host's.
    fn leave_out(&mut self, connection: &Connection) {
        let unknown = connection.client.process.is_none() && connection.server.process.is_none();
        self.ownerless += u64::from(unknown);
    }

    /// Lets go what need not wait any longer; everything where `all` is said.
    pub(crate) fn release(&mut self, all: bool) {
        if self.holding.is_empty() {
            return;
        }
        let (owners, late) = (&mut self.owners, self.names_come_late);
        let ready = |held: &Held| match decide(owners.as_mut(), held) {
            None => false,
            Some(wanted) => !wanted || !late || is_named(held.connection()),
        };
        for held in self.holding.release(all, ready) {
            match (decide(self.owners.as_mut(), &held), &held) {
                (Some(false), _) => {}
                (None, held) => self.leave_out(held.connection()),
                (Some(true), Held::Exchange(exchange)) => self.report(exchange),
                (Some(true), Held::Connection(record)) => self.write(&Record::Connection(record)),
            }
        }
    }

    fn report(&mut self, exchange: &Exchange) {
        match &mut self.remaining {
            Some(0) => return,
            Some(remaining) if exchange.kind != Kind::Transaction => *remaining -= 1,
            _ => {}
        }
        self.statistics.add(exchange);
        self.reported.0 += 1;
        self.write(&Record::Exchange(exchange));
    }

    /// The owner of the tuple's source is known now.
    pub(crate) fn owner(&mut self, tuple: &Tuple, process: &Arc<Process>) {
        if let Some(owners) = &mut self.owners {
            // Its ancestors are asked for now: it may be gone when its exchange ends.
            owners.note(process);
        }
        self.holding.owner(tuple, process);
    }

    /// Whether records wait for owners.
    pub(crate) fn holds(&self) -> bool {
        !self.holding.is_empty()
    }

    /// Processes become known a moment after their packets: first records are to wait for them.
    pub(crate) fn names_come_late(&mut self) {
        self.names_come_late = true;
    }

    /// Records that were left out since nobody could tell in time whose they are.
    pub(crate) fn ownerless(&self) -> u64 {
        self.ownerless
    }

    fn write(&mut self, record: &Record<'_>) {
        if self.writer.has_room() {
            self.output.write(record, self.writer.buffer());
        }
    }
}

/// What the filter says of a record, where there is one.
fn decide(owners: Option<&mut OwnerFilter>, held: &Held) -> Option<bool> {
    let Some(owners) = owners else { return Some(true) };
    match held {
        Held::Exchange(exchange) => owners.decide(&exchange.connection, &exchange.witnesses),
        Held::Connection(record) => owners.decide(&record.connection, &record.witnesses),
    }
}

/// Whether something of this protocol is wanted; all is where no protocols are named.
pub(crate) fn is_among(protocols: &[String], protocol: Option<&str>) -> bool {
    protocols.is_empty() || protocol.is_some_and(|name| protocols.iter().any(|wanted| wanted == name))
}

impl Receiver for Emitter {
    fn record(&mut self, record: &Record<'_>) {
        match record {
            Record::Exchange(exchange) => self.exchange(exchange),
            Record::Connection(connection) => {
                if !is_among(&self.protocols, connection.protocol) {
                    return;
                }
                match self.wait(&connection.connection, &connection.witnesses) {
                    Wait::Unwanted => {}
                    Wait::Until(until) => self.holding.hold(Held::Connection(Box::new((*connection).clone())), until),
                    Wait::No => self.write(record),
                }
            }
            Record::Summary(_) => self.write(record),
        }
    }
}
