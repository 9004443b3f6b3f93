//! What fuzz targets and tests call with bytes of any kind. Not an interface.

use std::time::Duration;

use l7trace_event::{Event, SourceKind, Timestamp, What, Witness};

use crate::decode::{LinkType, PacketDecoder, Seen};
use crate::{Batch, Filled, file};

/// Reads a capture file's bytes and gives what `line` makes of each event, and the warnings (an
/// error is the last of them).
pub fn read(bytes: &[u8], mut line: impl FnMut(&Event<'_>) -> String) -> (Vec<String>, Vec<String>) {
    let (mut lines, mut warnings) = (Vec::new(), Vec::new());
    let mut source = file::open_bytes(bytes.to_vec());
    let mut batch = Batch::default();
    loop {
        match source.tap.fill(&mut batch, Duration::ZERO) {
            Ok(Filled::End) => break,
            Ok(_) => {}
            Err(error) => {
                warnings.push(error.to_string());
                break;
            }
        }
        source.decoder.decode(&batch, &mut |event| lines.push(line(event)));
        batch.clear();
        warnings.extend(source.decoder.warnings());
    }
    (lines, warnings)
}

/// Decodes packets: the first byte chooses the link type, the rest is cut into packets by a length
/// in two bytes and a length on the wire in one more.
///
/// # Panics
/// Where the decoder gives what was not there.
pub fn packet(data: &[u8]) {
    let Some((&choice, mut rest)) = data.split_first() else { return };
    let mut decoder = PacketDecoder::default();
    let witness = Witness { source: SourceKind::File, place: 0 };
    let mut at = 0;
    while let Some((&[low, high, more], after)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_le_bytes([low, high])).min(after.len());
        let (bytes, next) = after.split_at(length);
        rest = next;
        at += 1_000_000_000;
        let seen = Seen { at: Timestamp(at), witness, namespace: 0 };
        let on_wire = bytes.len() as u32 + u32::from(more);
        let mut each = |event: &Event<'_>| {
            let What::Segment(segment) = &event.what else { panic!("a packet is a segment") };
            let packet = event.packet.expect("a segment comes from a packet");
            assert!(segment.bytes.len() <= packet.bytes.len());
            assert!(packet.bytes.len() <= packet.length as usize);
            assert_eq!(segment.cause.is_some(), segment.missing > 0);
        };
        match choice {
            255 => decoder.network(seen, bytes, on_wire, &mut each),
            choice => {
                let all = LinkType::known();
                let link = all.get(usize::from(choice) % all.len()).copied().unwrap_or(LinkType::RAW);
                decoder.link(link, seen, bytes, on_wire, &mut each);
            }
        }
    }
    decoder.not_understood();
}

/// Reads a capture file.
pub fn pcapng(data: &[u8]) {
    read(data, |_| String::new());
}
