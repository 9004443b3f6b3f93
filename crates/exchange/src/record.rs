use std::collections::BTreeMap;
use std::sync::Arc;

use l7trace_event::{Blind, Direction, Endpoint, Ledger, Process, SourceKind, Timestamp};
use l7trace_protocol::{Attribute, Key, Message, Note};

/// Anything that an output can be given.
#[derive(Debug)]
pub enum Record<'a> {
    /// An exchange, a one-way message or a transaction.
    Exchange(&'a Exchange),
    /// A connection, as it ends.
    Connection(&'a ConnectionRecord),
    /// The account of the whole run: the last record.
    Summary(&'a Summary),
}

/// A request and what came back, or a message that stands alone, or several exchanges that are one
/// thing to a person.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Which of these.
    pub kind: Kind,
    /// The connection it went over.
    pub connection: Arc<Connection>,
    /// Its number within the connection, from 1.
    pub sequence: u64,
    /// The key that tied its messages together.
    pub key: Key,
    /// What was asked; the message itself where it stands alone.
    pub request: Option<Box<Message>>,
    /// What came back.
    pub response: Option<Box<Message>>,
    /// What came between.
    pub steps: Vec<Step>,
    /// How often the request was sent again.
    pub repeats: u32,
    /// How it ended; none for a message that stands alone and is whole.
    pub outcome: Outcome,
    /// The first byte of the request (of the response, where that is all there is).
    pub start: Timestamp,
    /// From the first byte of the request to the last byte of the response.
    pub latency: Option<u64>,
    /// The parts of the latency.
    pub timings: Option<Timings>,
    /// The witness whose clock gave the times.
    pub source: SourceKind,
    /// All witnesses, in order.
    pub witnesses: Vec<SourceKind>,
}

/// What an [`Exchange`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request and what came back.
    Exchange,
    /// One-way.
    Message,
    /// Several exchanges that are one thing to a person.
    Transaction,
}

impl Kind {
    /// The `type` of the JSON line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Exchange => "exchange",
            Kind::Message => "message",
            Kind::Transaction => "transaction",
        }
    }
}

/// Something between a request and its response.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it was, in the protocol's word (`PUBREC`).
    pub name: String,
    /// When its last byte was seen.
    pub at: Timestamp,
    /// What it took on the wire.
    pub bytes: u64,
    /// Which way it went.
    pub direction: Direction,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Request and response are both delimited by the protocol's own rules.
    Complete,
    /// An error by the protocol's own rules, or a message that its own sender cut off.
    Failed,
    /// No response before the end.
    Unanswered,
    /// Bytes were lost where they matter.
    Partial,
    /// A response whose request was not seen.
    ResponseOnly,
}

impl Outcome {
    /// The name in the JSON line.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Complete => "complete",
            Outcome::Failed => "failed",
            Outcome::Unanswered => "unanswered",
            Outcome::Partial => "partial",
            Outcome::ResponseOnly => "response_only",
        }
    }
}

/// The parts of a latency, in nanoseconds, as in HAR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// First to last byte of the request.
    pub send: u64,
    /// Last byte of the request to first byte of the response; 0 where the response began earlier.
    pub wait: u64,
    /// First to last byte of the response.
    pub receive: u64,
}

/// What an exchange says of its connection: a snapshot, shared by the exchanges between two changes.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its number within this run, from 1.
    pub number: u64,
    /// Who asks.
    pub client: Peer,
    /// Who answers.
    pub server: Peer,
    /// Whether it is encrypted and read through a TLS library.
    pub tls: bool,
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub endpoint: Endpoint,
    /// The name of a Unix socket's end.
    pub name: Option<Arc<str>>,
    /// The process that holds it, where known.
    pub process: Option<Arc<Process>>,
}

/// A connection as it ends.
#[derive(Clone, Debug)]
pub struct ConnectionRecord {
    /// Who and where. Where no bytes said who the client is, it is who opened the connection, else
    /// who has the higher port.
    pub connection: Arc<Connection>,
    /// What it turned out to speak; none where that was not recognised.
    pub protocol: Option<&'static str>,
    /// When it was first seen.
    pub opened: Timestamp,
    /// Whether its opening itself was seen.
    pub from_start: bool,
    /// When it ended.
    pub closed: Timestamp,
    /// Why ([`l7trace_stream::Closed::name`]).
    pub why: &'static str,
    /// The account of client to server, and of server to client.
    pub ledgers: [Ledger; 2],
    /// How many exchanges and messages it carried.
    pub exchanges: u64,
    /// What the parser knows of it.
    pub facts: Vec<Attribute>,
    /// What is odd about it.
    pub notes: Vec<Note>,
    /// All witnesses, in order.
    pub witnesses: Vec<SourceKind>,
}

/// The account of a run.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// From the first thing seen to the last, in nanoseconds.
    pub duration: u64,
    /// Connections seen.
    pub connections: u64,
    /// Exchanges reported.
    pub exchanges: u64,
    /// One-way messages reported.
    pub messages: u64,
    /// Transactions reported.
    pub transactions: u64,
    /// Exchanges by protocol and by class of status (`2xx`, `OK`, …; `none` without one).
    pub by_status: BTreeMap<(&'static str, String), u64>,
    /// One-way messages by protocol.
    pub messages_by_protocol: BTreeMap<&'static str, u64>,
    /// Exchanges by outcome name.
    pub by_outcome: BTreeMap<&'static str, u64>,
    /// Latency at the 50th and the 99th percentile of answered exchanges, in nanoseconds, within
    /// 2 % of the true value.
    pub latency_p50: Option<u64>,
    /// As `latency_p50`.
    pub latency_p99: Option<u64>,
    /// The account of bytes.
    pub ledger: Ledger,
    /// Connections of no known protocol.
    pub unrecognised_connections: u64,
    /// Bytes that went over them.
    pub unrecognised_bytes: u64,
    /// What was given up because a table was full, by the limit's name.
    pub evictions: BTreeMap<&'static str, u64>,
    /// Records that the kernel's ring had no room for, and the bytes they stood for (second copies
    /// and retransmissions included: the ledger says what of it was really lost).
    pub ring_full_records: u64,
    /// See `ring_full_records`.
    pub ring_full_bytes: u64,
    /// Packets that were not understood, by what they were.
    pub not_understood: BTreeMap<String, u64>,
    /// Records that could not be written, since whoever reads the output was too slow.
    pub unwritten: u64,
    /// Records left out since nobody could tell in time whose connection it was, where only some
    /// processes were asked for.
    pub ownerless: u64,
    /// What the sources could not see.
    pub blind: Vec<Blind>,
}

/// How secrets are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redaction {
    /// `<redacted: 42 bytes>`.
    #[default]
    Redact,
    /// As they are (`--show-secrets`).
    Show,
}
