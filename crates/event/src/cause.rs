/// Why bytes that the kernel moved did not reach a parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cause {
    /// The kernel's ring buffer had no room.
    RingFull,
    /// The call or packet was longer than what is copied of one, or a capture's snap length.
    CaptureLimit,
    /// They went by before tracing began.
    BeforeAttach,
    /// The memory could not be read at that moment.
    Unreadable,
    /// They never were in the caller's memory: sendfile, splice, MSG_ZEROCOPY.
    ZeroCopy,
    /// They were moved by io_uring, out of reach of the system-call probes.
    IoUring,
    /// They were sent or received by the kernel itself.
    Kernel,
    /// A 32-bit caller, whose memory layout is not decoded.
    Compat,
    /// The witness never saw them: dropped before the tap, or absent from the capture.
    NotCaptured,
    /// Reassembly gave up waiting: too many bytes were held.
    BufferLimit,
    /// Reassembly gave up waiting: too much time went by.
    TimeLimit,
    /// The connection was evicted because a table was full.
    Evicted,
    /// l7trace fell behind and shed them, as it says when it does.
    Backlog,
    /// Not lost: skipped by choice, since nobody needed them (the rest of a body, a connection of
    /// no known protocol, one that was filtered out).
    Skipped,
}

impl Cause {
    /// How many causes there are.
    pub const COUNT: usize = Cause::ALL.len();

    /// All of them, in the order of their discriminants.
    pub const ALL: [Cause; 14] = [
        Cause::RingFull,
        Cause::CaptureLimit,
        Cause::BeforeAttach,
        Cause::Unreadable,
        Cause::ZeroCopy,
        Cause::IoUring,
        Cause::Kernel,
        Cause::Compat,
        Cause::NotCaptured,
        Cause::BufferLimit,
        Cause::TimeLimit,
        Cause::Evicted,
        Cause::Backlog,
        Cause::Skipped,
    ];

    /// The name in the ledger and in every output.
    pub fn name(self) -> &'static str {
        match self {
            Cause::RingFull => "ring_full",
            Cause::CaptureLimit => "capture_limit",
            Cause::BeforeAttach => "before_attach",
            Cause::Unreadable => "unreadable",
            Cause::ZeroCopy => "zero_copy",
            Cause::IoUring => "io_uring",
            Cause::Kernel => "kernel",
            Cause::Compat => "compat",
            Cause::NotCaptured => "not_captured",
            Cause::BufferLimit => "buffer_limit",
            Cause::TimeLimit => "time_limit",
            Cause::Evicted => "evicted",
            Cause::Backlog => "backlog",
            Cause::Skipped => "skipped",
        }
    }

    /// Whether bytes of this cause count as lost; those skipped by choice do not.
    pub fn is_loss(self) -> bool {
        self != Cause::Skipped
    }
}

#[cfg(test)]
mod tests {
    use super::Cause;

    #[test]
    fn all_is_in_order_of_discriminant() {
        for (index, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, index, "{cause:?}");
        }
    }
}
