//! A sink that keeps everything it is given, and holds the table to what it promises.

use std::collections::HashMap;
use std::fmt::Write as _;

use l7trace_event::{Side, Timestamp};
use l7trace_stream::{Again, Closed, Delivered, Delivery, Ending, Facts, Limits, Sink, Table};

use crate::told::Told;

/// What a table delivered.
#[derive(Debug, Default)]
pub struct Listener {
    /// Everything, one line each: `1 A 0 "abc"`, `1 A 3 gap 5 not_captured`, `1 A 8 end closed`,
    /// `1 over closed`; the number is the connection's, the next one the position.
    pub lines: Vec<String>,
    /// By connection and side: the bytes, with none where there was a gap.
    pub bytes: HashMap<(u64, Side), Vec<Option<u8>>>,
    /// The facts of connections that are over.
    pub over: Vec<(Facts, Closed)>,
    /// What was seen again.
    pub again: Vec<Again>,
    /// What the sink pretends to hold of each connection's bytes, in percent.
    pub held_percent: usize,
    /// Whether `lines` and `bytes` are kept at all.
    pub forgetful: bool,
}

/// What [`Listener`] keeps for a connection.
#[derive(Debug, Default)]
pub struct Heard {
    positions: [u64; 2],
    ended: [bool; 2],
    last: [Timestamp; 2],
    held: usize,
}

impl Sink for Listener {
    type State = Heard;

    fn opened(&mut self, facts: &Facts) -> Heard {
        assert!(facts.number > 0, "connections are numbered from 1");
        Heard::default()
    }

    fn deliver(&mut self, facts: &Facts, state: &mut Heard, delivery: Delivery<'_>) {
        let side = delivery.from.index();
        assert!(!state.ended[side], "nothing comes after the end of a direction");
        assert_eq!(delivery.position, state.positions[side], "deliveries are contiguous");
        assert_eq!(delivery.source, delivery.witness.source);
        state.last[side] = delivery.at;
        let what = match delivery.what {
            Delivered::Bytes(bytes) => {
                assert!(!bytes.is_empty(), "bytes are never empty");
                state.positions[side] += bytes.len() as u64;
                state.held += bytes.len() * self.held_percent / 100;
                if self.forgetful {
                    return;
                }
                let all = self.bytes.entry((facts.number, delivery.from)).or_default();
                all.extend(bytes.iter().copied().map(Some));
                format!("{:?}", String::from_utf8_lossy(bytes))
            }
            Delivered::Gap { length, cause } => {
                assert!(length > 0, "gaps are never empty");
                state.positions[side] += length;
                if self.forgetful {
                    return;
                }
                if length < 1 << 24 {
                    let all = self.bytes.entry((facts.number, delivery.from)).or_default();
                    all.extend(std::iter::repeat_n(None, length as usize));
                }
                format!("gap {length} {}", cause.name())
            }
            Delivered::End(ending) => {
                state.ended[side] = true;
                let ending = match ending {
                    Ending::Closed => "closed",
                    Ending::Reset => "reset",
                    Ending::Unknown => "unknown",
                };
                format!("end {ending}")
            }
        };
        if self.forgetful {
            return;
        }
        let mut line = format!("{} {:?} {} {what}", facts.number, delivery.from, delivery.position);
        if let Some(acknowledged) = delivery.acknowledged {
            let _ = write!(line, " ack {acknowledged}");
        }
        let _ = write!(line, " at {}", delivery.at.0 / 1_000_000);
        self.lines.push(line);
    }

    fn closed(&mut self, facts: &Facts, state: Heard, closed: Closed) {
        assert_eq!(state.ended, [true; 2], "both directions end before the connection does");
        for side in Side::BOTH {
            let ledger = &facts.ledgers[side.index()];
            assert!(ledger.is_closed(), "the ledger of connection {} {side:?} is open: {ledger:?}", facts.number);
            let moved = ledger.accounted();
            assert_eq!(moved, state.positions[side.index()], "the ledger counts what was delivered");
        }
        if !self.forgetful {
            self.lines.push(format!("{} over {}", facts.number, closed.name()));
            self.over.push((facts.clone(), closed));
        }
    }

    fn held(&self, state: &Heard) -> usize {
        state.held
    }

    fn witnessed(&mut self, _: &Facts, _: &mut Heard, again: Again) {
        assert!(again.length > 0);
        if !self.forgetful {
            self.again.push(again);
        }
    }
}

/// One step of a test: an event, or that time went by.
#[derive(Clone, Debug)]
pub enum Step {
    /// An event.
    Event(Told),
    /// The table is told the time, in milliseconds.
    Advance(u64),
}

impl From<Told> for Step {
    fn from(told: Told) -> Step {
        Step::Event(told)
    }
}

/// Pushes every step, then finishes. Events without a time of their own come at the milliseconds of
/// their place in the list, from 1.
pub fn listen(limits: Limits, steps: &[Step]) -> (Listener, Table<Listener>) {
    let mut listener = Listener::default();
    let table = listen_with(&mut listener, limits, steps);
    (listener, table)
}

/// As [`listen`], with a listener of one's own.
pub fn listen_with(listener: &mut Listener, limits: Limits, steps: &[Step]) -> Table<Listener> {
    let mut table = Table::new(limits);
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::Event(told) => table.push(&told.event(Timestamp((index as u64 + 1) * 1_000_000)), listener),
            Step::Advance(milliseconds) => table.advance(Timestamp(milliseconds * 1_000_000), listener),
        }
    }
    table.finish(listener);
    assert_eq!((table.connections(), table.buffered()), (0, 0), "nothing is left");
    assert!(table.ledger().is_closed(), "the ledger is closed: {:?}", table.ledger());
    table
}
