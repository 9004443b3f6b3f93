//! From ordered bytes to exchanges: which protocol a connection speaks, which messages belong
//! together, how long each part took and how it ended.

mod record;

pub use record::{
    Connection, ConnectionRecord, Exchange, Kind, Outcome, Peer, Record, Redaction, Step, Summary, Timings,
};
