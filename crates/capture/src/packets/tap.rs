use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use l7trace_probes::packets::{HEAD, PacketRecord};

use super::sockets::Sockets;
use crate::kernel::{Level, Reader};
use crate::owner::Hook;
use crate::{Batch, Error, Filled, Tap};

/// Takes packet records out of the ring. While it lives, so do the sockets and the program.
pub(super) struct PacketTap {
    reader: Reader,
    sockets: Sockets,
    /// What the kernel says of owners.
    hook: Option<Hook>,
    /// Set where owners were found that the decoder has yet to hand on.
    answers: Option<Arc<AtomicBool>>,
    warnings: Warnings,
    last_packet: Instant,
}

/// For so long after a packet its owners are looked for, and so often the answers are.
const OWNERS_COME: Duration = Duration::from_millis(60);
const OWNERS_REST: Duration = Duration::from_millis(5);

impl PacketTap {
    pub(super) fn new(
        reader: Reader,
        sockets: Sockets,
        hook: Option<Hook>,
        answers: Option<Arc<AtomicBool>>,
        warnings: Warnings,
    ) -> PacketTap {
        PacketTap { reader, sockets, hook, answers, warnings, last_packet: Instant::now() }
    }
}

/// What the tap has to say, which the decoder tells.
#[derive(Clone, Debug, Default)]
pub(super) struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn add(&self, warning: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tap for PacketTap {
    fn fill(&mut self, batch: &mut Batch, timeout: Duration) -> Result<Filled, Error> {
        let owners_expected = self.answers.is_some() && self.last_packet.elapsed() < OWNERS_COME;
        let timeout = if owners_expected { timeout.min(OWNERS_REST) } else { timeout };
        let filled = self.reader.fill(batch, timeout, |record| {
            PacketRecord::read(record).map_or(record.len(), |(head, _)| HEAD + head.captured as usize)
        });
        if filled == Filled::Some {
            self.last_packet = Instant::now();
        }
        if let Some(hook) = &mut self.hook {
            // After the packets were taken: whatever was said before them is known when they are decoded.
            hook.listen();
        }
        if self.reader.woken() {
            // What else is captured goes on.
            self.sockets
                .update()
                .unwrap_or_else(|error| self.warnings.add(format!("not all interfaces are captured: {error}")));
        }
        let answered = self.answers.as_ref().is_some_and(|answers| answers.swap(false, Ordering::Relaxed));
        Ok(if answered { Filled::Some } else { filled })
    }

    fn alarm(&self) -> Option<BorrowedFd<'_>> {
        Some(self.reader.alarm())
    }

    fn wake_for(&mut self, alarm: BorrowedFd<'_>) -> Result<(), Error> {
        self.reader.wake_for(Some(alarm))
    }

    fn doze(&mut self) -> bool {
        self.last_packet.elapsed() >= OWNERS_COME && self.reader.doze()
    }

    fn level(&self) -> Option<Level> {
        self.reader.level().ok()
    }
}
