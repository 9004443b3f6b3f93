use std::os::fd::BorrowedFd;
use std::time::Duration;

use aya::Ebpf;
use l7trace_probes::syscalls::used;

use crate::kernel::{Level, Loaded, Reader};
use crate::{Batch, Error, Filled, Tap};

/// Takes the records out of the ring.
pub(super) struct SyscallsTap {
    reader: Reader,
    /// The programs, attached as long as this lives.
    _ebpf: Ebpf,
}

impl SyscallsTap {
    pub(super) fn new(loaded: Loaded) -> SyscallsTap {
        SyscallsTap { reader: loaded.reader, _ebpf: loaded.ebpf }
    }
}

impl Tap for SyscallsTap {
    fn fill(&mut self, batch: &mut Batch, timeout: Duration) -> Result<Filled, Error> {
        let filled = self.reader.fill(batch, timeout, used);
        // By another tap's alarm, which is that tap's to look into.
        self.reader.woken();
        Ok(filled)
    }

    fn alarm(&self) -> Option<BorrowedFd<'_>> {
        Some(self.reader.alarm())
    }

    fn wake_for(&mut self, alarm: BorrowedFd<'_>) -> Result<(), Error> {
        self.reader.wake_for(Some(alarm))
    }

    fn doze(&mut self) -> bool {
        self.reader.doze()
    }

    fn level(&self) -> Option<Level> {
        self.reader.level().ok()
    }
}
