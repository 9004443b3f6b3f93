//! What the fuzz targets run: arbitrary bytes in, a panic where an invariant does not hold.

use std::time::Duration;

use l7trace_event::{Cause, Event, Flags, Segment, SourceKind, Timestamp, Tuple, What, Witness};
use l7trace_stream::{Limits, Table};

use crate::heard::Listener;
use crate::told::{Told, a, b};

/// Reads `data` as a script of events of a few connections and gives them to a table of small
/// limits. [`Listener`] asserts that deliveries are contiguous, that every direction ends once and
/// that every ledger is closed; here it is asserted that the limits hold and that nothing is left.
///
/// Each event takes ten bytes: what it is, whose, its position twice (near where things happen, and
/// how far off), its length, its acknowledgement, and how much time goes by.
pub fn stream(data: &[u8]) {
    let limits = Limits {
        connections: 3,
        connection_bytes: 2_000,
        total_bytes: 5_000,
        idle: Duration::from_secs(5),
        hole: Duration::from_millis(500),
        grace: Duration::from_millis(20),
    };
    let mut listener = Listener { held_percent: 20, ..Listener::default() };
    let mut table = Table::new(limits.clone());
    let mut now = Timestamp(1_000_000_000);
    for step in data.chunks_exact(10) {
        let &[what, whose, near, far, length, missing, acknowledged, time, flags, place] = step else { continue };
        now = now + Duration::from_millis(u64::from(time) * u64::from(time) / 8);
        if what & 7 == 7 {
            table.advance(now, &mut listener);
            continue;
        }
        // Some times stand back a little, as when two processors report.
        let at = now - Duration::from_millis(u64::from(place >> 5));
        let told = told(what, whose, flags);
        let start = if whose & 1 == 0 { 0xffff_ff80u32 } else { 1_000 };
        let far = if far < 200 { 0 } else { u32::from(far - 200) * 0x0480_0000 };
        let segment = Segment {
            position: start.wrapping_add(u32::from(near)).wrapping_add(far),
            bytes: &TEXT[..usize::from(length) * usize::from(length) / 128],
            missing: if what & 8 == 8 { u32::from(missing) } else { 0 },
            cause: Cause::ALL.get(usize::from(missing & 15)).copied(),
            acknowledged: (what & 16 == 16).then(|| {
                let other = if whose & 1 == 0 { 1_000 } else { 0xffff_ff80u32 };
                other.wrapping_add(u32::from(acknowledged))
            }),
            flags: told.segment.flags,
        };
        let source = [SourceKind::File, SourceKind::Packets, SourceKind::Syscalls, SourceKind::Tls];
        let witness = Witness { source: source[usize::from(place & 3)], place: u32::from(place >> 2 & 1) };
        let tuple: Tuple = told.tuple;
        let what = told.other.unwrap_or(What::Segment(segment));
        table.push(&Event { at, witness, tuple, what, packet: None }, &mut listener);
        assert!(table.connections() <= limits.connections, "too many connections");
        assert!(table.buffered() <= limits.total_bytes, "{} bytes are held", table.buffered());
    }
    table.finish(&mut listener);
    assert_eq!((table.connections(), table.buffered()), (0, 0), "nothing is left");
    let ledger = table.ledger();
    assert!(ledger.is_closed(), "the ledger is open: {ledger:?}");
}

/// As long as the longest segment.
static TEXT: [u8; 512] = [b'x'; 512];

fn told(what: u8, whose: u8, flags: u8) -> Told {
    let port = 1 + u16::from(whose >> 1 & 3);
    let told = if whose & 1 == 0 { a(0, "") } else { b(0, "") }.port(port);
    if what & 0xe0 == 0xe0 {
        return match what & 3 {
            0 => told.owner(1, "x"),
            1 => told.name("x"),
            2 => told.exists(),
            _ => crate::told::ring_full(),
        };
    }
    // Most segments have no flag.
    if flags < 128 { told } else { told.flags(Flags(flags & 0x7f & (whose | 0x47))) }
}
