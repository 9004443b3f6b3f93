//! What processes say, through every socket call: the plain bytes, with the process that said them.
//!
//! Two engines, one event: programs in the kernel see each transfer through a stream socket, copy
//! its bytes from the caller's memory, and name their position by the kernel's own counters (TCP
//! sequence numbers), so that packets and both ends of a connection speak of the same bytes by the
//! same numbers. The tracer's own calls are never traced.

mod control;
mod decoder;
mod engine;
mod filters;
mod options;
mod sockets;
mod tap;
mod tracefs;
mod unix;

pub use control::Control;
pub use filters::cgroup_folder;
pub use options::{Engine, Options};

use crate::kernel::{Capability, Limits, require_capabilities, require_kernel};
use crate::{Error, Source};

/// Opens the source: when it returns, everything is attached.
///
/// # Errors
/// Where rights are missing, a filter names nothing, or this kernel has none of the hooks.
pub fn open(options: &Options) -> Result<Source, Error> {
    open_with_control(options).map(|(source, _)| source)
}

/// Opens the source, and gives what changes its filters while it runs.
///
/// # Errors
/// As [`open`].
pub fn open_with_control(options: &Options) -> Result<(Source, Control), Error> {
    require_kernel()?;
    require_capabilities("trace system calls", &[Capability::Bpf, Capability::Perfmon])?;
    let filters = filters::Filters::new(options)?;
    let mut attached = engine::attach(options, &filters)?;
    let control = Control::take(&mut attached.loaded.ebpf)?;
    let description = format!("syscalls (engine {})", attached.description);
    let limits = Limits::take(&mut attached.loaded.ebpf)?;
    let decoder = decoder::SyscallsDecoder::new(options.sockets as usize, limits, attached.warnings);
    let tap = tap::SyscallsTap::new(attached.loaded);
    Ok((Source { tap: Box::new(tap), decoder: Box::new(decoder), description }, control))
}
