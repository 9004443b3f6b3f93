//! Files that are written for hours and seldom read while they are: they are not to fill the page cache.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// A file of which only what was written lately stays in the page cache.
///
/// The pages are written out and given back as it grows. Otherwise a trace of some hours takes all free
/// memory of the host, and then that of the services that are traced: their files' pages go.
///
/// Where new pages are dear this is done early, since a page that was just given back is cheap: in a
/// virtual machine the first touch of memory can cost a fault of the machine's own (measured: 8 µs
/// for each 4 KB, as much as the rest of l7trace takes for the exchanges whose lines fill them).
#[derive(Debug)]
pub struct Forgetful {
    file: File,
    /// Bytes written since the last stage began, and the processor time that took.
    since: u64,
    took: Duration,
    /// Whether new pages were found to be dear.
    dear: bool,
    /// Where the stages ended that are being written out, the earlier one first.
    stages: [u64; 2],
}

/// So much is looked at together.
const STAGE: u64 = 4 << 20;
/// So much may stay in the page cache while new pages are cheap.
const CACHED: u64 = 128 << 20;
/// New pages are dear where a stage took longer: a copy to ones at hand takes a fifth of it.
const DEAR: Duration = Duration::from_millis(4);

impl Forgetful {
    /// Takes a file, of which what is there already is left alone.
    #[must_use]
    pub fn new(mut file: File) -> Forgetful {
        let begin = file.stream_position().unwrap_or(0);
        Forgetful { file, since: 0, took: Duration::ZERO, dear: false, stages: [begin; 2] }
    }

    /// Begins to write out what is new, and gives back what was written out by now.
    ///
    /// Neither waits for the disk unless its queue is full, and neither has to succeed: a file system
    /// that knows no such thing keeps its pages.
    #[expect(unsafe_code, reason = "the standard library does not know the page cache")]
    fn next_stage(&mut self) {
        let Ok(end) = self.file.stream_position() else { return };
        let [before, last] = self.stages;
        self.dear |= std::mem::take(&mut self.took) >= DEAR;
        if !self.dear && end.saturating_sub(last) < CACHED {
            return;
        }
        let file = self.file.as_raw_fd();
        let start = |from: u64, to: u64| {
            // SAFETY: an open descriptor and numbers.
            unsafe { libc::sync_file_range(file, offset(from), offset(to - from), libc::SYNC_FILE_RANGE_WRITE) }
        };
        if end > last {
            start(last, end);
        }
        if last > before {
            // SAFETY: an open descriptor and numbers. What is not on the disk yet stays.
            unsafe { libc::posix_fadvise(file, 0, offset(last), libc::POSIX_FADV_DONTNEED) };
        }
        self.stages = [last, end];
    }
}

/// What the calling thread has taken so far.
#[expect(unsafe_code, reason = "the standard library has no such clock")]
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to `time`, which outlives the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn offset(position: u64) -> libc::off_t {
    libc::off_t::try_from(position).unwrap_or(libc::off_t::MAX)
}

impl Write for Forgetful {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let before = processor_time();
        let written = self.file.write(bytes)?;
        self.took += processor_time().saturating_sub(before);
        self.since += written as u64;
        if self.since >= STAGE {
            self.since = 0;
            self.next_stage();
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_is_given() {
        let path = std::env::temp_dir().join(format!("l7trace-forgetful-{}", std::process::id()));
        let mut expected = b"before".to_vec();
        std::fs::write(&path, &expected).unwrap();
        let file = File::options().append(true).open(&path).unwrap();
        let mut forgetful = Forgetful::new(file);
        for round in 0..250u8 {
            let piece = vec![round; 900_001];
            forgetful.write_all(&piece).unwrap();
            expected.extend_from_slice(&piece);
        }
        let written = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(written == expected);
    }
}
