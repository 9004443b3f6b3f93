use l7trace_event::{Cause, Direction, Timestamp};

use crate::{Attribute, Handshake, Outbox, Recognition, Sample};

/// One protocol: how it is recognised, and who reads it.
pub trait Protocol: Sync {
    /// The name in the JSON line, where the parser's messages have no better one.
    fn name(&self) -> &'static str;

    /// Every name that its messages can carry (`http2` carries `grpc` as well).
    fn speaks(&self) -> &'static [&'static str];

    /// Whether a connection that began like this, or goes on like this, speaks this protocol. Never
    /// by port. Asked again, with more bytes, until some protocol says yes or all say no.
    fn recognise(&self, sample: &Sample<'_>) -> Recognition;

    /// A parser for a connection that was recognised, or switched to this protocol.
    fn parser(&self, start: Start<'_>) -> Box<dyn Parser>;
}

/// Reads one connection, both directions of it.
///
/// Contract:
/// * The same stream gives the same messages however it is cut into chunks.
/// * After a gap it goes on at the next message that it can tell for certain; it never panics,
///   never loops without consuming, and holds no more than its limits allow.
/// * A [`Role::Response`] is pushed after the [`Role::Request`] of the same key, where that request
///   is known at all.
/// * When a direction has ended, everything unfinished in it is pushed, with its
///   [`Completeness`] saying why it is so.
///
/// [`Role::Response`]: crate::Role::Response
/// [`Role::Request`]: crate::Role::Request
/// [`Completeness`]: crate::Completeness
pub trait Parser: Send {
    /// Takes what came next in one direction; what is understood is pushed to `out`. After it
    /// pushed a [`crate::Output::Switch`] or [`crate::Output::Withdrawn`] it is not called again.
    fn push(&mut self, chunk: Chunk<'_>, out: &mut Outbox);

    /// How many of the next bytes of this direction it has no use for (the rest of a body of known
    /// length that nobody asked to keep); `u64::MAX`: all that ever come. The kernel is told, so
    /// that they need not be copied; they come as a gap with [`Cause::Skipped`] or as bytes.
    fn skippable(&self, direction: Direction) -> u64 {
        let _ = direction;
        0
    }

    /// How many bytes it holds in memory for messages that are not finished: what the limit on
    /// buffered bytes counts.
    fn held(&self) -> usize;

    /// What it knows of the connection as a whole, for the connection's own record.
    fn facts(&self) -> Vec<Attribute> {
        Vec::new()
    }
}

/// What came next in one direction.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// Which way it went.
    pub direction: Direction,
    /// How many bytes of this direction came before it: counted from its first byte, or from the
    /// first byte that was seen. Chunks of a direction are contiguous; gaps take up positions.
    pub position: u64,
    /// When it was seen.
    pub at: Timestamp,
    /// The position in the other direction up to which the sender had read when it sent this, where
    /// that is known.
    pub acknowledged: Option<u64>,
    /// What it was.
    pub input: Input<'a>,
}

/// Bytes, their absence, or the end.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The next bytes; never empty.
    Bytes(&'a [u8]),
    /// So many bytes went by unseen, at least one.
    Gap {
        /// How many.
        length: u64,
        /// Why.
        cause: Cause,
    },
    /// Nothing more will come in this direction. Comes exactly once for each direction.
    End(End),
}

/// How a direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its sender closed it in order (FIN).
    Closed,
    /// The connection was broken off (RST).
    Reset,
    /// Tracing ended first, or the connection was given up: nothing is known of what followed.
    Unknown,
}

/// What a parser is told at its start.
pub struct Start<'a> {
    /// By direction ([`Direction::index`]): whether the first byte to come is the direction's first
    /// (after a handshake that was seen, or a switch), not somewhere in the middle.
    pub from_start: [bool; 2],
    /// What users may set.
    pub settings: &'a Settings,
    /// The messages that led to a switch, where it came by one.
    pub handshake: Option<Box<Handshake>>,
}

/// What users may set of parsing.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many bytes of each body to keep (`--body`), content coding undone.
    pub body_limit: usize,
    /// The longest start line and header block, in bytes; longer ones are data that is not understood.
    pub head_limit: usize,
    /// How many protocols this one lies in, for those within others; 0 outside. [`crate::Nested`] counts.
    pub depth: u8,
    /// What knows the types of messages that do not tell theirs (`--proto`, `--descriptor-set`).
    pub schema: Option<std::sync::Arc<dyn crate::grpc::Schema>>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { body_limit: 0, head_limit: 256 << 10, depth: 0, schema: None }
    }
}
