use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use l7trace_probes::packets::{HEAD, PacketRecord};

use crate::kernel::{Loaded, Reader};
use crate::{Batch, Error, Filled, Tap};

/// Takes packet records out of the ring. While it lives, so do the sockets and the program.
pub(super) struct PacketTap {
    // In the order in which they are to be let go.
    _sockets: Vec<OwnedFd>,
    reader: Reader,
    _ebpf: aya::Ebpf,
    /// Set where owners were found that the decoder has yet to hand on.
    answers: Option<Arc<AtomicBool>>,
}

impl PacketTap {
    pub(super) fn new(loaded: Loaded, sockets: Vec<OwnedFd>, answers: Option<Arc<AtomicBool>>) -> PacketTap {
        PacketTap { _sockets: sockets, reader: loaded.reader, _ebpf: loaded.ebpf, answers }
    }
}

impl Tap for PacketTap {
    fn fill(&mut self, batch: &mut Batch, timeout: Duration) -> Result<Filled, Error> {
        let filled = self.reader.fill(batch, timeout, |record| {
            PacketRecord::read(record).map_or(record.len(), |(head, _)| HEAD + head.captured as usize)
        });
        let answered = self.answers.as_ref().is_some_and(|answers| answers.swap(false, Ordering::Relaxed));
        Ok(if answered { Filled::Some } else { filled })
    }
}
