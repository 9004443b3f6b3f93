//! From ordered bytes to exchanges: which protocol a connection speaks, which messages belong
//! together, how long each part took and how it ended.
//!
//! [`Tracker`] is the [`l7trace_stream::Sink`] that does it: a [`conversation`] for each connection
//! holds a recogniser, then the protocol's parser, and the [`pairing`] of what the parser says.

mod conversation;
mod pairing;
mod recogniser;
mod record;
mod tracker;

pub use record::{
    Connection, ConnectionRecord, Exchange, Kind, Outcome, Peer, Record, Redaction, Step, Summary, Timings,
};
pub use tracker::{Options, Receiver, Tracker};
