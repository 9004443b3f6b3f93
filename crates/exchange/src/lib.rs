//! From ordered bytes to exchanges: which protocol a connection speaks, which messages belong
//! together, how long each part took and how it ended.
//!
//! [`Tracker`] is the [`l7trace_stream::Sink`] that does it: a conversation for each connection
//! holds a recogniser, then the protocol's parser, and the pairing of what the parser says.

mod conversation;
mod histogram;
mod pairing;
mod recogniser;
mod record;
mod statistics;
mod tracker;
mod vantage;
mod view;

pub use record::{
    Connection, ConnectionRecord, Exchange, Kind, Outcome, Peer, Record, Redaction, Step, Summary, Timings,
};
pub use statistics::Statistics;
pub use tracker::{Options, Receiver, Tracker};
