use crate::{ConnectionKey, Side};

/// Bytes that nobody has any use for, told to the sources, which need not copy them: they come as
/// missing, with [`Cause::Skipped`](crate::Cause::Skipped), or as bytes. It is said when some of them
/// have gone by already, and a source may be unable to spare any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unneeded {
    /// The connection.
    pub key: ConnectionKey,
    /// Who sends them.
    pub from: Side,
    /// The position of the first byte that is needed again, less than 2³¹ ahead; none: no byte to
    /// come is.
    pub until: Option<u32>,
}
