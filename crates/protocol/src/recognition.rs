use l7trace_event::Side;

/// What a protocol says of a [`Sample`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognition {
    /// It is this protocol, and this side is the client.
    Yes {
        /// Who asks, by what the bytes say.
        client: Side,
    },
    /// It is this protocol, and the bytes do not say who the client is.
    Unoriented,
    /// It may be; more bytes are needed to tell.
    More,
    /// It is not.
    No,
}

/// What is known of a connection whose protocol is not.
///
/// From the start of a connection these are its first bytes. Joined in the middle (or after a start
/// that no protocol recognised) they are the bytes from some chunk's first byte on, as messages
/// mostly begin where chunks do.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// By [`Side::index`]: what that side sent.
    pub sides: [Prefix<'a>; 2],
    /// Who opened the connection, where that was seen.
    pub initiator: Option<Side>,
}

/// What one side sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prefix<'a> {
    /// The bytes, without holes.
    pub bytes: &'a [u8],
    /// Whether the first of them is the first that this side ever sent.
    pub from_start: bool,
    /// Whether all that this side ever said before them was seen, and no protocol's: they are no middle
    /// of anything that begins in a way of its own.
    pub since_start: bool,
    /// Whether nothing follows them: what cannot be told now never will be.
    pub ended: bool,
}

impl<'a> Sample<'a> {
    /// What one side sent.
    pub fn side(&self, side: Side) -> Prefix<'a> {
        self.sides[side.index()]
    }
}
