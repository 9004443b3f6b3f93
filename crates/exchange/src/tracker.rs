//! The sink that turns every connection's bytes into records.

use l7trace_event::{Side, SourceKind, Unneeded};
use l7trace_protocol::{Outbox, Settings};
use l7trace_stream::{Again, Closed, Delivered, Delivery, Facts, Sink};

use crate::conversation::Conversation;
use crate::{Exchange, Record};

/// Who is given the records.
pub trait Receiver {
    /// One record; what is needed beyond the call must be copied.
    fn record(&mut self, record: &Record<'_>);
}

impl<F: FnMut(&Record<'_>)> Receiver for F {
    fn record(&mut self, record: &Record<'_>) {
        self(record);
    }
}

/// What users may set.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Of parsing.
    pub settings: Settings,
    /// Whether a record is made for each connection.
    pub connections: bool,
    /// Whether to find out what nobody needs, for [`Tracker::take_unneeded`].
    pub spares: bool,
}

/// Reads every connection and gives what it understood to a [`Receiver`].
pub struct Tracker<R> {
    options: Options,
    outbox: Outbox,
    receiver: R,
    witnesses: Vec<SourceKind>,
    unneeded: Vec<Unneeded>,
    unrecognised_connections: u64,
    unrecognised_bytes: u64,
}

impl<R: Receiver> Tracker<R> {
    /// With these options, for this receiver.
    pub fn new(options: Options, receiver: R) -> Tracker<R> {
        Tracker {
            options,
            outbox: Outbox::default(),
            receiver,
            witnesses: Vec::new(),
            unneeded: Vec::new(),
            unrecognised_connections: 0,
            unrecognised_bytes: 0,
        }
    }

    /// The receiver.
    pub fn receiver(&mut self) -> &mut R {
        &mut self.receiver
    }

    /// What the sources need not copy, found since the last call.
    pub fn take_unneeded(&mut self) -> Vec<Unneeded> {
        std::mem::take(&mut self.unneeded)
    }

    /// The receiver, at the end.
    pub fn into_receiver(self) -> R {
        self.receiver
    }

    /// How many connections that are over turned out to speak no known protocol, and their bytes.
    pub fn unrecognised(&self) -> (u64, u64) {
        (self.unrecognised_connections, self.unrecognised_bytes)
    }
}

impl<R: Receiver> Sink for Tracker<R> {
    type State = Conversation;

    fn opened(&mut self, _facts: &Facts) -> Conversation {
        Conversation::new()
    }

    fn deliver(&mut self, facts: &Facts, state: &mut Conversation, delivery: Delivery<'_>) {
        let mut emit = Emit {
            outbox: &mut self.outbox,
            receiver: &mut self.receiver,
            witnesses: &mut self.witnesses,
            source: delivery.source,
        };
        if let Delivered::Bytes(bytes) = delivery.what {
            state.saw(delivery.witness, delivery.from, delivery.position, bytes.len() as u64, delivery.at);
        }
        state.push(facts, delivery, &self.options, &mut emit);
    }

    fn witnessed(&mut self, _facts: &Facts, state: &mut Conversation, again: Again) {
        state.saw(again.witness, again.from, again.position, again.length, again.at);
    }

    fn closed(&mut self, facts: &Facts, state: Conversation, closed: Closed) {
        if state.protocol().is_none() {
            let bytes: u64 = facts.ledgers.iter().map(|ledger| ledger.seen).sum();
            self.unrecognised_connections += u64::from(bytes > 0);
            self.unrecognised_bytes += bytes;
        }
        let source = facts.witnesses().next().unwrap_or(SourceKind::File);
        let mut emit =
            Emit { outbox: &mut self.outbox, receiver: &mut self.receiver, witnesses: &mut self.witnesses, source };
        if let Some(record) = state.close(facts, closed, &self.options, &mut emit) {
            self.receiver.record(&Record::Connection(&record));
        }
    }

    fn held(&self, state: &Conversation) -> usize {
        state.held()
    }

    #[inline]
    fn unneeded(&self, state: &Conversation, from: Side) -> u64 {
        if self.options.spares { state.unneeded(from) } else { 0 }
    }

    fn spare(&mut self, unneeded: Unneeded) {
        self.unneeded.push(unneeded);
    }
}

/// Where a conversation puts what it has put together.
pub(crate) struct Emit<'a> {
    pub(crate) outbox: &'a mut Outbox,
    receiver: &'a mut dyn Receiver,
    witnesses: &'a mut Vec<SourceKind>,
    /// Whose clock the times come from.
    pub(crate) source: SourceKind,
}

impl Emit<'_> {
    /// An empty vector that has its allocation already.
    pub(crate) fn spare_witnesses(&mut self) -> Vec<SourceKind> {
        std::mem::take(self.witnesses)
    }

    /// Hands an exchange over and takes its parts back for reuse.
    pub(crate) fn exchange(&mut self, mut exchange: Exchange) {
        self.receiver.record(&Record::Exchange(&exchange));
        for message in [exchange.request.take(), exchange.response.take()].into_iter().flatten() {
            self.outbox.recycle(message);
        }
        exchange.witnesses.clear();
        *self.witnesses = exchange.witnesses;
    }
}
