//! What becomes of each record: filtered, counted, formatted.

use std::time::Instant;

use l7trace_event::{Endpoint, Process, SourceKind};
use l7trace_exchange::{Exchange, Kind, Receiver, Record, Statistics};
use l7trace_output::Output;

use crate::owner_filter::OwnerFilter;
use crate::writer::Writer;

/// Takes records from the tracker to the writer.
pub(crate) struct Emitter {
    output: Box<dyn Output>,
    writer: Writer,
    /// Only connections of these owners.
    owners: Option<OwnerFilter>,
    /// Only these protocols; all where empty.
    protocols: Vec<String>,
    /// How many more exchanges and messages to report.
    remaining: Option<u64>,
    statistics: Statistics,
    /// How many exchanges and messages were reported, and when the last one was.
    reported: (u64, Option<Instant>),
    reported_before: u64,
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
        let protocol = exchange.request.as_ref().or(exchange.response.as_ref()).map_or("", |message| message.protocol);
        if !self.protocols.is_empty() && !self.protocols.iter().any(|name| name == protocol) {
            return;
        }
        match self.owners.as_mut().map(|owners| owners.decide(&exchange.connection, &exchange.witnesses)) {
            Some(Some(false)) => return,
            Some(None) => {
                let mut bytes = Vec::new();
                self.output.write(&Record::Exchange(exchange), &mut bytes);
                if let Some(owners) = &mut self.owners {
                    owners.hold(&exchange.connection, bytes);
                }
                return;
            }
            Some(Some(true)) | None => {}
        }
        match &mut self.remaining {
            Some(0) => return,
            Some(remaining) if exchange.kind != Kind::Transaction => *remaining -= 1,
            _ => {}
        }
        self.statistics.add(exchange);
        self.reported.0 += 1;
        self.write(&Record::Exchange(exchange));
    }

    /// The owner of an end is known now: what waited for that is written.
    pub(crate) fn owner(&mut self, end: Endpoint, process: &Process, teller: SourceKind) {
        if let Some(owners) = &mut self.owners {
            owners.owner(end, process, teller, self.writer.buffer());
        }
    }

    fn write(&mut self, record: &Record<'_>) {
        if self.writer.has_room() {
            self.output.write(record, self.writer.buffer());
        }
    }
}

impl Receiver for Emitter {
    fn record(&mut self, record: &Record<'_>) {
        match record {
            Record::Exchange(exchange) => self.exchange(exchange),
            Record::Connection(connection) => {
                let wanted = self.protocols.is_empty()
                    || connection.protocol.is_some_and(|name| self.protocols.iter().any(|wanted| wanted == name));
                let owned = self
                    .owners
                    .as_mut()
                    .is_none_or(|owners| owners.decide(&connection.connection, &connection.witnesses) == Some(true));
                if wanted && owned {
                    self.write(record);
                }
            }
            Record::Summary(_) => self.write(record),
        }
    }
}
