//! What a tap has, taken by the thread that decodes it, or in haste by one beside it.
//!
//! Taking and decoding in one thread costs least: what was just copied out of the ring is in the
//! processor's cache, and no thread has to be woken for it, which costs services that are traced more
//! than the work itself where processors are few. But a burst must leave the ring at memory speed
//! whatever the parsers are at, and whoever else wants the processor. So where the ring fills up, the
//! kernel wakes a second thread: it lets the first one run before others, and empties the ring into
//! batches that wait while the first one is at something else.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use l7trace_capture::kernel::{HASTY, Level, set_niceness};
use l7trace_capture::{Batch, Error, Filled, Tap};
use rustix::event::{EventfdFlags, eventfd};
use rustix::thread::gettid;

/// How many bytes may wait in batches: beyond that the kernel's ring is the buffer.
const MOST_WAITING: usize = 64 << 20;

/// How many emptied batches are kept for reuse: memory that is new to the process is dear, and never
/// more so than when it falls behind.
const SPARE: usize = 64;

/// What a batch has room for from the start: a full one, and its last record.
const BATCH_BYTES: usize = 384 << 10;

/// How long the hasty thread leaves the tap to the other one.
const LEFT_ALONE: Duration = Duration::from_micros(200);

/// A tap that is emptied in time.
pub(crate) struct Supply {
    shared: Arc<Shared>,
    /// The thread that empties it in haste.
    haste: Option<JoinHandle<()>>,
    behind: usize,
}

struct Shared {
    taken: Mutex<Taken>,
    over: AtomicBool,
    /// Whether the decoding thread waits for what has been taken.
    wanted: AtomicBool,
    /// Wakes the hasty thread to see that it is over.
    wake: Option<OwnedFd>,
    /// The thread that decodes, and whether it was hurried.
    decoding: u32,
    hurried: AtomicBool,
}

/// Whoever holds it takes out of the tap, and nobody else: what is taken stays in order.
struct Taken {
    tap: Box<dyn Tap>,
    /// What was taken in haste.
    waiting: VecDeque<Batch>,
    waiting_bytes: usize,
    spare: Vec<Batch>,
    broken: Option<Error>,
}

impl Supply {
    /// To be called by the thread that will take and decode.
    pub(crate) fn new(tap: Box<dyn Tap>) -> Supply {
        let level = tap.level();
        let taken = Taken { tap, waiting: VecDeque::new(), waiting_bytes: 0, spare: Vec::new(), broken: None };
        let shared = Arc::new(Shared {
            taken: Mutex::new(taken),
            over: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            hurried: AtomicBool::new(false),
            wake: eventfd(0, EventfdFlags::CLOEXEC).ok(),
            decoding: gettid().as_raw_nonzero().get().unsigned_abs(),
        });
        let haste = level.map(|level| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.hasten(&level))
        });
        Supply { shared, haste, behind: 0 }
    }

    /// Fills an empty batch with what came next, as [`Tap::fill`] does.
    pub(crate) fn fill(&mut self, batch: &mut Batch, timeout: Duration) -> Result<Filled, Error> {
        self.shared.wanted.store(true, Ordering::Relaxed);
        let mut taken = self.shared.lock();
        self.shared.wanted.store(false, Ordering::Relaxed);
        let filled = match taken.waiting.pop_front() {
            Some(mut waiting) => {
                taken.waiting_bytes -= waiting.bytes.len();
                std::mem::swap(batch, &mut waiting);
                if taken.spare.len() < SPARE {
                    taken.spare.push(waiting);
                }
                Ok(Filled::Some)
            }
            None => match taken.broken.take() {
                Some(error) => Err(error),
                None => taken.tap.fill(batch, timeout),
            },
        };
        self.behind = taken.waiting_bytes;
        drop(taken);
        filled
    }

    /// As [`Tap::doze`].
    pub(crate) fn doze(&mut self) -> bool {
        let mut taken = self.shared.lock();
        taken.waiting.is_empty() && taken.broken.is_none() && taken.tap.doze()
    }

    /// How many bytes wait to be decoded that are out of the ring already.
    pub(crate) fn behind(&self) -> usize {
        self.behind
    }

    /// Whether the decoding thread was hurried since this was last asked.
    pub(crate) fn was_hurried(&self) -> bool {
        self.shared.hurried.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Supply {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(wake) = &self.shared.wake {
            // It fails where it is woken already.
            let _ = rustix::io::write(wake, &1u64.to_ne_bytes());
        }
        if let Some(thread) = self.haste.take() {
            // If it broke off, whoever fills takes all.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that the ring is emptied whenever it is high.
    fn hasten(&self, level: &Level) {
        set_niceness(None, HASTY);
        let Some(wake) = &self.wake else { return };
        let mut stood_back = false;
        while !self.over.load(Ordering::Relaxed) {
            if !level.is_high() {
                if level.wait_for(wake.as_fd()).is_err() {
                    return;
                }
                continue;
            }
            // It may have to wait for a processor, with the tap in its hands.
            set_niceness(Some(self.decoding), HASTY);
            self.hurried.store(true, Ordering::Relaxed);
            // The other one comes first, to take what waits; but it may have no processor.
            stood_back = self.wanted.load(Ordering::Relaxed) && !stood_back;
            let hastened = !stood_back
                && match self.taken.try_lock() {
                    Ok(mut taken) => taken.hasten(),
                    Err(TryLockError::WouldBlock) => false,
                    Err(TryLockError::Poisoned(_)) => return,
                };
            // Without the tap.
            if !hastened {
                thread::sleep(LEFT_ALONE);
            }
        }
    }
}

impl Taken {
    /// Takes what there is, unless too much waits already; whether it did.
    fn hasten(&mut self) -> bool {
        if self.waiting_bytes >= MOST_WAITING || self.broken.is_some() {
            return false;
        }
        let mut batch = self.spare.pop().unwrap_or_default();
        batch.clear();
        batch.bytes.reserve(BATCH_BYTES);
        match self.tap.fill(&mut batch, Duration::ZERO) {
            Ok(_) if batch.is_empty() => {}
            Ok(_) => {
                self.waiting_bytes += batch.bytes.len();
                self.waiting.push_back(batch);
            }
            Err(error) => self.broken = Some(error),
        }
        true
    }
}
