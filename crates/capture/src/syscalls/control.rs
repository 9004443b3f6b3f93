use aya::Ebpf;
use aya::maps::{HashMap, MapData};
use l7trace_probes::syscalls::map;

use super::filters::add;
use crate::Error;
use crate::kernel::chain;

/// Changes what an open source traces.
pub struct Control {
    pids: HashMap<MapData, u32, u8>,
}

impl Control {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Control, Error> {
        let mut take =
            |name: &str| ebpf.take_map(name).ok_or_else(|| Error::Failed(format!("the eBPF object has no map {name}")));
        let wrong = |error: aya::maps::MapError| Error::Failed(format!("the eBPF object is wrong: {}", chain(&error)));
        Ok(Control { pids: HashMap::try_from(take(map::PIDS)?).map_err(wrong)? })
    }

    /// Traces this process as well. Means something only where [`super::Options::pids`] or
    /// [`super::Options::follow`] was given: else every process is traced already.
    ///
    /// # Errors
    /// Where the filter is full.
    pub fn add_pid(&mut self, pid: u32) -> Result<(), Error> {
        add(&mut self.pids, pid).map_err(|why| Error::Failed(format!("cannot trace process {pid}: {why}")))
    }
}
