use crate::Cause;

/// The account of bytes: what was seen, and what became of it.
///
/// `seen` is counted where bytes come in (the extent of each direction, each byte once), the rest
/// where they go out, so that [`Ledger::is_closed`] is a check and not a definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Bytes of the traced streams that the kernel moved, each counted once.
    pub seen: u64,
    /// Bytes handed on, in order.
    pub delivered: u64,
    /// Bytes not handed on, by [`Cause`] (indexed by its discriminant).
    pub missing: [u64; Cause::COUNT],
}

impl Ledger {
    /// Counts bytes that were not handed on.
    pub fn miss(&mut self, cause: Cause, bytes: u64) {
        self.missing[cause as usize] += bytes;
    }

    /// Bytes skipped by choice.
    pub fn skipped(&self) -> u64 {
        self.missing[Cause::Skipped as usize]
    }

    /// Bytes lost, whatever the cause.
    pub fn lost(&self) -> u64 {
        self.losses().map(|(_, bytes)| bytes).sum()
    }

    /// The causes of loss that occurred, with their bytes.
    pub fn losses(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        Cause::ALL
            .into_iter()
            .filter(|cause| cause.is_loss())
            .map(|cause| (cause, self.missing[cause as usize]))
            .filter(|(_, bytes)| *bytes > 0)
    }

    /// Whether seen = delivered + skipped + lost, as it must be once every direction has ended.
    pub fn is_closed(&self) -> bool {
        self.seen == self.delivered + self.missing.iter().sum::<u64>()
    }

    /// Adds another account to this one.
    pub fn add(&mut self, other: &Ledger) {
        self.seen += other.seen;
        self.delivered += other.delivered;
        for (total, bytes) in self.missing.iter_mut().zip(other.missing) {
            *total += bytes;
        }
    }
}

/// Something that the source cannot see, said once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Blind {
    /// The process.
    pub pid: u32,
    /// Its command name.
    pub name: String,
    /// What keeps it out of sight: `io_uring`, `kernel_tls`, `compat`, `mptcp`, …
    pub why: &'static str,
}
