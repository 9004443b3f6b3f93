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
    /// Bytes skipped by choice.
    skipped: u64,
    /// Bytes lost, by [`Cause`] (indexed by its discriminant); apart, as most connections lose none.
    lost: Option<Box<[u64; Cause::COUNT]>>,
}

impl Ledger {
    /// An account of so many bytes, of which so many were handed on.
    pub fn new(seen: u64, delivered: u64) -> Ledger {
        Ledger { seen, delivered, ..Ledger::default() }
    }

    /// Counts bytes that were not handed on.
    pub fn miss(&mut self, cause: Cause, bytes: u64) {
        match cause {
            Cause::Skipped => self.skipped += bytes,
            _ if bytes == 0 => {}
            _ => self.lost.get_or_insert_default()[cause as usize] += bytes,
        }
    }

    /// Bytes skipped by choice.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Bytes lost, whatever the cause.
    pub fn lost(&self) -> u64 {
        self.losses().map(|(_, bytes)| bytes).sum()
    }

    /// The causes of loss that occurred, with their bytes.
    pub fn losses(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        let all = self.lost.iter().flat_map(|lost| Cause::ALL.into_iter().zip(lost.iter().copied()));
        all.filter(|(_, bytes)| *bytes > 0)
    }

    /// Whether seen = delivered + skipped + lost, as it must be once every direction has ended.
    pub fn is_closed(&self) -> bool {
        self.seen == self.accounted()
    }

    /// Bytes of which is said what became of them: delivered, skipped or lost.
    pub fn accounted(&self) -> u64 {
        self.delivered + self.skipped + self.lost()
    }

    /// Adds another account to this one.
    pub fn add(&mut self, other: &Ledger) {
        self.seen += other.seen;
        self.delivered += other.delivered;
        self.skipped += other.skipped;
        for (cause, bytes) in other.losses() {
            self.miss(cause, bytes);
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
