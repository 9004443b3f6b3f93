use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::Stop;

/// Undoes brotli (RFC 7932), windows up to its 16 MB: the "large window" extension is no content
/// coding and would let a few bytes ask for a gigabyte.
pub(super) fn brotli(encoded: &[u8], most: usize, output: &mut Vec<u8>) -> Stop {
    let mut state =
        BrotliState::new_strict(StandardAlloc::default(), StandardAlloc::default(), StandardAlloc::default());
    let (mut unread, mut read, mut written) = (encoded.len(), 0, 0);
    loop {
        let filled = output.len();
        if filled >= most {
            return Stop::Limit;
        }
        output.resize(filled + (most - filled).min(filled.clamp(4 << 10, 1 << 20)), 0);
        let (mut room, mut end) = (output.len() - filled, filled);
        let result = BrotliDecompressStream(
            &mut unread,
            &mut read,
            encoded,
            &mut room,
            &mut end,
            output,
            &mut written,
            &mut state,
        );
        output.truncate(end);
        match result {
            BrotliResult::NeedsMoreOutput if end > filled => {}
            BrotliResult::NeedsMoreOutput | BrotliResult::ResultFailure => return Stop::Broken,
            BrotliResult::NeedsMoreInput if room == 0 => return Stop::Limit,
            BrotliResult::NeedsMoreInput => return Stop::Short,
            BrotliResult::ResultSuccess if unread > 0 => return Stop::Trailing,
            BrotliResult::ResultSuccess => return Stop::End,
        }
    }
}
