use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};

/// Pages of a BPF map, shared with the kernel; unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the pages are the kernel's and belong to no thread; whoever reads or writes through
// `Mapping::at` says why that is sound.
#[expect(unsafe_code, reason = "a pointer to pages that are shared with the kernel")]
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `length` bytes of the map from `offset` on, a multiple of the page size.
    #[expect(unsafe_code, reason = "the standard library maps no memory")]
    pub(crate) fn new(map: BorrowedFd<'_>, length: usize, offset: usize, writable: bool) -> io::Result<Mapping> {
        let protection = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing.
        let start =
            unsafe { libc::mmap(ptr::null_mut(), length, protection, libc::MAP_SHARED, map.as_raw_fd(), offset) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        Ok(Mapping { start, length })
    }

    /// How many bytes are mapped.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The address of the byte at `offset`, which must be mapped.
    pub(crate) fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.length);
        self.start.as_ptr().wrapping_add(offset)
    }
}

impl Drop for Mapping {
    #[expect(unsafe_code, reason = "the standard library maps no memory")]
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped, and nothing borrows from it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// The size of a page.
#[expect(unsafe_code, reason = "the standard library does not tell it")]
pub(crate) fn page_size() -> usize {
    // SAFETY: sysconf takes a number and touches no memory of ours.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}
