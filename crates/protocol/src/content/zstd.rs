use std::io::Read as _;

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::Stop;

/// Undoes zstd (RFC 8878): any number of frames, skippable ones among them.
pub(super) fn zstd(encoded: &[u8], most: usize, output: &mut Vec<u8>) -> Stop {
    let mut rest = encoded;
    let mut checksums_match = true;
    while !rest.is_empty() {
        match frame(&mut rest, most, output) {
            Stop::End => {}
            Stop::Checksum => checksums_match = false,
            Stop::Broken if rest.len() < encoded.len() && !output.is_empty() => return Stop::Trailing,
            stop => return stop,
        }
    }
    if checksums_match { Stop::End } else { Stop::Checksum }
}

/// Undoes one frame and leaves what follows it in `rest`; leaves `rest` as it is where no frame
/// begins there.
fn frame(rest: &mut &[u8], most: usize, output: &mut Vec<u8>) -> Stop {
    let mut source = *rest;
    // A new decoder each time: used again, it would reserve the whole window that a header asks for.
    let mut decoder = FrameDecoder::new();
    match decoder.init(&mut source) {
        Ok(()) => {}
        Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
            let Some(next) = source.get(length as usize..) else { return Stop::Short };
            *rest = next;
            return Stop::End;
        }
        Err(_) if rest.len() < LONGEST_HEADER && rest.iter().zip(&MAGIC).all(|(given, magic)| given == magic) => {
            return Stop::Short;
        }
        Err(_) => return Stop::Broken,
    }
    let blocks = whole_blocks(source, rest.get(4).is_some_and(|descriptor| descriptor & HAS_CHECKSUM != 0));
    *rest = &source[blocks.length..];
    let wanted = most.saturating_sub(output.len());
    let mut source = source[..blocks.length].chain(if blocks.complete { &[][..] } else { &FRAME_END });
    let stop = match decoder.decode_blocks(&mut source, BlockDecodingStrategy::UptoBytes(wanted)) {
        Ok(_) if !decoder.is_finished() => Stop::Limit,
        Ok(_) if blocks.complete => Stop::End,
        Ok(_) => Stop::Short,
        Err(_) => Stop::Broken,
    };
    if !decoder.is_finished() {
        // The decoder keeps the last window of a frame to itself until the frame ends.
        let _ = decoder.decode_blocks(&FRAME_END[..], BlockDecodingStrategy::All);
    }
    output.append(&mut decoder.collect().unwrap_or_default());
    let checksum = decoder.get_checksum_from_data();
    if stop == Stop::End && checksum.is_some() && checksum != decoder.get_calculated_checksum() {
        return Stop::Checksum;
    }
    stop
}

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const LONGEST_HEADER: usize = 18;
const HAS_CHECKSUM: u8 = 4;

/// An empty last block and room for a checksum.
const FRAME_END: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

/// The blocks of a frame that are all there.
struct Blocks {
    length: usize,
    /// Whether the last of them is the frame's last, and its checksum is there too where it has one.
    complete: bool,
}

/// Walks the headers of a frame's blocks (RFC 8878, section 3.1.1.2).
fn whole_blocks(source: &[u8], has_checksum: bool) -> Blocks {
    const RUN_LENGTH: u32 = 1;
    let mut length = 0;
    while let Some([low, middle, high]) = source.get(length..).and_then(|rest| rest.first_chunk()) {
        let header = u32::from_le_bytes([*low, *middle, *high, 0]);
        let size = if header >> 1 & 3 == RUN_LENGTH { 1 } else { (header >> 3) as usize };
        let is_last = header & 1 != 0;
        let checksum = if is_last && has_checksum { 4 } else { 0 };
        let end = length + 3 + size;
        if source.len() < end + checksum {
            break;
        }
        length = end + checksum;
        if is_last {
            return Blocks { length, complete: true };
        }
    }
    Blocks { length, complete: false }
}
