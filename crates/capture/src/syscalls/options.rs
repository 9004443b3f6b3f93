use std::path::PathBuf;

use crate::kernel::NetworkNamespace;

/// Which kernel hooks tell of socket calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// The best that this kernel has.
    #[default]
    Auto,
    /// `sock:sock_send_length` and `sock:sock_recv_length`: nothing runs but on transfers through
    /// sockets. Linux 6.3.
    Sock,
    /// The tracepoints of the system calls themselves. Linux 5.8.
    Tracepoints,
}

impl Engine {
    /// The name on the command line and in the ready line.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Auto => "auto",
            Engine::Sock => "sock",
            Engine::Tracepoints => "tracepoints",
        }
    }

    /// The engine of this name.
    pub fn parse(name: &str) -> Option<Engine> {
        [Engine::Auto, Engine::Sock, Engine::Tracepoints].into_iter().find(|engine| engine.name() == name)
    }
}

/// What is traced, and how. Values of one filter are alternatives; different filters must all hold;
/// an empty one lets everything pass. All of them are applied in the kernel, before any byte of a
/// payload is copied.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which hooks to use.
    pub engine: Engine,
    /// Only these processes, as the tracer's PID namespace numbers them.
    pub pids: Vec<u32>,
    /// And the processes that they start from now on, and those that these start.
    pub follow: bool,
    /// Only processes whose leader has one of these command names (the kernel keeps 15 bytes).
    pub commands: Vec<String>,
    /// Only processes in these cgroups or below them: folders of the unified hierarchy (cgroup2),
    /// absolute or relative to its mount point.
    pub cgroups: Vec<PathBuf>,
    /// Only sockets of these network namespaces.
    pub namespaces: Vec<NetworkNamespace>,
    /// Only TCP connections with one of these ports at either end.
    pub ports: Vec<u16>,
    /// The size of the ring between the kernel and the tracer, in bytes.
    pub ring_bytes: usize,
    /// How many bytes of one call are copied at most; what is beyond is missing.
    pub copy_limit: u32,
    /// Whether both ends of a connection tell of its bytes, where both are traced; else the receiving
    /// end tells of what the sending one did not, and of the rest only when it came.
    pub each_end: bool,
    /// How many sockets are kept at once in the kernel; the one unused for longest makes room.
    pub sockets: u32,
}

/// More than 100 ms of full speed of this design's test load (nginx and wrk on two processors), in which
/// each byte comes once. What the kernel fills again and again had better stay in its caches.
const RING_BYTES: usize = 16 << 20;

impl Default for Options {
    fn default() -> Options {
        Options {
            engine: Engine::Auto,
            pids: Vec::new(),
            follow: false,
            commands: Vec::new(),
            cgroups: Vec::new(),
            namespaces: Vec::new(),
            ports: Vec::new(),
            ring_bytes: RING_BYTES,
            copy_limit: 1 << 20,
            each_end: false,
            sockets: 1 << 17,
        }
    }
}
