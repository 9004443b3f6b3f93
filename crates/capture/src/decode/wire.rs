/// Bytes of one layer as they were captured, with the length that they had on the wire: the one
/// bounded cursor that every header is read through.
///
/// `bytes` is never longer than `length`; it is shorter where the capture cut the packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) length: usize,
}

impl<'a> Wire<'a> {
    /// Captured bytes, and how many there were on the wire (at least as many).
    #[inline]
    pub(crate) fn new(bytes: &'a [u8], length: usize) -> Wire<'a> {
        Wire { bytes, length: length.max(bytes.len()) }
    }

    /// The first `N` bytes, where they were captured.
    #[inline]
    pub(crate) fn head<const N: usize>(self) -> Option<&'a [u8; N]> {
        self.bytes.first_chunk()
    }

    /// `N` bytes at `at`, where they were captured.
    #[inline]
    pub(crate) fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..)?.first_chunk().copied()
    }

    /// The byte at `at`.
    #[inline]
    pub(crate) fn byte(self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// Two bytes at `at`, in network order.
    #[inline]
    pub(crate) fn big16(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    /// Four bytes at `at`, in network order.
    #[inline]
    pub(crate) fn big32(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }

    /// Two bytes at `at`, the low one first.
    #[inline]
    pub(crate) fn little16(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    /// Four bytes at `at`, the low one first.
    #[inline]
    pub(crate) fn little32(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    /// What follows the first `count` bytes, where so many were on the wire. They need not have
    /// been captured: then nothing that follows was.
    #[inline]
    pub(crate) fn skip(self, count: usize) -> Option<Wire<'a>> {
        let length = self.length.checked_sub(count)?;
        Some(Wire { bytes: self.bytes.get(count..).unwrap_or_default(), length })
    }

    /// The first `length` bytes: what comes after them (padding, a trailer) is not of this layer.
    #[inline]
    pub(crate) fn limit(self, length: usize) -> Wire<'a> {
        if length >= self.length {
            return self;
        }
        Wire { bytes: self.bytes.get(..length).unwrap_or(self.bytes), length }
    }

    /// How many bytes the capture cut off.
    #[inline]
    pub(crate) fn missing(self) -> usize {
        self.length - self.bytes.len()
    }
}
