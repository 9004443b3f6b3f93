use std::mem::offset_of;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use aya::maps::MapData;
use aya::{Ebpf, EbpfLoader};
use l7trace_probes::limits::{LIMITS, LIMITS_MASK, Limit, skip};

use super::load::take_map;
use super::mapping::{Mapping, page_size};
use crate::Error;

/// The array of [`Limit`]s that the programs look into, in pages shared with the kernel: saying that
/// something is not needed costs no system call.
#[derive(Debug)]
pub(crate) struct Limits {
    pages: Mapping,
    _map: MapData,
}

/// How many there are; a power of two.
const COUNT: u32 = 1 << 14;
const MASK: u32 = COUNT - 1;

impl Limits {
    /// Sets the size of the array in an object that is about to be loaded.
    pub(crate) fn configure(loader: &mut EbpfLoader<'_>) {
        loader.map_max_entries(LIMITS, COUNT);
        loader.override_global(LIMITS_MASK, &MASK, true);
    }

    /// Takes the limits out of a loaded object.
    ///
    /// # Errors
    /// Where they cannot be mapped.
    pub(crate) fn take(ebpf: &mut Ebpf) -> Result<Limits, Error> {
        let map = take_map(ebpf, LIMITS)?;
        let length = (COUNT as usize * size_of::<Limit>()).next_multiple_of(page_size());
        let pages = Mapping::new(map.fd().as_fd(), length, 0, true)
            .map_err(|error| Error::Failed(format!("cannot map the limits of what is copied: {error}")))?;
        Ok(Limits { pages, _map: map })
    }

    /// Bytes of `id`'s direction before `until`, or none at all any more, are not needed; the hash of the
    /// id says where that stands. It takes the
    /// place of what was said of another that shares this one: limits spare work, and nothing depends
    /// on them.
    pub(crate) fn skip(&self, hash: u32, id: u64, direction: usize, until: Option<u32>) {
        let start = (hash & MASK) as usize * size_of::<Limit>();
        let own = self.number(start + offset_of!(Limit, id));
        if own.load(Ordering::Relaxed) != id {
            // Whoever is meant at this moment: nothing of it is skipped.
            for other in 0..2 {
                self.skipping(start, other).store(skip::NOTHING, Ordering::Release);
            }
            own.store(id, Ordering::Release);
        }
        let position = start + offset_of!(Limit, skip_until) + direction * size_of::<u32>();
        self.position(position).store(until.unwrap_or(0), Ordering::Release);
        let how = if until.is_some() { skip::UNTIL } else { skip::ALL };
        self.skipping(start, direction).store(how, Ordering::Release);
    }

    #[expect(unsafe_code, reason = "memory shared with the kernel")]
    fn number(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: within the mapping (`at` checks) and aligned, as `Limit` is in it; the kernel's
        // programs read whole numbers.
        unsafe { AtomicU64::from_ptr(self.pages.at(offset).cast()) }
    }

    #[expect(unsafe_code, reason = "memory shared with the kernel")]
    fn position(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { AtomicU32::from_ptr(self.pages.at(offset).cast()) }
    }

    #[expect(unsafe_code, reason = "memory shared with the kernel")]
    fn skipping(&self, start: usize, direction: usize) -> &AtomicU8 {
        // SAFETY: as above.
        unsafe { AtomicU8::from_ptr(self.pages.at(start + offset_of!(Limit, skip) + direction)) }
    }
}
