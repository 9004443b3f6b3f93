//! What the programs are told that nobody has any use for: `bpf/limits.h`.

/// The map: an array of [`Limit`] that user space maps, at the lower bits of a hash.
pub const LIMITS: &str = "limits";

/// The global with the size of [`LIMITS`], less one: a `u32`.
pub const LIMITS_MASK: &str = "limits_mask";

/// `struct limit`: what of a socket's bytes is not wanted, or of those that go one way in packets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Names the socket, or the way (its direction is the first).
    pub id: u64,
    /// By direction (sent, received): bytes before this position are not wanted …
    pub skip_until: [u32; 2],
    /// … where this is [`skip::UNTIL`].
    pub skip: [u8; 2],
    /// Nothing.
    pub unused: [u8; 14],
}

/// `enum skip`.
pub mod skip {
    /// All bytes are wanted.
    pub const NOTHING: u8 = 0;
    /// Those before a position are not.
    pub const UNTIL: u8 = 1;
    /// None is that is still to come.
    pub const ALL: u8 = 2;
}

const _: () = assert!(size_of::<Limit>() == 32);
