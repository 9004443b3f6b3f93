use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aya::Ebpf;
use aya::programs::{BtfTracePoint, ProgramError};
use l7trace_event::{Endpoint, Process, Tuple};
use l7trace_probes::owners as probe;
use l7trace_probes::owners::OwnerRecord;

use super::Answer;
use crate::kernel::{self, Frame, Namespace, Reader, chain, frames};
use crate::{Batch, Error};

/// What the kernel says of owners by itself: who asks for a connection, and who closes an end of one.
/// No search is as quick, and no process so short-lived that it would be missed.
#[derive(Debug)]
pub struct Hook {
    reader: Reader,
    batch: Batch,
    namespace: u32,
    told: Told,
    known: Known,
    /// The program, attached as long as this lives.
    _ebpf: Ebpf,
}

/// What the hook was told, on its way from the thread that asks the kernel to the one that decodes.
#[derive(Clone, Debug, Default)]
pub struct Told(Arc<Mutex<Vec<Answer>>>);

const RING_BYTES: usize = 1 << 20;
/// Answers that nobody has taken yet; what goes beyond is for the search to find.
const WAITING: usize = 1 << 16;

impl Hook {
    /// Attaches it, for connections in this namespace.
    ///
    /// # Errors
    /// Where rights are missing, or the kernel has no such tracepoint or no BTF.
    pub fn attach(namespace: &Namespace) -> Result<Hook, Error> {
        let btf = kernel::kernel_btf()?;
        let (device, inode) = pid_namespace();
        let only = namespace.inode();
        let mut loaded = kernel::load("owners", probe::object(), Some(&btf), RING_BYTES, |loader| {
            loader.override_global(probe::NETWORK_NAMESPACE, &only, true);
            loader.override_global(probe::PID_NAMESPACE_DEVICE, &device, true);
            loader.override_global(probe::PID_NAMESPACE_INODE, &inode, true);
        })?;
        let failed =
            |error: ProgramError| Error::Failed(format!("cannot attach to the life of sockets: {}", chain(&error)));
        let missing = || Error::Failed("the committed eBPF object has no owners program".into());
        let program: &mut BtfTracePoint =
            loaded.ebpf.program_mut(probe::PROGRAM).ok_or_else(missing)?.try_into().map_err(failed)?;
        program.load(probe::PROGRAM, &btf).and_then(|()| program.attach()).map_err(failed)?;
        Ok(Hook {
            reader: loaded.reader,
            batch: Batch::default(),
            namespace: only,
            told: Told::default(),
            known: Known::default(),
            _ebpf: loaded.ebpf,
        })
    }

    /// Where its answers come out.
    pub fn told(&self) -> Told {
        self.told.clone()
    }

    /// Takes what the kernel said since the last call. Does not wait.
    pub fn listen(&mut self) {
        self.reader.fill(&mut self.batch, Duration::ZERO, <[u8]>::len);
        if self.batch.bytes.is_empty() {
            return;
        }
        let mut told = self.told.0.lock().unwrap_or_else(PoisonError::into_inner);
        for frame in frames(&self.batch) {
            if let Frame::Record(record) = frame
                && let Some(record) = OwnerRecord::read(record)
                && told.len() < WAITING
            {
                told.push(answer(&record, self.namespace, &mut self.known));
            }
        }
        self.batch.clear();
    }
}

impl Told {
    /// What was told since the last call.
    pub fn take(&self) -> Vec<Answer> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn answer(record: &OwnerRecord, namespace: u32, known: &mut Known) -> Answer {
    let end = |(ip, port): (std::net::IpAddr, u16)| Endpoint::inet(ip, port);
    let name = record.command.split(|byte| *byte == 0).next().unwrap_or_default();
    let process = Process {
        pid: record.process,
        name: String::from_utf8_lossy(name).into_owned(),
        started: record.started,
        cgroup: record.cgroup,
    };
    Answer { tuple: Tuple::new(end(record.local), end(record.remote), namespace), process: Some(known.one(process)) }
}

/// The processes that were told of last: one that holds a hundred thousand connections is one.
#[derive(Debug, Default)]
struct Known(VecDeque<Arc<Process>>);

impl Known {
    const MOST: usize = 32;

    fn one(&mut self, process: Process) -> Arc<Process> {
        if let Some(known) = self.0.iter().find(|known| ***known == process) {
            return Arc::clone(known);
        }
        self.0.truncate(Known::MOST - 1);
        let process = Arc::new(process);
        self.0.push_front(Arc::clone(&process));
        process
    }
}

/// Device and inode number of the tracer's PID namespace; zeros where that is the first one.
fn pid_namespace() -> (u64, u64) {
    /// `PROC_PID_INIT_INO` of `linux/proc_ns.h`.
    const FIRST: u64 = 0xefff_fffc;
    match fs::metadata("/proc/self/ns/pid") {
        Ok(metadata) if metadata.ino() != FIRST => (metadata.dev(), metadata.ino()),
        _ => (0, 0),
    }
}
