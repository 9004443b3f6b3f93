//! The socket filter on packets: `bpf/packets.bpf.c`, `bpf/packets.h`.

use std::mem::offset_of;

/// The object.
pub fn object() -> &'static [u8] {
    crate::object!("packets")
}

/// The program's name in the object.
pub const PROGRAM: &str = "packets";
/// Global `u8`: whether only the ports of [`PORTS`] are wanted.
pub const ONLY_PORTS: &str = "only_ports";
/// Global `[u64; 1024]`: a bit for each port.
pub const PORTS: &str = "ports";

/// In [`PacketRecord::kind`]: a packet that this host sends.
pub const PACKET_OUTGOING: u8 = 4;

/// In [`PacketRecord::flags`]: a part of a packet too long for one record, with headers of its own.
pub const PACKET_PART: u8 = 1;

/// In [`PacketRecord::flags`]: only the headers were copied, since nobody needs what is behind them.
pub const PACKET_SKIPPED: u8 = 2;

/// `struct packet_record`: the head of a record, which the captured bytes follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketRecord {
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub time: u64,
    /// The index of the interface, in the network namespace of the socket.
    pub interface: u32,
    /// The length of the packet from its network header on, without link-layer padding.
    pub length: u32,
    /// How many bytes of it follow.
    pub captured: u32,
    /// `PACKET_HOST`, `PACKET_OUTGOING`, … of `linux/if_packet.h`.
    pub kind: u8,
    /// [`PACKET_PART`], [`PACKET_SKIPPED`].
    pub flags: u8,
    unused: u16,
}

/// How long the head is.
pub const HEAD: usize = size_of::<PacketRecord>();

const _: () = {
    assert!(HEAD == 24);
    assert!(offset_of!(PacketRecord, time) == 0);
    assert!(offset_of!(PacketRecord, interface) == 8);
    assert!(offset_of!(PacketRecord, length) == 12);
    assert!(offset_of!(PacketRecord, captured) == 16);
    assert!(offset_of!(PacketRecord, kind) == 20);
    assert!(offset_of!(PacketRecord, flags) == 21);
};

impl PacketRecord {
    /// The head of a record and the packet's bytes; none where the record is too short for either.
    pub fn read(record: &[u8]) -> Option<(PacketRecord, &[u8])> {
        let (head, bytes) = record.split_first_chunk::<HEAD>()?;
        let word = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (time, _) = head.split_first_chunk::<8>()?;
        let head = PacketRecord {
            time: u64::from_ne_bytes(*time),
            interface: word(8),
            length: word(12),
            captured: word(16),
            kind: head[20],
            flags: head[21],
            unused: 0,
        };
        Some((head, bytes.get(..head.captured as usize)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_record_and_refuses_one_cut_short() {
        let mut record = Vec::new();
        record.extend(7u64.to_ne_bytes());
        for word in [3u32, 1500, 4] {
            record.extend(word.to_ne_bytes());
        }
        record.extend([PACKET_OUTGOING, 0, 0, 0]);
        record.extend(b"abcd, and what the size class leaves unused");
        let (head, bytes) = PacketRecord::read(&record).unwrap();
        assert_eq!((head.time, head.interface, head.length, head.kind), (7, 3, 1500, PACKET_OUTGOING));
        assert_eq!(bytes, b"abcd");
        for length in 0..HEAD + 4 {
            assert!(PacketRecord::read(&record[..length]).is_none(), "{length}");
        }
    }

    #[test]
    fn the_object_is_there_and_aligned() {
        let object = object();
        assert_eq!(&object[..4], b"\x7fELF");
        assert_eq!(object.as_ptr().align_offset(16), 0);
    }
}
