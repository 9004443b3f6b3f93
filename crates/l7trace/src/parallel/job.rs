//! What one worker is to do with one round of deliveries.

use std::sync::Arc;

use l7trace_capture::Batch;
use l7trace_event::{Cause, Side, Timestamp, Witness};
use l7trace_stream::{Again, Closed, Delivered, Delivery, Ending, Facts};

/// Deliveries of a worker's connections, in order, and where their bytes are.
#[derive(Default)]
pub(super) struct Job {
    /// Jobs of one round have the same; rounds are counted.
    pub(super) round: u64,
    pub(super) items: Vec<Item>,
    /// Where most bytes are.
    pub(super) batch: Option<Arc<Batch>>,
    /// Bytes that are not in the batch: they waited for others.
    pub(super) own: Vec<u8>,
    /// What the worker made of it: records, one after another.
    pub(super) output: Vec<u8>,
    /// The order of the delivery that completed records, and where these end in `output`.
    pub(super) marks: Vec<(u32, usize)>,
}

/// One thing to do. `slot` is the connection's, among those of the worker.
pub(super) enum Item {
    Open {
        slot: u32,
        facts: Box<Facts>,
    },
    /// What is known of the connection has changed.
    Facts {
        slot: u32,
        facts: Box<Facts>,
    },
    Deliver(Told),
    Again {
        slot: u32,
        again: Again,
    },
    Close {
        slot: u32,
        order: u32,
        facts: Box<Facts>,
        why: Closed,
    },
    /// Tell what is held.
    Ask,
}

/// A delivery whose bytes are elsewhere.
pub(super) struct Told {
    pub(super) slot: u32,
    /// Its place among the deliveries of the round, to whichever worker.
    pub(super) order: u32,
    from: Side,
    position: u64,
    at: Timestamp,
    witness: Witness,
    acknowledged: Option<u64>,
    pub(super) last_seen: Timestamp,
    what: What,
}

enum What {
    /// Part of the batch's bytes.
    Batch {
        start: usize,
        length: u32,
    },
    /// Part of the job's own bytes.
    Own {
        start: usize,
        length: u32,
    },
    Gap {
        length: u64,
        cause: Cause,
    },
    End(Ending),
}

impl Job {
    /// Empty, to be filled anew without allocating.
    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.batch = None;
        self.own.clear();
        self.output.clear();
        self.marks.clear();
    }

    /// Adds a delivery.
    pub(super) fn deliver(
        &mut self,
        slot: u32,
        order: u32,
        last_seen: Timestamp,
        delivery: &Delivery<'_>,
        batch: Option<&Batch>,
    ) {
        let what = match delivery.what {
            Delivered::Bytes(bytes) => self.keep(bytes, batch),
            Delivered::Gap { length, cause } => What::Gap { length, cause },
            Delivered::End(ending) => What::End(ending),
        };
        self.items.push(Item::Deliver(Told {
            slot,
            order,
            from: delivery.from,
            position: delivery.position,
            at: delivery.at,
            witness: delivery.witness,
            acknowledged: delivery.acknowledged,
            last_seen,
            what,
        }));
    }

    /// Where bytes can be found later: nearly always where they are now.
    fn keep(&mut self, bytes: &[u8], batch: Option<&Batch>) -> What {
        // One delivery is at most one captured record, which is far smaller than 4 GB.
        let length = bytes.len() as u32;
        if let Some(batch) = batch {
            let start = bytes.as_ptr().addr().wrapping_sub(batch.bytes.as_ptr().addr());
            if start < batch.bytes.len() && bytes.len() <= batch.bytes.len() - start {
                return What::Batch { start, length };
            }
        }
        let start = self.own.len();
        self.own.extend_from_slice(bytes);
        What::Own { start, length }
    }

    /// The delivery as it was made.
    pub(super) fn delivery(&self, told: &Told) -> Delivery<'_> {
        let what = match told.what {
            What::Batch { start, length } => {
                Delivered::Bytes(self.batch.as_ref().map_or(&[], |batch| part(&batch.bytes, start, length)))
            }
            What::Own { start, length } => Delivered::Bytes(part(&self.own, start, length)),
            What::Gap { length, cause } => Delivered::Gap { length, cause },
            What::End(ending) => Delivered::End(ending),
        };
        Delivery {
            from: told.from,
            position: told.position,
            at: told.at,
            source: told.witness.source,
            witness: told.witness,
            acknowledged: told.acknowledged,
            what,
        }
    }
}

fn part(bytes: &[u8], start: usize, length: u32) -> &[u8] {
    bytes.get(start..start + length as usize).unwrap_or_default()
}
