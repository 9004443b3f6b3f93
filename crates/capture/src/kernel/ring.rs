use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::slice;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use aya::maps::MapData;

use super::mapping::{Mapping, page_size};
use crate::Error;

/// The reading end of a BPF ring buffer (`kernel/bpf/ringbuf.c`).
///
/// Its layout: a page with the consumer's position, a page with the producer's, the data, and the
/// data once more, so that a record that wraps is whole. Of the second copy only as much is mapped
/// as the longest record takes: resident memory counts every mapping.
#[derive(Debug)]
pub struct Ring {
    positions: Positions,
    data: Mapping,
    size: usize,
    position: u64,
    poll: OwnedFd,
    map: MapData,
}

/// How full a ring is, for threads other than the one that reads it.
#[derive(Debug)]
pub struct Level {
    positions: Positions,
    high: u64,
    poll: OwnedFd,
}

impl Level {
    /// Waits until the kernel wakes those who read, as it does where the ring becomes high, or until this
    /// becomes readable.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub fn wait_for(&self, other: BorrowedFd<'_>) -> Result<(), Error> {
        let failed = |error: io::Error| Error::Failed(format!("cannot watch the ring buffer: {error}"));
        // A second time it is there already.
        match add_edge(&self.poll, other.as_raw_fd(), OTHER) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        wait(&self.poll, -1);
        Ok(())
    }

    /// Whether it is so full that the kernel wakes its reader: a quarter.
    #[must_use]
    pub fn is_high(&self) -> bool {
        let consumed = self.positions.consumer().load(Ordering::Relaxed);
        self.positions.producer().load(Ordering::Relaxed).saturating_sub(consumed) >= self.high
    }
}

/// The two pages with the positions of those who write and read.
#[derive(Debug)]
struct Positions {
    consumer: Mapping,
    producer: Mapping,
}

impl Positions {
    fn map(map: &MapData) -> io::Result<Positions> {
        let (fd, page) = (map.fd().as_fd(), page_size());
        let consumer = Mapping::new(fd, page, 0, true)?;
        Ok(Positions { consumer, producer: Mapping::new(fd, page, page, false)? })
    }

    fn consumer(&self) -> &AtomicU64 {
        Positions::word(&self.consumer)
    }

    /// Mapped read-only: to be loaded only.
    fn producer(&self) -> &AtomicU64 {
        Positions::word(&self.producer)
    }

    #[expect(unsafe_code, reason = "memory shared with the kernel")]
    fn word(page: &Mapping) -> &AtomicU64 {
        // SAFETY: a page begins with an aligned 64-bit position, is mapped as long as `page` lives,
        // and both sides access it atomically. Of the producer's page, which is mapped read-only,
        // only loads are made.
        unsafe { AtomicU64::from_ptr(page.at(0).cast()) }
    }
}

/// What one drain did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drained {
    /// Whether there was any record.
    pub some: bool,
    /// Whether it stopped because there was no more, and not because it was told to.
    pub emptied: bool,
}

/// In a record's head: it is not complete, or was given up.
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
const HEAD: usize = 8;
/// More than the longest record takes.
const LONGEST: usize = 128 << 10;
/// Room is given back to the kernel after so many bytes.
const RELEASE_EVERY: u64 = 256 << 10;

impl Ring {
    /// The reading end of this map, whose data takes `size` bytes.
    ///
    /// # Errors
    /// Where it cannot be mapped or waited for.
    pub fn new(map: MapData, size: usize) -> Result<Ring, Error> {
        let failed = |what: &str, error: io::Error| Error::Failed(format!("cannot {what} the ring buffer: {error}"));
        let page = page_size();
        let positions = Positions::map(&map).map_err(|error| failed("map", error))?;
        let again = LONGEST.min(size);
        let data =
            Mapping::new(map.fd().as_fd(), size + again, 2 * page, false).map_err(|error| failed("map", error))?;
        let poll = edge_poll(&map).map_err(|error| failed("wait for", error))?;
        let mut ring = Ring { positions, data, size, position: 0, poll, map };
        ring.position = ring.positions.consumer().load(Ordering::Relaxed);
        Ok(ring)
    }

    /// Gives every complete record to `each`, in the order in which they were reserved, until there
    /// is none or `each` says no.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8]) -> bool) -> Drained {
        let mut drained = Drained::default();
        let mut released = self.position;
        let mut more = true;
        // Pairs with the kernel's release when it reserves: all heads up to here are written.
        let mut end = self.positions.producer().load(Ordering::Acquire);
        while more {
            if self.position >= end {
                end = self.positions.producer().load(Ordering::Acquire);
                if self.position >= end {
                    drained.emptied = true;
                    break;
                }
            }
            let offset = self.offset();
            // Pairs with the kernel's exchange when it commits: the record is written.
            let head = self.head(offset).load(Ordering::Acquire);
            if head & BUSY != 0 {
                drained.emptied = true;
                break;
            }
            let length = (head & !(BUSY | DISCARDED)) as usize;
            if head & DISCARDED == 0 {
                drained.some = true;
                more = each(self.record(offset + HEAD, length));
            }
            self.position += ((HEAD + length + 7) & !7) as u64;
            if self.position - released >= RELEASE_EVERY {
                released = self.position;
                self.release();
            }
        }
        if released != self.position {
            self.release();
        }
        drained
    }

    /// Up to where records were read.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Up to where records were reserved by now.
    pub fn produced(&self) -> u64 {
        self.positions.producer().load(Ordering::Relaxed)
    }

    /// How full it is, for other threads.
    ///
    /// # Errors
    /// Where the positions cannot be mapped once more.
    pub fn level(&self) -> Result<Level, Error> {
        let failed = |error: io::Error| Error::Failed(format!("cannot watch the ring buffer: {error}"));
        let positions = Positions::map(&self.map).map_err(failed)?;
        let poll = edge_poll(&self.map).map_err(failed)?;
        Ok(Level { positions, high: self.size as u64 / 4, poll })
    }

    /// Waits until the kernel says that much has come, or until `timeout`. That there is something
    /// does not end it: that is the caller's to look for. Says whether it ended by what
    /// [`Ring::wake_for`] was given.
    pub fn wait(&self, timeout: Duration) -> bool {
        let milliseconds = i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX);
        wait(&self.poll, milliseconds) == Some(OTHER)
    }

    /// Ends waits also when this becomes readable once more.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub fn wake_for(&self, other: BorrowedFd<'_>) -> Result<(), Error> {
        add_edge(&self.poll, other.as_raw_fd(), OTHER)
            .map_err(|error| Error::Failed(format!("cannot wait for a descriptor: {error}")))
    }

    /// What becomes readable when the kernel wakes those who wait for the ring.
    pub fn alarm(&self) -> BorrowedFd<'_> {
        self.map.fd().as_fd()
    }

    /// Gives what was read back to the kernel.
    fn release(&self) {
        self.positions.consumer().store(self.position, Ordering::Release);
    }

    /// Where in the data the next record begins.
    fn offset(&self) -> usize {
        (self.position & (self.size as u64 - 1)) as usize
    }

    #[expect(unsafe_code, reason = "memory shared with the kernel")]
    fn head(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(8));
        // SAFETY: within the mapping (`at` checks), aligned, and accessed atomically by both sides;
        // only loads are made.
        unsafe { AtomicU32::from_ptr(self.data.at(offset).cast()) }
    }

    #[expect(unsafe_code, reason = "memory shared with the kernel")]
    fn record(&self, offset: usize, length: usize) -> &[u8] {
        assert!(offset + length <= self.data.length());
        if length == 0 {
            return &[];
        }
        // SAFETY: within the mapping; the record is complete, so the kernel does not write to it
        // before the consumer's position goes beyond it, which needs `&mut self`.
        unsafe { slice::from_raw_parts(self.data.at(offset), length) }
    }
}

/// An epoll instance that reports the ring's wake-ups alone. A level-triggered one would report at
/// once as long as there is any record.
#[expect(unsafe_code, reason = "the standard library has no epoll")]
fn edge_poll(map: &MapData) -> io::Result<OwnedFd> {
    // SAFETY: takes flags alone.
    let poll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if poll < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and nobody else's.
    let poll = unsafe { OwnedFd::from_raw_fd(poll) };
    add_edge(&poll, map.fd().as_fd().as_raw_fd(), RING)?;
    Ok(poll)
}

/// What an event of the epoll instance is about.
const RING: u64 = 0;
const OTHER: u64 = 1;

#[expect(unsafe_code, reason = "the standard library has no epoll")]
fn add_edge(poll: &OwnedFd, fd: RawFd, about: u64) -> io::Result<()> {
    let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: about };
    // SAFETY: both descriptors are open and `event` outlives the call.
    let result = unsafe { libc::epoll_ctl(poll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What an event was about, if there was any.
#[expect(unsafe_code, reason = "the standard library has no epoll")]
fn wait(poll: &OwnedFd, milliseconds: i32) -> Option<u64> {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: `event` has room for the one event that is asked for. A signal ends the wait early,
    // which costs nothing.
    let events = unsafe { libc::epoll_wait(poll.as_raw_fd(), &mut event, 1, milliseconds) };
    (events > 0).then_some(event.u64)
}
