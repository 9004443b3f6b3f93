//! Packets of a live host: an eBPF filter on packet sockets hands TCP up through a ring buffer, and
//! nothing is queued on the sockets.
//!
//! Tunnels need no unwrapping here: what they carry is seen once more on the tunnel's own interface.

mod decoder;
mod interfaces;
mod socket;
mod sockets;
mod tap;

use std::os::fd::AsFd;

use aya::programs::SocketFilter;
use l7trace_probes::packets as probe;

use crate::kernel::{self, Capability, Limits, Namespace, NetworkNamespace};
use crate::owner::{Hook, Owners};
use crate::{Error, Source};
use decoder::{LiveDecoder, OwnerWitness};
use sockets::Sockets;
use tap::{PacketTap, Warnings};

/// What to capture, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The interfaces, by name; none or `any` means all of them, also those that come later.
    pub interfaces: Vec<String>,
    /// Where those interfaces are.
    pub namespace: NetworkNamespace,
    /// Only connections with one of these ports at either end; none means all.
    pub ports: Vec<u16>,
    /// The size of the ring buffer in bytes, rounded up to a power of two.
    pub ring_bytes: usize,
    /// Whether to find the processes at the ends of connections.
    pub owners: bool,
}

/// More than 100 ms of full speed of this design's test load (nginx and wrk on two processors, which
/// leave the reader waiting for tens of milliseconds).
pub const RING_BYTES: usize = 16 << 20;

impl Default for Options {
    fn default() -> Options {
        Options {
            interfaces: Vec::new(),
            namespace: NetworkNamespace::Own,
            ports: Vec::new(),
            ring_bytes: RING_BYTES,
            owners: true,
        }
    }
}

/// Opens the source: when it returns, packets are being captured.
///
/// # Errors
/// Where rights are missing, the kernel is too old, or there is no such interface or namespace.
pub fn open(options: &Options) -> Result<Source, Error> {
    kernel::require_kernel()?;
    // Without CAP_PERFMON the verifier follows speculation too, and gives the program up as too complex.
    let mut needed = vec![Capability::Bpf, Capability::Perfmon, Capability::NetRaw];
    if options.namespace != NetworkNamespace::Own {
        needed.push(Capability::SysAdmin);
    }
    kernel::require_capabilities("trace packets", &needed)?;
    let namespace = Namespace::open(&options.namespace)?;
    let interfaces = namespace.run(|| interfaces::choose(&options.interfaces))??;

    let only_ports = u8::from(!options.ports.is_empty());
    let ports = port_bits(&options.ports);
    let mut loaded = kernel::load("packets", probe::object(), None, options.ring_bytes, |loader| {
        loader.override_global(probe::ONLY_PORTS, &only_ports, true);
        loader.override_global(probe::PORTS, ports.as_slice(), true);
        Limits::configure(loader);
    })?;
    load_filter(&mut loaded.ebpf)?;
    let limits = Limits::take(&mut loaded.ebpf)?;
    let description = format!("packets on {}", interfaces.description());
    let sockets = Sockets::open(namespace, interfaces, loaded.ebpf)?;
    loaded.reader.wake_for(sockets.changes().map(AsFd::as_fd))?;

    let owners = if options.owners { Some(Owners::start(sockets.namespace())?) } else { None };
    // Without it owners are searched for all the same, only later.
    let hook = options.owners.then(|| Hook::attach(sockets.namespace()).ok()).flatten();
    let answers = owners.as_ref().map(Owners::notice);
    let warnings = Warnings::default();
    let witness = OwnerWitness { search: owners, told: hook.as_ref().map(Hook::told) };
    Ok(Source {
        decoder: Box::new(LiveDecoder::new(sockets.namespace().inode(), witness, limits, warnings.clone())),
        tap: Box::new(PacketTap::new(loaded.reader, sockets, hook, answers, warnings)),
        description,
    })
}

fn load_filter(ebpf: &mut aya::Ebpf) -> Result<(), Error> {
    let missing = || Error::Failed("the committed eBPF object has no packets program".into());
    let filter: &mut SocketFilter =
        ebpf.program_mut(probe::PROGRAM).ok_or_else(missing)?.try_into().map_err(|_| missing())?;
    kernel::load_program("packets", || filter.load())
}

/// A bit for each port.
fn port_bits(ports: &[u16]) -> Vec<u64> {
    let mut bits = vec![0; 1024];
    for port in ports {
        bits[usize::from(port >> 6)] |= 1 << (port & 63);
    }
    bits
}
