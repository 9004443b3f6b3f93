//! Connection table and reassembly: events of any number of witnesses go in, and for each direction
//! of each connection its bytes come out in order, each once, or a gap with its cause.
//!
//! Knows no source and no protocol. What happens to the bytes is a [`Sink`]'s.

mod afterlife;
mod append;
mod clock;
mod connection;
mod direction;
mod evictions;
mod facts;
mod foreknown;
mod handshake;
mod intake;
mod now;
mod roster;
mod sink;
mod table;
mod waiting;

pub use evictions::Evictions;
pub use facts::{Closed, Facts};
pub use sink::{Again, Delivered, Delivery, Ending, Holding, Sink};
pub use table::Table;

use std::time::Duration;

/// What bounds the table. Each eviction is counted and reported.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once; the one idle for longest goes first.
    pub connections: usize,
    /// Bytes held out of order for one connection.
    pub connection_bytes: usize,
    /// Bytes held in all: out of order here, and unfinished in the sink.
    pub total_bytes: usize,
    /// A connection in which nothing happened for so long is forgotten.
    pub idle: Duration,
    /// A hole that nothing fills for so long is given up.
    pub hole: Duration,
    /// A hole that the receiver acknowledged past is given up after so long: the time by which
    /// witnesses may disagree about the order of things.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 200_000,
            connection_bytes: 16 << 20,
            total_bytes: 256 << 20,
            idle: Duration::from_secs(3600),
            hole: Duration::from_secs(10),
            grace: Duration::from_millis(20),
        }
    }
}
