//! The programs on socket calls: `bpf/syscalls_*.bpf.c`, `bpf/syscalls.h`.
//!
//! Every record begins with its kind; [`Record::read`] takes it apart.

use crate::fields::Fields;

/// The object of the `sock` engine.
pub fn sock_object() -> &'static [u8] {
    crate::object!("syscalls_sock")
}

/// The object of the `tracepoints` engine.
pub fn tracepoints_object() -> &'static [u8] {
    crate::object!("syscalls_tracepoints")
}

/// Globals, all `u32` unless said otherwise.
pub mod global {
    /// The tracer's own process id.
    pub const TRACER: &str = "tracer";
    /// The inode number of the tracer's PID namespace; 0 for the first one.
    pub const PID_NAMESPACE: &str = "pid_namespace";
    /// How many network namespaces are wanted; 0 for all, as the next.
    pub const NETWORK_NAMESPACES: &str = "network_namespaces";
    /// Whether only processes of [`map::PIDS`](super::map::PIDS) are wanted.
    pub const PIDS: &str = "pids";
    /// Whether only commands of [`map::COMMANDS`](super::map::COMMANDS) are wanted.
    pub const COMMANDS: &str = "commands";
    /// Whether only what is in or below [`map::CGROUPS`](super::map::CGROUPS) is wanted.
    pub const CGROUPS: &str = "cgroups";
    /// Whether only the ports of [`map::PORTS`](super::map::PORTS) are wanted.
    pub const PORTS: &str = "ports";
    /// Whether children of wanted processes are wanted.
    pub const FOLLOW: &str = "follow";
    /// How much of one call is copied at most.
    pub const COPY_LIMIT: &str = "copy_limit";
    /// Whether both ends of a connection tell of its bytes.
    pub const EACH_END: &str = "each_end";
}

/// Maps.
pub mod map {
    /// Hash: process id (`u32`) → `u8`.
    pub const PIDS: &str = "wanted_pids";
    /// Hash: command name, 16 bytes filled up with zeros → `u8`.
    pub const COMMANDS: &str = "wanted_commands";
    /// Hash: cgroup id (`u64`) → `u8`.
    pub const CGROUPS: &str = "wanted_cgroups";
    /// Hash: inode number of a network namespace (`u32`) → `u8`.
    pub const NAMESPACES: &str = "wanted_namespaces";
    /// Hash: port (`u16`) → `u8`.
    pub const PORTS: &str = "wanted_ports";
    /// The sockets that are kept; its size is the loader's to set.
    pub const SOCKETS: &str = "sockets";
    /// Array of one `u32`: 1 once the sockets that existed at the start are known.
    pub const SETTLED: &str = "settled";
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// Bytes that a call moved.
    Data(Data<'a>),
    /// A direction opened or ended.
    State(State),
    /// Which socket an id stands for.
    Facts(Facts),
    /// The names of a Unix socket's ends.
    Names(Names<'a>),
    /// A process that is out of sight.
    Blind(BlindProcess),
}

/// `struct data_record` and the bytes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// Whether the socket received the bytes; else it sent them.
    pub received: bool,
    /// Why something is missing: a `CAUSE_…` of [`cause`].
    pub cause: u8,
    /// Names the socket.
    pub id: u64,
    /// `CLOCK_MONOTONIC`, in nanoseconds; as everywhere.
    pub time: u64,
    /// The position of the first byte.
    pub position: u32,
    /// For what was sent: up to where the socket had been read.
    pub acknowledged: u32,
    /// How many bytes follow that were moved and not copied.
    pub missing: u32,
    /// With what was sent: what had been received before and not been told of.
    pub heard: Heard,
    /// What was copied.
    pub bytes: &'a [u8],
}

/// Bytes that a socket received and of which the sending end's program told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The position of the first.
    pub position: u32,
    /// What came first: how many, and when. 0: nothing came.
    pub first: (u32, u64),
    /// What came behind it at once: how many, and when the last of them.
    pub more: (u32, u64),
}

/// `enum cause` of `syscalls.h`.
pub mod cause {
    /// Beyond what is copied of one call.
    pub const CAPTURE_LIMIT: u8 = 1;
    /// The memory could not be read.
    pub const UNREADABLE: u8 = 2;
    /// Never in the caller's memory.
    pub const ZERO_COPY: u8 = 3;
    /// Moved by io_uring.
    pub const IO_URING: u8 = 4;
    /// Moved by the kernel itself.
    pub const KERNEL: u8 = 5;
    /// The caller is a 32-bit program.
    pub const COMPAT: u8 = 6;
    /// User space asked for it.
    pub const SKIPPED: u8 = 7;
    /// Nothing is missing: the program of the sending end told of the bytes.
    pub const ELSEWHERE: u8 = 8;
}

/// `struct state_record`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Bits of [`state`].
    pub what: u8,
    /// Names the socket.
    pub id: u64,
    /// When.
    pub time: u64,
    /// A position in what the socket sends.
    pub sent: u32,
    /// A position in what it receives.
    pub received: u32,
}

/// `STATE_…` of `syscalls.h`.
pub mod state {
    /// The positions are those of the two SYNs.
    pub const OPEN: u8 = 1;
    /// The socket sent its last byte.
    pub const SENT_END: u8 = 2;
    /// Its peer did.
    pub const RECEIVED_END: u8 = 4;
    /// The socket broke the connection off.
    pub const SENT_RESET: u8 = 8;
    /// Its peer did.
    pub const RECEIVED_RESET: u8 = 16;
    /// Nothing with this id follows.
    pub const GONE: u8 = 32;
}

/// `struct facts_record`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `AF_INET`, `AF_INET6` or `AF_UNIX`.
    pub family: u8,
    /// Bits of [`facts`].
    pub flags: u8,
    /// The process that holds the socket; 0 where it is not known yet.
    pub process: u32,
    /// Names the socket.
    pub id: u64,
    /// When.
    pub time: u64,
    /// When the process started, in nanoseconds since boot.
    pub started: u64,
    /// The process's cgroup.
    pub cgroup: u64,
    /// The inode number of the network namespace.
    pub namespace: u32,
    /// The socket's own port.
    pub local_port: u16,
    /// Its peer's.
    pub remote_port: u16,
    /// The socket's own address: IPv4 in the first four bytes; of a Unix socket the inode number (0
    /// where it has none yet or no longer) and what tells it from all others that live.
    pub local: [u8; 16],
    /// Its peer's.
    pub remote: [u8; 16],
    /// The command name of the process's leader, filled up with zeros.
    pub command: [u8; 16],
}

/// `FACTS_…` of `syscalls.h`.
pub mod facts {
    /// The socket called connect.
    pub const CLIENT: u8 = 1;
    /// It was accepted.
    pub const SERVER: u8 = 2;
    /// It existed when tracing began.
    pub const EXISTS: u8 = 4;
    /// It was made after tracing began.
    pub const BORN: u8 = 8;
    /// It listens.
    pub const LISTENS: u8 = 16;
}

/// `struct names_record`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names<'a> {
    /// Names the socket.
    pub id: u64,
    /// When.
    pub time: u64,
    /// What the socket is bound to, as in `sockaddr_un`; empty where it is not.
    pub local: &'a [u8],
    /// What its peer is bound to.
    pub remote: &'a [u8],
}

/// `struct blind_record`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlindProcess {
    /// A `BLIND_…` of [`blind`].
    pub why: u8,
    /// The process.
    pub process: u32,
    /// When.
    pub time: u64,
    /// The command name of its leader.
    pub command: [u8; 16],
}

/// `enum blind_why` of `syscalls.h`.
pub mod blind {
    /// It uses io_uring.
    pub const IO_URING: u8 = 1;
    /// It uses kernel TLS.
    pub const KERNEL_TLS: u8 = 2;
    /// It is a 32-bit program.
    pub const COMPAT: u8 = 3;
    /// It uses MPTCP.
    pub const MPTCP: u8 = 4;
}

/// Where the limit of a socket stands in [`LIMITS`](crate::limits::LIMITS).
pub fn limit_hash(id: u64) -> u32 {
    (id >> 12).wrapping_add((id & 4095).wrapping_mul(1021)) as u32
}

/// How long each record is, without the bytes of a [`Data`].
mod length {
    pub(super) const DATA: usize = 64;
    pub(super) const STATE: usize = 32;
    pub(super) const FACTS: usize = 96;
    pub(super) const NAMES: usize = 248;
    pub(super) const NAME: usize = 112;
    pub(super) const BLIND: usize = 32;
}

/// `enum record_kind`.
mod kind {
    pub(super) const DATA: u8 = 1;
    pub(super) const STATE: u8 = 2;
    pub(super) const FACTS: u8 = 3;
    pub(super) const NAMES: u8 = 4;
    pub(super) const BLIND: u8 = 5;
}

/// How many bytes of a record are worth keeping: records of data come in size classes.
pub fn used(record: &[u8]) -> usize {
    match record.first_chunk::<8>() {
        Some(&[kind::DATA, _, _, _, a, b, c, d]) => length::DATA + u32::from_ne_bytes([a, b, c, d]) as usize,
        _ => record.len(),
    }
}

impl Record<'_> {
    /// Takes a record apart; none where it is none, or cut short.
    pub fn read(record: &[u8]) -> Option<Record<'_>> {
        let mut fields = Fields(record);
        let kind = fields.u8()?;
        match kind {
            kind::DATA if record.len() >= length::DATA => {
                let (received, cause, _) = (fields.u8()? == 1, fields.u8()?, fields.u8()?);
                let bytes = fields.u32()? as usize;
                let (id, time) = (fields.u64()?, fields.u64()?);
                let (position, acknowledged, missing) = (fields.u32()?, fields.u32()?, fields.u32()?);
                let (heard, heard_at) = (fields.u32()?, fields.u64()?);
                let (first, more, more_at) = (fields.u32()?, fields.u32()?, fields.u64()?);
                let heard = Heard { position: heard, first: (first, heard_at), more: (more, more_at) };
                let bytes = fields.bytes(bytes)?;
                Some(Record::Data(Data { received, cause, id, time, position, acknowledged, missing, heard, bytes }))
            }
            kind::STATE if record.len() >= length::STATE => {
                let what = fields.u8()?;
                fields.bytes(6)?;
                let (id, time) = (fields.u64()?, fields.u64()?);
                Some(Record::State(State { what, id, time, sent: fields.u32()?, received: fields.u32()? }))
            }
            kind::FACTS if record.len() >= length::FACTS => {
                let (family, flags, _) = (fields.u8()?, fields.u8()?, fields.u8()?);
                Some(Record::Facts(Facts {
                    family,
                    flags,
                    process: fields.u32()?,
                    id: fields.u64()?,
                    time: fields.u64()?,
                    started: fields.u64()?,
                    cgroup: fields.u64()?,
                    namespace: fields.u32()?,
                    local_port: fields.u16()?,
                    remote_port: fields.u16()?,
                    local: fields.array()?,
                    remote: fields.array()?,
                    command: fields.array()?,
                }))
            }
            kind::NAMES if record.len() >= length::NAMES => {
                let (local, remote) = (fields.u8()?, fields.u8()?);
                fields.bytes(5)?;
                let (id, time) = (fields.u64()?, fields.u64()?);
                let name = |bytes: Option<_>, length: u8| -> Option<&[u8]> {
                    let bytes: &[u8] = bytes?;
                    Some(bytes.get(..usize::from(length)).unwrap_or(bytes))
                };
                let local = name(fields.bytes(length::NAME), local)?;
                Some(Record::Names(Names { id, time, local, remote: name(fields.bytes(length::NAME), remote)? }))
            }
            kind::BLIND if record.len() >= length::BLIND => {
                let why = fields.u8()?;
                fields.bytes(2)?;
                let (process, time) = (fields.u32()?, fields.u64()?);
                Some(Record::Blind(BlindProcess { why, process, time, command: fields.array()? }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_data_and_refuses_it_cut_short() {
        let mut record = vec![kind::DATA, 1, cause::CAPTURE_LIMIT, 0];
        record.extend(3u32.to_ne_bytes());
        record.extend(77u64.to_ne_bytes());
        record.extend(5u64.to_ne_bytes());
        for word in [100u32, 200, 9, 50] {
            record.extend(word.to_ne_bytes());
        }
        record.extend(3u64.to_ne_bytes());
        record.extend(30u32.to_ne_bytes());
        record.extend(20u32.to_ne_bytes());
        record.extend(4u64.to_ne_bytes());
        record.extend(b"abc, and what the size class leaves unused");
        assert_eq!(used(&record), 67);
        let Some(Record::Data(data)) = Record::read(&record) else { panic!() };
        assert!(data.received);
        assert_eq!((data.cause, data.id, data.time, data.position), (cause::CAPTURE_LIMIT, 77, 5, 100));
        assert_eq!((data.acknowledged, data.missing, data.bytes), (200, 9, &b"abc"[..]));
        assert_eq!(data.heard, Heard { position: 50, first: (30, 3), more: (20, 4) });
        for length in 0..67 {
            assert_eq!(Record::read(&record[..length]), None, "{length}");
        }
    }

    #[test]
    fn every_record_is_as_long_as_the_header_says() {
        for (kind, length) in [
            (kind::DATA, length::DATA),
            (kind::STATE, length::STATE),
            (kind::FACTS, length::FACTS),
            (kind::NAMES, length::NAMES),
            (kind::BLIND, length::BLIND),
        ] {
            let mut record = vec![0; length];
            record[0] = kind;
            assert!(Record::read(&record).is_some(), "{kind}");
            assert!(Record::read(&record[..length - 1]).is_none(), "{kind}");
        }
        assert_eq!(Record::read(&[9; 64]), None);
        assert_eq!(Record::read(&[]), None);
    }
}
