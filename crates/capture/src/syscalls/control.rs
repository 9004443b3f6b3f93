use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData};
use l7trace_probes::syscalls::{Limit, map};

use super::filters::{LIMITS, add};
use crate::Error;
use crate::kernel::chain;

/// Changes what an open source traces.
pub struct Control {
    pids: HashMap<MapData, u32, u8>,
    limits: Array<MapData, LimitValue>,
}

/// A [`Limit`], in the form in which aya takes values of maps.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
struct LimitValue(Limit);

#[expect(unsafe_code, reason = "aya wants to know that a value may be copied as bytes")]
// SAFETY: `Limit` is `repr(C)`, of integers alone, and its size is the sum of theirs: no padding.
unsafe impl aya::Pod for LimitValue {}

impl Control {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Control, Error> {
        let mut take =
            |name: &str| ebpf.take_map(name).ok_or_else(|| Error::Failed(format!("the eBPF object has no map {name}")));
        let wrong = |error: aya::maps::MapError| Error::Failed(format!("the eBPF object is wrong: {}", chain(&error)));
        Ok(Control {
            pids: HashMap::try_from(take(map::PIDS)?).map_err(wrong)?,
            limits: Array::try_from(take(map::LIMITS)?).map_err(wrong)?,
        })
    }

    /// Traces this process as well. Means something only where [`super::Options::pids`] or
    /// [`super::Options::follow`] was given: else every process is traced already.
    ///
    /// # Errors
    /// Where the filter is full.
    pub fn add_pid(&mut self, pid: u32) -> Result<(), Error> {
        add(&mut self.pids, pid).map_err(|why| Error::Failed(format!("cannot trace process {pid}: {why}")))
    }

    /// Says what of one socket's bytes is wanted from now on. It takes the place of what was said of
    /// another that shares its slot; limits spare work, and nothing depends on them.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn limit(&mut self, limit: Limit) -> Result<(), Error> {
        let index = (limit.id & u64::from(LIMITS - 1)) as u32;
        self.limits
            .set(index, LimitValue(limit), 0)
            .map_err(|error| Error::Failed(format!("cannot limit what is copied: {}", chain(&error))))
    }
}
