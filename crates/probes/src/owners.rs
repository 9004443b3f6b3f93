//! Who holds the ends of TCP connections: `bpf/owners.bpf.c`, `bpf/owners.h`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::fields::Fields;

/// The object.
pub fn object() -> &'static [u8] {
    crate::object!("owners")
}

/// The program's name in the object, and that of its tracepoint.
pub const PROGRAM: &str = "inet_sock_set_state";
/// Global `u32`: the only network namespace, by inode number.
pub const NETWORK_NAMESPACE: &str = "network_namespace";
/// Global `u64`: the device of the tracer's PID namespace, where it is not the first one.
pub const PID_NAMESPACE_DEVICE: &str = "pid_namespace_device";
/// Global `u64`: its inode number; 0 where it is the first one.
pub const PID_NAMESPACE_INODE: &str = "pid_namespace_inode";

/// `struct owner_record`: a process holds the local end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerRecord {
    /// When the process started, in nanoseconds since boot.
    pub started: u64,
    /// The id of its cgroup (v2).
    pub cgroup: u64,
    /// Its id.
    pub process: u32,
    /// The command name of its leader.
    pub command: [u8; 16],
    /// Its own end: address and port.
    pub local: (IpAddr, u16),
    /// The other end.
    pub remote: (IpAddr, u16),
}

/// How long a record is.
const LENGTH: usize = 80;
const AF_INET6: u16 = 10;

impl OwnerRecord {
    /// Reads a record; none where it is too short.
    pub fn read(record: &[u8]) -> Option<OwnerRecord> {
        let mut fields = Fields(record.get(..LENGTH)?);
        let (started, cgroup, process) = (fields.u64()?, fields.u64()?, fields.u32()?);
        fields.u32()?;
        let command = fields.array()?;
        let (family, local_port, remote_port) = (fields.u16()?, fields.u16()?, fields.u16()?);
        fields.u16()?;
        let mut address = || {
            let bytes: [u8; 16] = fields.array()?;
            let v4 = || bytes.first_chunk().map(|first: &[u8; 4]| IpAddr::V4(Ipv4Addr::from(*first)));
            if family == AF_INET6 { Some(IpAddr::V6(Ipv6Addr::from(bytes))) } else { v4() }
        };
        let (local, remote) = ((address()?, local_port), (address()?, remote_port));
        Some(OwnerRecord { started, cgroup, process, command, local, remote })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_record_and_refuses_one_cut_short() {
        let mut record = Vec::new();
        record.extend(5u64.to_ne_bytes());
        record.extend(6u64.to_ne_bytes());
        record.extend(7u32.to_ne_bytes());
        record.extend([0; 4]);
        record.extend(b"curl\0\0\0\0\0\0\0\0\0\0\0\0");
        for word in [2u16, 4000, 80, 0] {
            record.extend(word.to_ne_bytes());
        }
        record.extend([127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        record.extend([10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let read = OwnerRecord::read(&record).unwrap();
        assert_eq!((read.started, read.cgroup, read.process, &read.command[..5]), (5, 6, 7, &b"curl\0"[..]));
        assert_eq!(read.local, (Ipv4Addr::LOCALHOST.into(), 4000));
        assert_eq!(read.remote, (Ipv4Addr::new(10, 0, 0, 2).into(), 80));
        assert_eq!(OwnerRecord::read(&record[..79]), None);
    }
}
