use std::collections::VecDeque;
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

use aya::maps::MapData;
use l7trace_probes::Lost;

use super::frames::{push_record, push_ring_full};
use super::mapping::{Mapping, page_size};
use super::ring::{Level, Ring};
use crate::{Batch, Error, Filled};

/// Takes records out of a ring into batches, on a timer of its own, and the account of what found no
/// room there.
#[derive(Debug)]
pub struct Reader {
    ring: Ring,
    lost: LostCounters,
    /// What found no room, to be told of when the records before it are taken.
    full: VecDeque<Full>,
    sleep: Sleep,
    /// Until when to leave the ring alone: draining it record by record as they come would cost as
    /// much as being woken for each.
    rest_until: Option<Instant>,
    last_record: Instant,
    woken: bool,
    dozes: bool,
}

/// That the ring had no room.
#[derive(Debug)]
struct Full {
    /// The records before this position were there first.
    behind: u64,
    records: u64,
    bytes: u64,
}

/// A batch takes so many bytes at most, and one record: what is in it is still in the processor's cache
/// when the decoder comes to it.
const BATCH_BYTES: usize = 256 << 10;
/// How long the ring is left alone while there is much traffic, while there is some, and while there
/// was none for a while. Where there is much, what came meanwhile should be over in less time than
/// those who are traced have work for: whoever waits for the processor that they need waits then no
/// longer than its partners' answers would have taken.
const REST_FULL: Duration = Duration::from_millis(1);
const MUCH: usize = 32 << 10;
const REST_BUSY: Duration = Duration::from_millis(4);
/// What comes meanwhile is reported at once where the reader said that it sleeps, which two processors
/// may very rarely see in different orders.
const REST_IDLE: Duration = Duration::from_millis(100);
const IDLE_AFTER: Duration = Duration::from_millis(200);

impl Reader {
    pub(crate) fn new(ring: Ring, lost: LostCounters, sleep: Sleep) -> Reader {
        Reader {
            ring,
            lost,
            full: VecDeque::new(),
            sleep,
            rest_until: None,
            last_record: Instant::now(),
            woken: false,
            dozes: false,
        }
    }

    /// Appends what there is to `batch` as [frames](super::frames), waiting up to `timeout` for it.
    ///
    /// `used` says how many bytes of a record, from its start, are worth keeping: records come in
    /// size classes.
    pub fn fill(&mut self, batch: &mut Batch, timeout: Duration, used: impl Fn(&[u8]) -> usize) -> Filled {
        let deadline = Instant::now() + timeout;
        if std::mem::take(&mut self.dozes) {
            self.sleep.end();
        }
        if timeout.is_zero() {
            // There is no wait that would notice it.
            self.woken |= self.ring.wait(timeout);
        }
        loop {
            let rest =
                self.rest_until.take().map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
            let left = deadline.saturating_duration_since(Instant::now());
            if rest > left {
                self.rest_until = Instant::now().checked_add(rest);
            }
            let rest = rest.min(left);
            if rest > REST_BUSY {
                self.sleep.begin();
                // What came before that woke nobody.
                if self.drain(batch, &used) {
                    self.sleep.end();
                    return Filled::Some;
                }
            }
            if !rest.is_zero() {
                self.woken |= self.ring.wait(rest);
                self.sleep.end();
            }
            if self.drain(batch, &used) {
                return Filled::Some;
            }
            if self.woken || Instant::now() >= deadline {
                return Filled::Nothing;
            }
        }
    }

    /// Ends waits also when this becomes readable once more; none: nothing more does.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub fn wake_for(&mut self, other: Option<BorrowedFd<'_>>) -> Result<(), Error> {
        // What came before it was waited for is not reported.
        self.woken = other.is_some();
        other.map_or(Ok(()), |other| self.ring.wake_for(other))
    }

    /// As [`Tap::alarm`](crate::Tap::alarm).
    pub fn alarm(&self) -> BorrowedFd<'_> {
        self.ring.alarm()
    }

    /// As [`Tap::doze`](crate::Tap::doze).
    pub fn doze(&mut self) -> bool {
        if self.last_record.elapsed() <= IDLE_AFTER {
            return false;
        }
        self.sleep.begin();
        self.dozes = self.ring.position() == self.ring.produced();
        if !self.dozes {
            self.sleep.end();
        }
        self.dozes
    }

    /// Whether what [`Reader::wake_for`] was given became readable since the last call.
    pub fn woken(&mut self) -> bool {
        std::mem::take(&mut self.woken)
    }

    /// How full the ring is, for other threads.
    ///
    /// # Errors
    /// Where its positions cannot be mapped once more.
    pub fn level(&self) -> Result<Level, Error> {
        self.ring.level()
    }

    /// Whether anything was appended.
    fn drain(&mut self, batch: &mut Batch, used: &impl Fn(&[u8]) -> usize) -> bool {
        let before = batch.bytes.len();
        let limit = before + BATCH_BYTES;
        if let Some((records, bytes)) = self.lost.since_last() {
            // What found no room came after all that is in the ring by now.
            self.full.push_back(Full { behind: self.ring.produced(), records, bytes });
        }
        let mut told = false;
        while let Some(full) = self.full.front()
            && full.behind <= self.ring.position() + BATCH_BYTES as u64
        {
            push_ring_full(batch, full.records, full.bytes);
            self.full.pop_front();
            told = true;
        }
        let drained = self.ring.drain(|record| {
            push_record(batch, record.get(..used(record)).unwrap_or(record));
            batch.bytes.len() < limit
        });
        let now = Instant::now();
        if drained.some {
            self.last_record = now;
        }
        if drained.emptied {
            let idle = now.duration_since(self.last_record) > IDLE_AFTER;
            let much = batch.bytes.len() - before > MUCH;
            self.rest_until = now.checked_add(match idle {
                true => REST_IDLE,
                false if much => REST_FULL,
                false => REST_BUSY,
            });
        }
        drained.some || told
    }
}

/// The niceness of a thread that is to run before others: if it comes too late, the ring is full.
pub const HASTY: i32 = -15;

/// The calling thread's niceness.
#[expect(unsafe_code, reason = "the standard library has no priorities")]
#[must_use]
pub fn niceness() -> i32 {
    // SAFETY: takes numbers alone; on Linux, 0 means the calling thread.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// Sets the niceness of a thread of this process; none means the calling one. Where that is not allowed,
/// it goes on as it was.
#[expect(unsafe_code, reason = "the standard library has no priorities")]
pub fn set_niceness(thread: Option<u32>, niceness: i32) {
    // SAFETY: takes numbers alone; on Linux, they mean a thread, and 0 the calling one.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, thread.unwrap_or(0), niceness) };
}

/// Whether the reader sleeps until something comes, in a page shared with the kernel.
#[derive(Debug)]
pub(crate) struct Sleep {
    page: Mapping,
    _map: MapData,
}

impl Sleep {
    pub(crate) fn new(map: MapData) -> Result<Sleep, Error> {
        let page = Mapping::new(map.fd().as_fd(), page_size(), 0, true)
            .map_err(|error| Error::Failed(format!("cannot map what wakes the reader: {error}")))?;
        Ok(Sleep { page, _map: map })
    }

    /// From now on what comes wakes the reader.
    fn begin(&self) {
        self.flag().store(1, Ordering::SeqCst);
        // Before it is looked whether anything came.
        fence(Ordering::SeqCst);
    }

    fn end(&self) {
        self.flag().store(0, Ordering::Relaxed);
    }

    #[expect(unsafe_code, reason = "memory shared with the kernel")]
    fn flag(&self) -> &AtomicU64 {
        // SAFETY: the page begins with one aligned number, is mapped as long as `self` lives, and both
        // sides load and store it whole.
        unsafe { AtomicU64::from_ptr(self.page.at(0).cast()) }
    }
}

/// The counters of [`Lost`], one for each processor, in pages shared with the kernel.
#[derive(Debug)]
pub(crate) struct LostCounters {
    pages: Mapping,
    processors: usize,
    seen: (u64, u64),
    _map: MapData,
}

impl LostCounters {
    pub(crate) fn new(map: MapData, processors: usize) -> Result<LostCounters, Error> {
        let length = (processors * size_of::<Lost>()).next_multiple_of(page_size());
        let pages = Mapping::new(map.fd().as_fd(), length, 0, false)
            .map_err(|error| Error::Failed(format!("cannot map the counters of lost records: {error}")))?;
        Ok(LostCounters { pages, processors, seen: (0, 0), _map: map })
    }

    /// Records and bytes lost since the last call, if any.
    fn since_last(&mut self) -> Option<(u64, u64)> {
        let mut total = (0, 0);
        for processor in 0..self.processors {
            let start = processor * size_of::<Lost>();
            total.0 += self.counter(start + offset_of!(Lost, records));
            total.1 += self.counter(start + offset_of!(Lost, bytes));
        }
        let new = (total.0.wrapping_sub(self.seen.0), total.1.wrapping_sub(self.seen.1));
        self.seen = total;
        (new.0 > 0).then_some(new)
    }

    #[expect(unsafe_code, reason = "memory shared with the kernel")]
    fn counter(&self, offset: usize) -> u64 {
        // SAFETY: within the mapping (`at` checks), aligned to 8 as the structure is to 64, and only
        // loaded; the kernel adds atomically.
        unsafe { AtomicU64::from_ptr(self.pages.at(offset).cast()) }.load(Ordering::Relaxed)
    }
}
