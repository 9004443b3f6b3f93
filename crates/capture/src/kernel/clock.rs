use std::time::{Duration, Instant};

use l7trace_event::Timestamp;

/// Makes UTC of the kernel's monotonic clock, which every record carries.
///
/// Both clocks are slewed alike, so their distance changes only when UTC is set. It is taken again
/// every second, and only a change beyond what taking it can err by is believed: otherwise the times
/// of one exchange would jitter against each other.
#[derive(Debug)]
pub struct Clock {
    offset: i64,
    taken: Instant,
}

const TAKE_EVERY: Duration = Duration::from_secs(1);
const BELIEVE_FROM: u64 = 50_000;

impl Clock {
    /// A clock of now.
    pub fn new() -> Clock {
        Clock { offset: offset(), taken: Instant::now() }
    }

    /// Looks whether UTC was set meanwhile; cheap enough for every batch.
    pub fn refresh(&mut self) {
        if self.taken.elapsed() < TAKE_EVERY {
            return;
        }
        self.taken = Instant::now();
        let offset = offset();
        if offset.abs_diff(self.offset) > BELIEVE_FROM {
            self.offset = offset;
        }
    }

    /// The UTC of now.
    pub fn now(&self) -> Timestamp {
        self.utc(u64::try_from(read(libc::CLOCK_MONOTONIC)).unwrap_or(0))
    }

    /// The UTC of a reading of `CLOCK_MONOTONIC` in nanoseconds.
    pub fn utc(&self, monotonic: u64) -> Timestamp {
        Timestamp(monotonic.saturating_add_signed(self.offset))
    }
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

/// UTC minus monotonic, taken where the two readings around it were closest.
fn offset() -> i64 {
    let mut best = (i64::MAX, 0);
    for _ in 0..5 {
        let before = read(libc::CLOCK_MONOTONIC);
        let utc = read(libc::CLOCK_REALTIME);
        let after = read(libc::CLOCK_MONOTONIC);
        if after - before < best.0 {
            best = (after - before, utc - (before + (after - before) / 2));
        }
    }
    best.1
}

#[expect(unsafe_code, reason = "the standard library's Instant does not tell the clock's reading")]
fn read(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec that outlives the call; both clocks always exist.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn agrees_with_the_system_clock() {
        let clock = Clock::new();
        let utc = clock.utc(read(libc::CLOCK_MONOTONIC) as u64);
        let system = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert!(utc.0.abs_diff(system.as_nanos() as u64) < 50_000_000, "{utc}");
    }
}
